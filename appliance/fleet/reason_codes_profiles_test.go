package fleet

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every code that the files of profiles say is in the list, with these arguments, and the list holds nothing that nobody says.
func TestProfileReasonCodes(t *testing.T) {
	said := map[string][]string{}
	files, err := filepath.Glob("type_*.go")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, strings.Fields("assignment.go declaration.go delivery_view.go preview.go profile_read.go profile_save.go secret_field.go template.go wanted.go")...) {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			first := -1 // where the code stands among the arguments
			switch fn := call.Fun.(type) {
			case *ast.Ident:
				first = map[string]int{"Why": 1, "Refuse": 2, "warn": 1}[fn.Name] - 1
			case *ast.SelectorExpr:
				first = map[string]int{"put": 2, "refuse": 1}[fn.Sel.Name] - 1
			}
			if first < 0 || len(call.Args) <= first {
				return true
			}
			code, ok := literal(call.Args[first])
			if !ok {
				return true
			}
			args := said[code]
			for i := first + 1; i < len(call.Args); i += 2 {
				if name, ok := literal(call.Args[i]); ok && !slices.Contains(args, name) {
					args = append(args, name)
				}
			}
			said[code] = args
			return true
		})
	}
	if len(said) < 40 {
		t.Fatalf("only %d codes found: the search does not work", len(said))
	}
	list := profileReasonCodes()
	for code, args := range said {
		want, ok := list[code]
		if !ok && code != "not-found" && code != "changed-meanwhile" {
			t.Errorf("%s is not in the list", code)
		}
		for _, a := range args {
			if ok && !slices.Contains(want, a) {
				t.Errorf("%s is said with %s, which the list lacks", code, a)
			}
		}
	}
	for code := range list {
		if _, ok := said[code]; !ok && !strings.HasPrefix(code, "input.") && code != "profile.not-on-ownership" && code != "profile.not-on-mode" {
			t.Errorf("%s is in the list, and nobody says it", code)
		}
	}
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}
