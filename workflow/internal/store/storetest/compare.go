package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Compare runs the random sequence of a seed on both stores and compares every answer. Of a sequence that is answered
// differently it reports the shortest part that still is.
func Compare(t *testing.T, seed uint64, length int, truth, other Maker) {
	t.Helper()
	ops := sequence(seed, length)
	if first := difference(t, ops, truth, other); first == "" {
		return
	}
	ops = shrink(ops, func(ops []op) bool { return difference(t, ops, truth, other) != "" })
	var b strings.Builder
	for _, o := range ops {
		fmt.Fprintf(&b, "\n  %v", o)
	}
	t.Fatalf("seed %d: the stores differ\n%s\nafter%s", seed, difference(t, ops, truth, other), b.String())
}

// sequence returns the operations of a seed. They are chosen without a look at any state, so that any part of a sequence is
// one, too.
func sequence(seed uint64, length int) []op {
	r := rand.New(rand.NewPCG(seed, 0))
	ops := make([]op, length)
	for i := range ops {
		ops[i] = op{kind: kinds[r.IntN(len(kinds))]}
		for j := range ops[i].n {
			ops[i].n[j] = r.IntN(1000)
		}
	}
	return ops
}

// difference returns the first answers that differ; empty if none do.
func difference(t *testing.T, ops []op, truth, other Maker) string {
	t.Helper()
	want, got := play(t, truth, ops), play(t, other, ops)
	for i := range want {
		if want[i] != got[i] {
			what := "the state at the end"
			if i < len(ops) {
				what = ops[i].String()
			}
			return fmt.Sprintf("%s\n  truth: %s\n  other: %s", what, want[i], got[i])
		}
	}
	return ""
}

// shrink leaves out what is not needed to fail: halves, quarters, and in the end single operations.
func shrink[T any](ops []T, fails func([]T) bool) []T {
	for size := len(ops) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(ops); {
			less := slices.Delete(slices.Clone(ops), at, min(at+size, len(ops)))
			if fails(less) {
				ops, smaller = less, true
			} else {
				at += size
			}
		}
		if !smaller || size > len(ops) {
			size /= 2
		}
	}
	return ops
}
