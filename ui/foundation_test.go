package ui_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"muster/ui"
	"muster/ui/words"
)

// htmx 2.0.11 as published on npm (htmx.org, dist/htmx.min.js).
const htmxSHA256 = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"

func TestVendoredScriptIsThePublishedOne(t *testing.T) {
	raw, err := os.ReadFile("static/vendor/htmx.min.js")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != htmxSHA256 {
		t.Errorf("htmx.min.js has SHA-256 %s, want %s", got, htmxSHA256)
	}
	if !strings.Contains(string(raw), `version:"2.0.11"`) {
		t.Error("htmx.min.js is not version 2.0.11")
	}
	if _, err := os.Stat("static/vendor/htmx.LICENSE"); err != nil {
		t.Error(err)
	}
}

func TestDarkIsTheSameByChoiceAndBySystem(t *testing.T) {
	raw, err := os.ReadFile("static/css/1-tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	css := string(raw)
	block := func(selector string) string {
		_, after, found := strings.Cut(css, selector+" {")
		if !found {
			t.Fatalf("no block %s", selector)
		}
		in, _, _ := strings.Cut(after, "}")
		return strings.Join(strings.Fields(in), " ")
	}
	system, choice := block(`:root:not([data-theme="light"])`), block(`:root[data-theme="dark"]`)
	if system != choice {
		t.Errorf("the two dark blocks differ:\n%s\n%s", system, choice)
	}
	for _, m := range regexp.MustCompile(`(--[a-z0-9-]+): #`).FindAllStringSubmatch(block(":root"), -1) {
		if !strings.Contains(choice, m[1]+":") && m[1] != "--on-accent" {
			t.Errorf("dark has no value for %s", m[1])
		}
	}
}

func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	for _, root := range []string{"static/css", "static/js", "templates"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text := strings.ReplaceAll(string(raw), "http://www.w3.org/2000/svg", "")
			if m := regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+\.[a-z]`).FindString(text); m != "" {
				t.Errorf("%s mentions %s", path, m)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestStaticFiles(t *testing.T) {
	s := serve(t, newDomain())
	_, _, page := s.do(t, "GET", "/signin", nil)
	found := regexp.MustCompile(`"(/static/[a-z]+\.[0-9a-f]{12}\.(?:css|js|svg))["#]`).FindAllStringSubmatch(page, -1)
	if len(found) < 4 {
		t.Fatalf("static files on the page: %v", found)
	}
	for _, m := range found {
		req, _ := http.NewRequest("GET", s.URL+m[1], nil)
		req.Header.Set("Accept-Encoding", "br, gzip;q=0.8")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatalf("%s: not compressed: %v", m[1], err)
		}
		packed, err := io.ReadAll(body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "identity")
		res, err = http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if string(plain) != string(packed) || len(plain) == 0 {
			t.Errorf("%s differs when compressed", m[1])
		}
		if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("%s: Cache-Control %q", m[1], got)
		}
		if res.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: compressed although not asked for", m[1])
		}
	}
	if status, _, _ := s.do(t, "GET", "/static/app.000000000000.css", nil); status != 404 {
		t.Errorf("a wrong hash answers %d", status)
	}
}

// named finds texts that templates and handlers name literally.
var named = []*regexp.Regexp{
	regexp.MustCompile(`[({ ](?:t|rich|n) "([a-z0-9_.-]+[a-z0-9])"`), // in templates
	regexp.MustCompile(`\bq\.T\("([a-z0-9_.-]+[a-z0-9])"`),           // in handlers
	regexp.MustCompile(`\.Flash\([A-Za-z]+, "([a-z0-9_.-]+)"`),       // flashes
	regexp.MustCompile(`\{"/[a-z]*", "[a-z]+", "([a-z.]+)"`),         // navigation
	regexp.MustCompile(`p\.T\("([a-z0-9_.-]+[a-z0-9])", nil\)`),      // the words package's printer
}

