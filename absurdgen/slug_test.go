package absurdgen

import "testing"

// TestEverySlugHasACase wants each kind of mistake to be shown by a case of the corpus.
func TestEverySlugHasACase(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]string{
		"runtime-missing": "TestRuntimeMissing",
		"runtime-version": "TestRuntimeMissing",
	}
	shown := examples(t)
	seen := map[string]bool{}
	for _, s := range slugs(t) {
		if seen[s.slug] {
			t.Errorf("two slugs are %q", s.slug)
		}
		seen[s.slug] = true
		if elsewhere[s.slug] == "" && shown[s.slug] == "" {
			t.Errorf("no case of the corpus shows [%s]", s.slug)
		}
	}
	if len(seen) < 50 {
		t.Errorf("found %d slugs", len(seen))
	}
}
