package demo

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A terminal keeps the lines and shows the last picture only.
func TestScreenOnTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{out: &out, live: true}
	s.write("first")
	s.draw([]string{"picture", "one"})
	s.draw([]string{"picture", "two", "higher"})
	s.write("second")
	s.draw([]string{"picture three"})
	if diff := cmp.Diff("first\nsecond\npicture three\n", render(out.String())); diff != "" {
		t.Error(diff)
	}
	s.clear()
	s.write("third")
	if diff := cmp.Diff("first\nsecond\nthird\n", render(out.String())); diff != "" {
		t.Error(diff)
	}
	if n, m := strings.Count(out.String(), noAutoWrap), strings.Count(out.String(), doAutoWrap); n != 3 || n != m {
		t.Errorf("wrapping was switched off %d times and on %d times", n, m)
	}
}

func TestScreenInPipe(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{out: &out, style: newStyle(false)}
	s.tell("told")
	s.note("noted")
	s.draw([]string{"picture"})
	s.clear()
	if text := out.String(); strings.Contains(text, "\x1b") || strings.Contains(text, "picture") ||
		!strings.Contains(text, "told\n") || !strings.Contains(text, "noted\n") {
		t.Errorf("%q", text)
	}
}

// render plays the sequences that the screen writes.
func render(text string) string {
	for _, drop := range []string{noAutoWrap, doAutoWrap, "\x1b[K"} {
		text = strings.ReplaceAll(text, drop, "")
	}
	var lines []string
	for _, chunk := range strings.SplitAfter(text, eraseBelow) {
		before, erased := strings.CutSuffix(chunk, eraseBelow)
		before, ups, _ := strings.Cut(before, "\x1b[")
		lines = append(lines, strings.Split(strings.TrimSuffix(before, "\n"), "\n")...)
		if erased {
			lines = lines[:len(lines)-int(ups[0]-'0')]
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
