package ui

import (
	"html/template"
	"strconv"
	"strings"
)

// Charts are drawn here as SVG whose colours are classes and whose sizes are
// attributes, because the content policy forbids inline style. Each has a text
// alternative and a table behind it.

// Bar is one column of a bar chart.
type Bar struct {
	Word string // what it stands for, e.g. a day
	N    int
	Text string // the number as written
}

// BarChart is columns side by side, e.g. check-ins over 30 days; component
// "bars".
type BarChart struct {
	Title    string
	Summary  string // what the picture says, in words
	Bars     []Bar
	TopWord  string // the scale's top, as written
	From, To string // below the ends
	NameWord string // heads of the table
	NWord    string
}

// SVG draws the columns. The height follows the largest; an empty chart is a
// row of stubs, so that a day without check-ins is seen as such.
func (c BarChart) SVG() template.HTML {
	const width, height, gap = 10, 96, 3
	most := 1
	for _, b := range c.Bars {
		most = max(most, b.N)
	}
	var s strings.Builder
	total := max(len(c.Bars)*(width+gap)-gap, 1)
	s.WriteString(`<svg viewBox="0 0 ` + strconv.Itoa(total) + ` ` + strconv.Itoa(height) + `" preserveAspectRatio="none" role="img" aria-label="` + template.HTMLEscapeString(c.Summary) + `">`)
	for _, y := range []string{"0.5", "48", "95.5"} {
		s.WriteString(`<line class="grid-line" x1="0" x2="` + strconv.Itoa(total) + `" y1="` + y + `" y2="` + y + `"/>`)
	}
	for i, b := range c.Bars {
		h, class := b.N*height/most, "bar"
		if h < 2 {
			h = 2
		}
		if b.N == 0 {
			class = "bar low"
		}
		s.WriteString(`<rect class="` + class + `" x="` + strconv.Itoa(i*(width+gap)) + `" y="` + strconv.Itoa(height-h) + `" width="` + strconv.Itoa(width) + `" height="` + strconv.Itoa(h) + `"><title>` + template.HTMLEscapeString(b.Word+": "+b.Text) + `</title></rect>`)
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String())
}

// Part is one part of a whole.
type Part struct {
	Word  string
	N     int
	Text  string // the number as written
	Class string // c1 to c5, or c-good, c-warn, c-bad, c-busy, c-mute
	Href  string // list of what is counted; "" = none
}

// SplitBar is one bar in parts, e.g. devices by platform; component "split".
type SplitBar struct {
	Title   string
	Summary string
	Parts   []Part
	Empty   string // shown when every part is zero
}

// None reports whether there is nothing to draw.
func (b SplitBar) None() bool {
	for _, p := range b.Parts {
		if p.N > 0 {
			return false
		}
	}
	return true
}

// SVG draws the parts in order; the smallest non-zero one stays visible.
func (b SplitBar) SVG() template.HTML {
	const whole, gap, least = 1000.0, 4.0, 10.0
	total, shown := 0, 0
	for _, p := range b.Parts {
		total += p.N
		if p.N > 0 {
			shown++
		}
	}
	var s strings.Builder
	s.WriteString(`<svg class="split" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="` + template.HTMLEscapeString(b.Summary) + `">`)
	room := whole - gap*float64(max(shown-1, 0)) - least*float64(shown)
	x := 0.0
	for _, p := range b.Parts {
		if p.N <= 0 {
			continue
		}
		w := least + room*float64(p.N)/float64(total)
		s.WriteString(`<rect class="` + template.HTMLEscapeString(p.Class) + `" x="` + coordinate(x) + `" y="0" width="` + coordinate(w) + `" height="10"><title>` + template.HTMLEscapeString(p.Word+": "+p.Text) + `</title></rect>`)
		x += w + gap
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String())
}

func coordinate(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }
