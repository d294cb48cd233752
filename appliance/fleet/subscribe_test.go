package fleet

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/store"
)

func receive(t testing.TB, c <-chan Change) Change {
	t.Helper()
	select {
	case x, ok := <-c:
		if !ok {
			t.Fatal("closed")
		}
		return x
	case <-time.After(time.Minute):
		t.Fatal("no change came")
	}
	return Change{}
}

func TestSubscribe(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	all := h.Subscribe(ctx, h.owner)
	south := h.Subscribe(ctx, h.scoped("south"))
	devicesOnly := h.Subscribe(ctx, Actor{Kind: ActorAdmin, Permissions: map[Permission]bool{DevicesRead: true}, AllTags: true})
	nobody := h.Subscribe(ctx, Actor{})
	anna := h.person("Anna", "anna@example.org", "north")
	bert := h.person("Bert", "bert@example.org", "south")
	h.terms() // publishes "settings"
	for _, want := range []Change{{"person", string(anna.ID)}, {"person", string(bert.ID)}, {"settings", ""}} {
		if got := receive(t, all); got != want {
			t.Errorf("owner got %v, want %v", got, want)
		}
	}
	for _, want := range []Change{{"person", string(bert.ID)}, {"settings", ""}} {
		if got := receive(t, south); got != want {
			t.Errorf("the south got %v, want %v", got, want)
		}
	}
	if got := receive(t, devicesOnly); got.Kind != "settings" {
		t.Errorf("without people.read got %v", got)
	}
	t.Run("nothing comes of what was not committed", func(t *testing.T) {
		_ = h.db.Update(ctx, func(tx store.Tx) error {
			h.publish(tx, "device", "ghost")
			return ErrConflict
		})
		if err := h.DeletePerson(ctx, h.owner, anna.ID); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, all); got != (Change{"person", string(anna.ID)}) {
			t.Errorf("got %v", got)
		}
		if got := receive(t, south); got != (Change{Kind: "person"}) { // gone: no longer known whose it was
			t.Errorf("the south got %v", got)
		}
	})
	t.Run("a slow reader is told that it lost some", func(t *testing.T) {
		h.update(func(tx store.Tx) error {
			for i := range 3 * pendingChanges {
				h.publish(tx, "overview", fmt.Sprint(i))
			}
			return nil
		})
		reset := false
		for {
			c := receive(t, all)
			reset = reset || c.Kind == "reset"
			if c.ID == fmt.Sprint(3*pendingChanges-1) {
				break
			}
		}
		if !reset {
			t.Error("no reset came")
		}
	})
	cancel()
	for _, c := range []<-chan Change{all, nobody} {
		for open := true; open; {
			select {
			case x, ok := <-c:
				if c == nobody && ok {
					t.Errorf("the zero actor got %v", x)
				}
				open = ok
			case <-time.After(time.Minute):
				t.Fatal("not closed after its context ended")
			}
		}
	}
}

// Every code that the organisation's files say stands in the list of codes, with exactly the arguments that it is said with.
func TestReasonCodesAreListed(t *testing.T) {
	listed := warningCodes() // some are said by the appliance
	maps.Copy(listed, orgReasonCodes())
	said := map[string]bool{}
	files := []string{"acceptance", "admin", "admin_save", "audit", "certificates", "faults", "group", "group_members", "group_rule", "invitation", "limiter", "needs", "once", "paging", "password",
		"person", "person_groups", "push", "push_pc", "role", "scope", "server_tls", "session", "settings", "setup", "signin", "subscribe", "terms", "token"}
	for _, name := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(".", name+".go"), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			fn, at := "", 0
			switch f := call.Fun.(type) {
			case *ast.Ident:
				fn = f.Name
			case *ast.SelectorExpr:
				fn = f.Sel.Name
			}
			switch fn {
			case "Why", "refuse":
			case "Refuse", "put":
				at = 1
			default:
				return true
			}
			if len(call.Args) <= at {
				return true
			}
			lit, ok := call.Args[at].(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			code, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			said[code] = true
			var args []string
			for i := at + 1; i < len(call.Args); i += 2 {
				if l, ok := call.Args[i].(*ast.BasicLit); ok && l.Kind == token.STRING {
					s, _ := strconv.Unquote(l.Value)
					args = append(args, s)
				}
			}
			want, known := listed[code]
			if !known {
				want, known = warningCodes()[code]
			}
			switch {
			case !known:
				t.Errorf("%s.go says %q, which is not listed", name, code)
			case !call.Ellipsis.IsValid() && !slices.Equal(args, want):
				t.Errorf("%s.go says %q with %v, listed with %v", name, code, args, want)
			}
			return true
		})
	}
	composed := []string{"power.", "invitation.", "need.profiles-", "push."}
	for code := range orgReasonCodes() {
		if !said[code] && !slices.ContainsFunc(composed, func(p string) bool { return strings.HasPrefix(code, p) }) {
			t.Errorf("%q is listed, and nobody says it", code)
		}
	}
}
