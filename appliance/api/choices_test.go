package api

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Each value that fleet declares of a named string stands in the document, and nothing else: a caller who goes by it misses none and is refused none.
func TestChoicesAreWhatFleetDeclares(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "fleet", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no source: %v", err)
	}
	declared := map[string][]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				named, ok := v.Type.(*ast.Ident)
				if !ok || !v.Names[0].IsExported() || len(v.Values) != 1 {
					continue
				}
				if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					declared[named.Name] = append(declared[named.Name], text)
				}
			}
		}
	}
	for of := range choices {
		raw, err := json.Marshal(schemaOf(of, map[string]any{}))
		if err != nil {
			t.Fatal(err)
		}
		var schema struct {
			Type string
			Enum []string
		}
		if err := json.Unmarshal(raw, &schema); err != nil {
			t.Fatal(err)
		}
		want := declared[of.Name()]
		slices.Sort(want)
		slices.Sort(schema.Enum)
		if schema.Type != "string" || len(want) < 2 || !slices.Equal(schema.Enum, want) {
			t.Errorf("%s: the document says %v, fleet declares %v", of.Name(), schema.Enum, want)
		}
	}
	if len(choices) < 6 || choices[reflect.TypeFor[string]()] != nil {
		t.Errorf("%d types have choices", len(choices))
	}
}