func TestEveryTextThatIsNamedExists(t *testing.T) {
	count := 0
	check := func(path string) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, re := range named {
			for _, m := range re.FindAllStringSubmatch(string(raw), -1) {
				count++
				if !words.Has(m[1]) {
					t.Errorf("%s names %s, which no language has", path, m[1])
				}
			}
		}
		for _, m := range regexp.MustCompile(`\(print "([a-z0-9.]+)\." \$?d?\.Device\)`).FindAllStringSubmatch(string(raw), -1) {
			for _, device := range []string{"iphone", "ipad", "mac", "pc", "device"} {
				count++
				if key := m[1] + "." + device; !words.Has(key) {
					t.Errorf("%s may name %s, which no language has", path, key)
				}
			}
		}
	}
	for _, pattern := range []string{"*.go", "templates/*/*.html", "templates/pages/*/*.html"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if !strings.HasSuffix(path, "_test.go") && path != "doc.go" {
				check(path)
			}
		}
	}
	if count < 100 {
		t.Errorf("only %d names found: the patterns no longer fit", count)
	}
}

func TestEveryPageCanBeEscaped(t *testing.T) {
	cat, err := words.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ui.NewRenderer(cat, nil, os.DirFS("testdata/gallery"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range r.Names() {
		for _, lang := range words.Langs() {
			_, err := r.Render(name, &ui.Page{Lang: lang})
			if escape, ok := asEscapeError(err); ok {
				t.Errorf("%s (%s): %v", name, lang, escape)
			}
		}
	}
}

// asEscapeError finds html/template's own error: one that shows only when a page
// is first used. Errors about missing data are of no concern here.
func asEscapeError(err error) (*template.Error, bool) {
	for err != nil {
		if e, ok := err.(*template.Error); ok {
			return e, true
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return nil, false
		}
		err = u.Unwrap()
	}
	return nil, false
}

func TestHostileTextStaysText(t *testing.T) {
	d := newDomain()
	d.settings.Organisation = `"><script>alert(1)</script>`
	d.opened["phone-code"].Organisation = d.settings.Organisation
	d.opened["phone-code"].Person.Name = `{{.}} </main><img src=x onerror=alert(1)>`
	s := serve(t, d)
	for _, path := range []string{"/signin", "/enroll/phone-code"} {
		_, _, body := s.do(t, "GET", path, nil, "User-Agent", iPhone)
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
			t.Errorf("%s: hostile text became markup", path)
		}
	}
}

func TestPanicBecomesAPageWithAReference(t *testing.T) {
	d := newDomain()
	d.opened["phone-code"] = nil
	d.tickets["broken"] = "phone-code"
	var log strings.Builder
	cat, err := words.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := ui.New(ui.Config{Fleet: d, Words: cat, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	u.ServeHTTP(w, httptest.NewRequest("GET", "/enroll/t/broken", nil))
	if w.Code != 500 {
		t.Errorf("status %d", w.Code)
	}
	m := regexp.MustCompile(`give this reference[^:]*: ([A-Z2-7]{10})`).FindStringSubmatch(w.Body.String())
	if m == nil || !strings.Contains(log.String(), m[1]) {
		t.Errorf("reference %v is not in the log:\n%s", m, log.String())
	}
	if strings.Contains(log.String(), "/enroll/t/broken") {
		t.Error("the ticket stands in the log")
	}
}

func TestCharts(t *testing.T) {
	t.Run("parts of a bar fill it and small ones stay visible", func(t *testing.T) {
		svg := string(ui.SplitBar{Parts: []ui.Part{{N: 9999, Class: "c1"}, {N: 0, Class: "c2"}, {N: 1, Class: "c3"}}}.SVG())
		if strings.Count(svg, "<rect") != 2 || !strings.Contains(svg, `width="10.1"`) {
			t.Error(svg)
		}
	})
	t.Run("nothing to draw", func(t *testing.T) {
		if !(ui.SplitBar{Parts: []ui.Part{{N: 0}}}).None() {
			t.Error("an empty bar is not None")
		}
		if svg := string(ui.BarChart{}.SVG()); strings.Contains(svg, "<rect") {
			t.Error(svg)
		}
	})
	t.Run("the largest column is full and a zero a stub", func(t *testing.T) {
		svg := string(ui.BarChart{Bars: []ui.Bar{{Word: "a", N: 4}, {Word: `<b>`, N: 0}, {Word: "c", N: 2}}}.SVG())
		for _, want := range []string{`height="96"`, `class="bar low"`, `height="48"`, "&lt;b&gt;"} {
			if !strings.Contains(svg, want) {
				t.Errorf("no %s in %s", want, svg)
			}
		}
	})
}
