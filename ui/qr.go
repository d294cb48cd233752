package ui

import (
	"fmt"
	"html/template"
	"strings"

	qrcode "github.com/skip2/go-qrcode"
)

// QR draws text as a QR code in SVG, black on white with a quiet zone, readable
// in dark mode as well. label is its text alternative.
func QR(text, label string) (template.HTML, error) {
	level := qrcode.Medium
	if len(text) > 200 { // fewer, larger dots serve a camera better than the means to mend them
		level = qrcode.Low
	}
	code, err := qrcode.New(text, level)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	bitmap := code.Bitmap()
	var path strings.Builder
	for y, row := range bitmap {
		for x := 0; x < len(row); x++ {
			if !row[x] {
				continue
			}
			start := x
			for x < len(row) && row[x] {
				x++
			}
			fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start, y, x-start, x-start)
		}
	}
	return template.HTML(fmt.Sprintf(`<div class="qr"><svg viewBox="0 0 %d %d" shape-rendering="crispEdges" role="img" aria-label="%s"><path d="%s"/></svg></div>`,
		len(bitmap), len(bitmap), template.HTMLEscapeString(label), path.String())), nil
}
