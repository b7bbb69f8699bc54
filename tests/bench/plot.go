package main

import (
	"fmt"
	"strings"
)

// The plot's measures in pixels.
const (
	plotWidth = 860
	labelAt   = 330 // where the bars begin
	barWidth  = 400 // of the fastest
	barHeight = 16
	groupGap  = 14
)

var colours = map[string]string{ourName: "#2f6f4f", dbos: "#b5651d", river: "#3a6ea5"}

// plot draws the rates as bars, an SVG: for each work the fastest system has the full width.
func (b *benchmark) plot() string {
	var bars strings.Builder
	y := 40
	for _, r := range plan {
		most := 0.0
		for _, system := range systems {
			f, _ := b.figures(r.id, system)
			most = max(most, f.rate)
		}
		if r.unit == "" || most == 0 {
			continue
		}
		fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end">%s: %s</text>`+"\n", labelAt-10, y+12, r.id, r.title)
		for _, system := range systems {
			f, ok := b.figures(r.id, system)
			if !ok {
				continue
			}
			width := f.rate / most * barWidth
			fmt.Fprintf(&bars, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelAt, y, width, barHeight-2, colours[system])
			fmt.Fprintf(&bars, `<text x="%.1f" y="%d">%s %s/s</text>`+"\n", labelAt+width+6, y+12, thousands(f.rate), plurals[r.unit])
			y += barHeight
		}
		y += groupGap
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, y)
	s.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, system := range systems {
		x := labelAt + i*110
		fmt.Fprintf(&s, `<rect x="%d" y="12" width="12" height="12" fill="%s"/><text x="%d" y="22">%s</text>`+"\n", x, colours[system], x+18, system)
	}
	s.WriteString(bars.String())
	s.WriteString("</svg>\n")
	return s.String()
}
