package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"muster/ui/words"
)

//go:embed templates
var templateFiles embed.FS

// Renderer turns pages into HTML. All templates are parsed by NewRenderer, once
// for each language, so that a mistake in one shows at start. A page's own copy
// is made again when it is first asked for, and kept: a copy of all components
// for every page would be more than half of the memory that the program holds,
// for pages that nobody may ever look at. It is safe for concurrent use.
//
// A page is a file templates/pages/<layout>/<name>.html that defines "content";
// the layouts are app (administrators), people (everyone else) and none (a
// fragment). Its name is "<layout>/<name>".
type Renderer struct {
	words  *words.Catalogue
	assets *assets
	now    func() time.Time
	pages  map[words.Lang]map[string]func() (*template.Template, error)
}

// NewRenderer parses every template. extra may hold more page files (tests use
// it for the gallery); nil means none. A nil clock means time.Now.
func NewRenderer(cat *words.Catalogue, clock func() time.Time, extra fs.FS) (*Renderer, error) {
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	if clock == nil {
		clock = time.Now
	}
	r := &Renderer{words: cat, assets: files, now: clock, pages: map[words.Lang]map[string]func() (*template.Template, error){}}
	for _, lang := range words.Langs() {
		if err := r.parse(lang, extra); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Renderer) parse(lang words.Lang, extra fs.FS) error {
	base, err := template.New("").Funcs(r.funcs(lang)).ParseFS(templateFiles, "templates/layout/*.html", "templates/components/*.html")
	if err != nil {
		return fmt.Errorf("parse components: %w", err)
	}
	r.pages[lang] = map[string]func() (*template.Template, error){}
	sources := []fs.FS{templateFiles}
	if extra != nil {
		sources = append(sources, extra)
	}
	for _, source := range sources {
		names, err := fs.Glob(source, "templates/pages/*/*.html")
		if err != nil {
			return err
		}
		for _, file := range names {
			name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/pages/"), ".html")
			parse := func() (*template.Template, error) {
				page, err := base.Clone()
				if err == nil {
					page, err = page.ParseFS(source, file)
				}
				if err != nil {
					return nil, fmt.Errorf("parse %s: %w", name, err)
				}
				return page, nil
			}
			if _, err := parse(); err != nil {
				return err
			}
			r.pages[lang][name] = sync.OnceValues(parse)
		}
	}
	return nil
}

// Names lists the pages.
func (r *Renderer) Names() []string {
	var names []string
	for name := range r.pages[words.English] {
		names = append(names, name)
	}
	return names
}

// Render writes the page called name, in the page's language and layout. The
// whole page is made before anything is returned, so that an error never leaves
// half a page behind.
func (r *Renderer) Render(name string, p *Page) ([]byte, error) {
	lang, ok := words.ParseLang(string(p.Lang))
	if !ok {
		lang = words.English
	}
	page, ok := r.pages[lang][name]
	if !ok {
		return nil, fmt.Errorf("no page %q", name)
	}
	t, err := page()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, "layout-"+path.Dir(name), p); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// Printer returns a printer of texts in lang by the renderer's clock.
func (r *Renderer) Printer(lang words.Lang) *words.Printer {
	return r.words.Printer(lang, r.now, nil)
}
