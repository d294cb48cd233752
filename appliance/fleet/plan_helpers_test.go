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
	"time"
)

var testNow = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// TestPlanReasonCodes holds the list against what the sources say.
func TestPlanReasonCodes(t *testing.T) {
	codes := ReasonCodes()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name, ok := call.Fun.(*ast.Ident)
			if !ok || name.Name != "Why" && name.Name != "Refuse" {
				return true
			}
			args := call.Args
			if name.Name == "Refuse" {
				args = args[1:]
			}
			lit, ok := args[0].(*ast.BasicLit)
			if !ok {
				return true // put together: its parts are tested by what they make
			}
			code, _ := strconv.Unquote(lit.Value)
			names, listed := codes[code]
			if !listed {
				t.Errorf("%s: code %q is not listed", file, code)
			}
			for i := 1; i < len(args); i += 2 {
				if key, ok := args[i].(*ast.BasicLit); ok {
					k, _ := strconv.Unquote(key.Value)
					if !slices.Contains(names, k) {
						t.Errorf("%s: code %q is said with %q, which is not listed", file, code, k)
					}
				}
			}
			return true
		})
	}
}

func TestWakeBackoff(t *testing.T) {
	for attempt, want := range map[int]time.Duration{1: time.Minute, 2: 5 * time.Minute, 3: 15 * time.Minute, 4: time.Hour, 27: time.Hour, 28: 24 * time.Hour, 1000: 24 * time.Hour} {
		if got := wakeBackoff(attempt); got != want {
			t.Errorf("attempt %d: got %s, want %s", attempt, got, want)
		}
	}
}

func TestULIDBefore(t *testing.T) {
	at := time.UnixMilli(1469918176385) // the example of the ULID specification: 01ARYZ6S41...
	if got := ulidBefore(at); got != "01ARYZ6S41" {
		t.Fatalf("got %s", got)
	}
}
