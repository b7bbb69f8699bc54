package programs

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/absurdgen/absurdgen/workflow/internal/store/crash"
)

// Program is a sequence of operations of one branch.
type Program []Node

// Node is one operation. N chooses among its kinds; Kids are the branches, or the children, that it makes.
type Node struct {
	Op   string
	N    int
	Kids []Program `json:",omitempty"`
}

// Case is a program with the crashes that its worker goes through.
type Case struct {
	Seed    uint64
	Program Program
	Crashes []crash.Point
	Parked  bool // suspended passes are kept in memory; else every wake-up is a replay
}

// ops are the operations without branches, then those with.
var (
	plain    = strings.Fields("step step step flaky slow hopeless keyed inline sleep sleep past event event never changed seeded now map photo")
	branched = strings.Fields("go go all race child children")
)

// Random returns the case of a seed.
func Random(seed uint64) Case {
	r := rand.New(rand.NewPCG(seed, 1))
	c := Case{Seed: seed, Program: program(r, 2+r.IntN(6), 2), Parked: r.IntN(2) == 0}
	for i := range c.Program { // in one branch only: who gets which message in several of them is a matter of timing
		if r.IntN(6) == 0 {
			c.Program[i] = Node{Op: "receive"}
		}
	}
	if r.IntN(8) == 0 {
		c.Program = append(c.Program, Node{Op: []string{"fail", "panic"}[r.IntN(2)]})
	}
	for range 1 + r.IntN(5) {
		c.Crashes = append(c.Crashes, crash.Point{Commits: 1 + r.IntN(4), How: crash.How(r.IntN(3))})
	}
	return c
}

func program(r *rand.Rand, size, depth int) Program {
	var p Program
	for range size {
		n := Node{Op: plain[r.IntN(len(plain))], N: r.IntN(12)}
		if depth > 0 && r.IntN(4) == 0 {
			n.Op = branched[r.IntN(len(branched))]
			for range 2 + r.IntN(2) {
				n.Kids = append(n.Kids, program(r, 1+r.IntN(3), depth-1))
			}
			if n.Op == "children" && r.IntN(3) == 0 {
				n.Kids[0] = append(n.Kids[0], Node{Op: "fail"})
			}
		}
		p = append(p, n)
	}
	return p
}

// receives returns how many messages the program takes.
func (p Program) receives() (n int) {
	for _, node := range p {
		if node.Op == "receive" {
			n++
		}
	}
	return n
}

// String writes the case as one would read it.
func (c Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, parked %v, crashes %v", c.Seed, c.Parked, c.Crashes)
	c.Program.write(&b, "\n  ")
	return b.String()
}

func (p Program) write(b *strings.Builder, indent string) {
	for _, n := range p {
		fmt.Fprintf(b, "%s%s %d", indent, n.Op, n.N)
		for _, kid := range n.Kids {
			b.WriteString(indent + " branch")
			kid.write(b, indent+"  ")
		}
	}
}

// Shrink returns the smallest case that it finds to fail as c does, leaving out crashes, operations and branches.
func Shrink(c Case, fails func(Case) bool) Case {
	for smaller := true; smaller; {
		smaller = false
		for _, s := range c.smaller() {
			if fails(s) {
				c, smaller = s, true
				break
			}
		}
	}
	return c
}

func (c Case) smaller() (cases []Case) {
	for i := range c.Crashes {
		s := c
		s.Crashes = without(c.Crashes, i)
		cases = append(cases, s)
	}
	for _, p := range c.Program.smaller() {
		s := c
		s.Program = p
		cases = append(cases, s)
	}
	return cases
}

// smaller returns the programs that lack one thing of p.
func (p Program) smaller() (programs []Program) {
	for i := range p {
		programs = append(programs, without(p, i))
	}
	for i, n := range p {
		for k, kid := range n.Kids {
			with := func(kids []Program) {
				s := append(Program(nil), p...)
				s[i].Kids = kids
				programs = append(programs, s)
			}
			if len(n.Kids) > 2 {
				with(without(n.Kids, k))
			}
			for _, less := range kid.smaller() {
				kids := append([]Program(nil), n.Kids...)
				kids[k] = less
				with(kids)
			}
		}
	}
	return programs
}

func without[T any](list []T, i int) []T {
	return append(append([]T(nil), list[:i]...), list[i+1:]...)
}
