package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"text/template/parse"
	"time"

	"muster/ui/words"
)

//go:embed templates
var templateFiles embed.FS

// Renderer turns pages into HTML. All templates are parsed by NewRenderer, once
// for each language, so that a mistake in one shows at start and a page costs
// only its execution. It is safe for concurrent use.
//
// A page is a file templates/pages/<layout>/<name>.html that defines "content";
// the layouts are app (administrators), people (everyone else) and none (a
// fragment). Its name is "<layout>/<name>".
type Renderer struct {
	words  *words.Catalogue
	assets *assets
	now    func() time.Time
	pages  map[words.Lang]map[string]*template.Template
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
	r := &Renderer{words: cat, assets: files, now: clock, pages: map[words.Lang]map[string]*template.Template{}}
	for _, lang := range words.Langs() {
		if err := r.parse(lang, extra); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// parse reads every file once. Pages share one set of templates: a copy of layout and components for each would take 40 MB.
func (r *Renderer) parse(lang words.Lang, extra fs.FS) error {
	set, err := template.New("").Funcs(r.funcs(lang)).ParseFS(templateFiles, "templates/layout/*.html", "templates/components/*.html")
	if err != nil {
		return fmt.Errorf("parse components: %w", err)
	}
	r.pages[lang] = map[string]*template.Template{}
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
			if r.pages[lang][name], err = r.addPage(set, lang, name, source, file); err != nil {
				return fmt.Errorf("parse %s: %w", name, err)
			}
		}
	}
	return nil
}

// addPage parses a page by itself and puts what it defines into the set under names of its own, with its layout, which calls those.
func (r *Renderer) addPage(set *template.Template, lang words.Lang, name string, source fs.FS, file string) (*template.Template, error) {
	page, err := template.New("").Funcs(r.funcs(lang)).ParseFS(source, file)
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for _, t := range page.Templates() {
		own[t.Name()] = name + " " + t.Name()
	}
	for _, t := range page.Templates() {
		if t.Tree == nil {
			continue
		}
		renameCalls(t.Tree.Root, own)
		if _, err := set.AddParseTree(own[t.Name()], t.Tree); err != nil {
			return nil, err
		}
	}
	layout := set.Lookup("layout-" + path.Dir(name))
	if layout == nil {
		return nil, fmt.Errorf("no layout %q", path.Dir(name))
	}
	tree := layout.Tree.Copy()
	renameCalls(tree.Root, own)
	return set.AddParseTree(name, tree)
}

// renameCalls has a piece of a template call others by new names.
func renameCalls(n parse.Node, names map[string]string) {
	branch := func(b *parse.BranchNode) {
		renameCalls(b.List, names)
		renameCalls(b.ElseList, names)
	}
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil { // there need be no else
			for _, inner := range n.Nodes {
				renameCalls(inner, names)
			}
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		if to, ok := names[n.Name]; ok {
			n.Name = to
		}
	}
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
	t, ok := r.pages[lang][name]
	if !ok {
		return nil, fmt.Errorf("no page %q", name)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// Printer returns a printer of texts in lang by the renderer's clock.
func (r *Renderer) Printer(lang words.Lang) *words.Printer {
	return r.words.Printer(lang, r.now, nil)
}
