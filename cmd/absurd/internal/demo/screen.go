package demo

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// screen is where the audience looks. It writes lines, and on a terminal keeps a picture below them that is drawn anew.
type screen struct {
	out   io.Writer
	live  bool // a terminal
	style style
	began time.Time
	drawn int // lines of the picture on the terminal
}

// newScreen returns a screen on a file. The picture is drawn on a terminal only.
func newScreen(out *os.File) *screen {
	s := &screen{out: out, began: time.Now()}
	if fi, err := out.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
		term := os.Getenv("TERM")
		s.live = term != "" && term != "dumb"
	}
	s.style = newStyle(s.live)
	return s
}

// tell adds a line with the time since the beginning.
func (s *screen) tell(format string, args ...any) {
	s.write(fmt.Sprintf("%s  %s", s.style.faint(fmt.Sprintf("%6.2fs", time.Since(s.began).Seconds())), fmt.Sprintf(format, args...)))
}

// note adds a line that the picture makes unnecessary.
func (s *screen) note(format string, args ...any) {
	if !s.live {
		s.tell(format, args...)
	}
}

// detail adds a line that belongs to the one before.
func (s *screen) detail(format string, args ...any) {
	s.write("         " + fmt.Sprintf(format, args...))
}

// Sequences that every terminal of the last decades knows.
const (
	up          = "\x1b[%dA\r" // n lines up
	eraseBelow  = "\x1b[J"
	noAutoWrap  = "\x1b[?7l" // the terminal cuts what is too long: the picture needs no width and never wraps
	doAutoWrap  = "\x1b[?7h"
	endLine     = "\x1b[K\n"
	maxPictured = 18 // lines, so that the picture fits a low terminal
)

// write puts lines above the picture, which is drawn again by the next draw.
func (s *screen) write(lines ...string) {
	var b bytes.Buffer
	s.rewind(&b)
	b.WriteString(strings.Join(lines, "\n") + "\n")
	_, _ = s.out.Write(b.Bytes())
}

// draw replaces the picture.
func (s *screen) draw(lines []string) {
	if !s.live {
		return
	}
	lines = lines[:min(len(lines), maxPictured)]
	var b bytes.Buffer
	s.rewind(&b)
	b.WriteString(noAutoWrap)
	for _, l := range lines {
		b.WriteString(l + endLine)
	}
	b.WriteString(doAutoWrap)
	s.drawn = len(lines)
	_, _ = s.out.Write(b.Bytes())
}

// clear takes the picture away.
func (s *screen) clear() {
	var b bytes.Buffer
	s.rewind(&b)
	_, _ = s.out.Write(b.Bytes())
}

func (s *screen) rewind(b *bytes.Buffer) {
	if s.drawn > 0 {
		fmt.Fprintf(b, up, s.drawn)
		b.WriteString(eraseBelow)
		s.drawn = 0
	}
}

// style is how words and marks look.
type style struct {
	colour bool
	marks  map[callState]string
	none   string // the mark of a step that has not begun
}

func newStyle(terminal bool) style {
	s := style{none: ".", marks: map[callState]string{calling: ">", cutOff: "x", done: "#"}}
	locale := os.Getenv("LC_ALL") + os.Getenv("LC_CTYPE") + os.Getenv("LANG")
	if terminal && strings.Contains(strings.ToUpper(strings.ReplaceAll(locale, "-", "")), "UTF8") {
		s.none, s.marks = "·", map[callState]string{calling: "▸", cutOff: "✗", done: "■"}
	}
	s.colour = terminal && os.Getenv("NO_COLOR") == ""
	return s
}

func (s style) faint(text string) string { return s.paint("2", text) }
func (s style) good(text string) string  { return s.paint("32", text) }
func (s style) bad(text string) string   { return s.paint("1;31", text) }

func (s style) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
