package ui_test

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrastOfTokens: every colour of words on every colour that may lie behind them, in both schemes, as WCAG 2.2 asks: 4.5:1 for text
// (1.4.3) and 3:1 for the border of a field (1.4.11). The browser checks what is on a page; this holds for hovering and for pages to come.
func TestContrastOfTokens(t *testing.T) {
	raw, err := os.ReadFile("static/css/1-tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	light, dark := strings.Index(text, ":root {"), strings.Index(text, `:root[data-theme="dark"]`)
	if light < 0 || dark < 0 {
		t.Fatal("the tokens are written otherwise")
	}
	blocks := map[string]string{"light": text[light:strings.Index(text, "@media")], "dark": text[dark:]}
	token := regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6})`)
	for scheme, block := range blocks {
		colours := map[string]string{}
		for _, m := range token.FindAllStringSubmatch(block, -1) {
			colours[m[1]] = m[2]
		}
		need := func(words, behind string, least float64) {
			t.Helper()
			if colours[words] == "" || colours[behind] == "" {
				t.Fatalf("%s: no %s or no %s", scheme, words, behind)
			}
			if r := contrast(colours[words], colours[behind]); r < least {
				t.Errorf("%s: %s on %s is %.2f, want %.1f", scheme, words, behind, r, least)
			}
		}
		for _, behind := range []string{"bg", "surface", "sunken"} {
			for _, words := range []string{"ink", "ink-2", "ink-3", "link", "good", "warn", "bad", "busy", "mute"} {
				need(words, behind, 4.5)
			}
			need("control", behind, 3)
		}
		for _, kind := range []string{"good", "warn", "bad", "busy", "mute"} {
			need(kind, kind+"-tint", 4.5)
			need("ink", kind+"-tint", 4.5)
		}
		for _, words := range []string{"ink", "ink-2", "link"} {
			need(words, "tint", 4.5)
		}
		for _, behind := range []string{"accent", "accent-2", "bad-solid", "bad-solid-2"} {
			need("on-accent", behind, 4.5)
		}
	}
}

// contrast is the ratio of WCAG 2.2 between two colours written #rrggbb.
func contrast(a, b string) float64 {
	luminance := func(colour string) float64 {
		var sum float64
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			n, _ := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
			v := float64(n) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	x, y := luminance(a), luminance(b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

// TestPaperIsNoPhone: a sheet of paper is narrower than a window, and must not be laid out as a phone for that.
func TestPaperIsNoPhone(t *testing.T) {
	files, err := filepath.Glob("static/css/*.css")
	if err != nil || len(files) == 0 {
		t.Fatalf("no styles: %v", err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`@media[^{]*max-width[^{]*`).FindAllString(string(raw), -1) {
			if !strings.HasPrefix(m, "@media screen and ") {
				t.Errorf("%s: %s counts for print as well", name, strings.TrimSpace(m))
			}
		}
	}
}
