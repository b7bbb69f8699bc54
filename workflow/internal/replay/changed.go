package replay

import "strings"

// Changed answers whether the branch may take the new side of a changed piece of code: true when nothing that the branch, or a
// branch made by it, has recorded is still unserved. Either answer is recorded, and the same from then on.
func (b *Branch) Changed(id string, caller func() []uintptr) (bool, error) {
	if err := b.enter(); err != nil {
		return false, err
	}
	// One answer for each id in a branch: no ordinal.
	name := "$changed:" + id
	if b.path != "" {
		name = b.path + "/" + name
	}
	op, asked := b.changed[id]
	if !asked {
		op = &Op{Name: name, Kind: Patch, branch: b, caller: caller}
		op.future.op = op
		if b.changed == nil {
			b.changed = make(map[string]*Op)
		}
		b.changed[id] = op
		if e, ok := b.pass.take(name); !ok {
			answer := "true"
			if b.unserved() {
				answer = "false"
			}
			b.pass.decide(op, []byte(answer))
		} else if why := mismatch(e, op, false); why != "" {
			op.locate()
			b.Diverge(op, why)
		} else {
			b.pass.serve(op, e)
		}
	}
	return string(op.State) == "true", nil
}

// unserved reports whether records of the branch, or of branches made by it, have not been asked for yet.
func (b *Branch) unserved() bool {
	if b.pass.live {
		return false
	}
	// What was passed over once stays so: the look goes on where it ended.
	for ; b.looked < len(b.pass.order); b.looked++ {
		e := b.pass.order[b.looked]
		if e.asked || e.Superseded || e.Kind == Patch {
			continue
		}
		if path := pathOf(e.Name); b.pass.isDropped(path) {
			continue // what has lost a race is not asked for again
		} else if b.path == "" || path == b.path || strings.HasPrefix(path, b.path+".") {
			return true
		}
	}
	return false
}
