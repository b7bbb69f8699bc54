package absurdgen

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/lock"
)

// shapeMark stands in the emitted code for a workflow's shape hash, which is known only when the package has been checked with
// that code in place. It is as long as the hash.
func shapeMark(h *handle) string { return shortHash("mark of " + h.durable) }

// withShapes puts the shape hashes of a unit's workflows in place of their marks.
func withShapes(text []byte, u *unit, ops *operations) []byte {
	for _, h := range u.flows {
		text = bytes.Replace(text, []byte(shapeMark(h)), []byte(ops.hash(u, h)), 1)
	}
	return text
}

// hash sums up what replay of a workflow depends on: the tree of its operations, and the payloads of the workflow and of every
// handle in the tree. It tells workers with different code apart. Go names, places and versions do not matter.
func (o *operations) hash(u *unit, h *handle) string {
	tree, used := o.of(u, h)
	var b strings.Builder
	describe := func(h *handle) {
		fmt.Fprintf(&b, "%s %s", h.d.Verb, h.durable)
		if h.key != nil {
			fmt.Fprintf(&b, " key=%s", h.key)
		}
		if h.in != nil {
			fmt.Fprintf(&b, " in=%s", fingerprint(h.in))
		}
		if h.out != nil {
			fmt.Fprintf(&b, " out=%s", fingerprint(h.out))
		}
		b.WriteByte('\n')
	}
	describe(h)
	b.WriteString(lock.Tree(tree))
	for _, h := range slices.SortedFunc(maps.Keys(used), func(a, b *handle) int { return cmp.Compare(a.durable, b.durable) }) {
		describe(h)
	}
	return shortHash(b.String())
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
