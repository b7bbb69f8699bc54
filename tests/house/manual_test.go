package house

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	sqlCall  = regexp.MustCompile(`\babsurd\.([a-z_]+)`)
	declared = regexp.MustCompile(`(?m)^create (?:or replace )?(?:function|table|view) absurd\.([a-z_]+)`)
	notInID  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestManualHoldsTogether: the links of the manual lead somewhere, and the functions of the schema that it names are there.
func TestManualHoldsTogether(t *testing.T) {
	t.Parallel()
	pages, files := make(map[string]string), make(map[string]bool)
	functions := map[string]bool{"lock": true} // absurd.lock, the file
	eachFile(t, func(name string, content []byte) {
		files[name] = true
		switch {
		case path.Ext(name) == ".md" && !strings.Contains(name, "/testdata/"):
			pages[name] = string(content)
		case strings.HasPrefix(name, "db/migrations/"):
			for _, m := range declared.FindAllStringSubmatch(string(content), -1) {
				functions[m[1]] = true
			}
		}
	})
	if len(pages) < 10 || len(functions) < 100 {
		t.Fatalf("%d pages and %d functions: not all are found", len(pages), len(functions))
	}
	for name, text := range pages {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if !files[file] {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			} else if anchor != "" && !hasHeading(pages[file], anchor) {
				t.Errorf("%s links to %s, and %s has no such heading", name, m[1], file)
			}
		}
		for _, m := range sqlCall.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "_") && !functions[m[1]] && m[1] != "fake_now" {
				t.Errorf("%s names absurd.%s, which no migration makes", name, m[1])
			}
		}
	}
}

// hasHeading reports whether a page has a heading whose anchor, as sites make them, is the given one.
func hasHeading(page, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		id := strings.ReplaceAll(notInID.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		if id == anchor {
			return true
		}
	}
	return false
}
