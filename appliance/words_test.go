package appliance

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"muster/appliance/android"
	"muster/appliance/apple"
	"muster/appliance/fleet"
	"muster/appliance/windows"
	"muster/ui/words"
)

// need fails t for each language that has no text for key.
func needWords(t *testing.T, key string) {
	t.Helper()
	if !words.Has(key) {
		t.Errorf("%s has no words in every language", key)
	}
}

// texts reads the catalogue's own files: key → every form in every language.
func texts(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, lang := range words.Langs() {
		files, err := filepath.Glob(filepath.Join("..", "ui", "words", string(lang), "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no texts in %s: %v", lang, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var m map[string]any
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for k, v := range m {
				switch v := v.(type) {
				case string:
					out[k] = append(out[k], v)
				case map[string]any:
					for _, form := range v {
						out[k] = append(out[k], form.(string))
					}
				}
			}
		}
	}
	return out
}

var placeholder = regexp.MustCompile(`\{([a-z_]+)(?:\|[^}]*)?\}`)

// Every reason has words in both languages, and they ask for no argument that the domain does not give.
func TestEveryReasonHasWordsThatFit(t *testing.T) {
	all := texts(t)
	count := 0
	for name, codes := range map[string]map[string][]string{"fleet": fleet.ReasonCodes(), "apple": apple.ReasonCodes(), "windows": windows.ReasonCodes(), "android": android.ReasonCodes()} {
		for code, args := range codes {
			count++
			key := "reason." + code
			if !words.Has(key) {
				t.Errorf("%s says %q, which has no words in every language", name, code)
				continue
			}
			for _, text := range all[key] {
				for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
					if !slices.Contains(args, m[1]) {
						t.Errorf("%s: %q asks for {%s}, which %s does not give (it gives %v)", code, text, m[1], name, args)
					}
				}
			}
		}
	}
	if count < 200 {
		t.Errorf("only %d reasons: a list is missing", count)
	}
}

// Every kind of need says what is so and what to do.
func TestEveryWarningHasWordsThatSayWhatToDo(t *testing.T) {
	all := fleet.Warnings()
	if len(all) < 20 {
		t.Fatalf("only %d warnings", len(all))
	}
	for _, w := range all {
		needWords(t, "reason."+w.Code)
		needWords(t, "todo."+w.Code)
	}
}

// What the register, the profile types, the roles and the lists of states hold has words.
func TestEveryDeclaredThingHasWords(t *testing.T) {
	t.Run("facts", func(t *testing.T) {
		for _, d := range fleet.Declarations() {
			needWords(t, "fact."+string(d.Key))
			needWords(t, d.Why)
			needWords(t, "category."+string(d.Category))
		}
		for _, o := range []fleet.Ownership{fleet.Personal, fleet.Corporate} {
			for _, p := range []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS} {
				for _, key := range fleet.NeverCollected(fleet.Target{Platform: p, Mode: fleet.ModeDevice, Ownership: o}) {
					needWords(t, key)
				}
			}
			needWords(t, "word.ownership."+string(o))
		}
	})
	t.Run("switches", func(t *testing.T) {
		for _, s := range []string{fleet.SwitchPhoneNumber, fleet.SwitchCarrier, fleet.SwitchMAC, fleet.SwitchManagedApps, fleet.SwitchDeviceQuery} {
			needWords(t, "switch."+s)
			needWords(t, "switch."+s+".hint")
		}
	})
	t.Run("permissions and roles", func(t *testing.T) {
		for _, p := range fleet.AllPermissions {
			needWords(t, "word.permission."+string(p))
			about, _, _ := strings.Cut(string(p), ".")
			needWords(t, "permission.about."+about)
		}
		for _, r := range []fleet.RoleID{fleet.RoleOwner, fleet.RoleAdministrator, fleet.RoleHelpDesk, fleet.RoleReadOnly, fleet.RolePrivacy} {
			needWords(t, "role."+string(r))
			needWords(t, "role."+string(r)+".hint")
		}
	})
	t.Run("states", func(t *testing.T) {
		for _, s := range []fleet.State{fleet.Enrolling, fleet.Managed, fleet.Retiring, fleet.Wiping, fleet.Retired, fleet.Wiped, fleet.Left, fleet.Closed} {
			needWords(t, "word.state."+string(s))
		}
		for _, s := range []fleet.ProfileStatusCode{fleet.StatusPending, fleet.StatusSucceeded, fleet.StatusError, fleet.StatusConflict, fleet.StatusNotApplicable,
			fleet.StatusWaitsPerson, fleet.StatusRemoving, fleet.StatusRemoved} {
			needWords(t, "word.status."+string(s))
		}
		for _, s := range []fleet.ActionState{fleet.ActionQueued, fleet.ActionSent, fleet.ActionAcknowledged, fleet.ActionDone, fleet.ActionFailed, fleet.ActionUnknown,
			fleet.ActionExpired, fleet.ActionCancelled, fleet.ActionOvertaken} {
			needWords(t, "word.action_state."+string(s))
		}
		for _, s := range []string{fleet.CertificateLive, fleet.CertificateSuperseded, fleet.CertificateRevoked, fleet.CertificateExpired} {
			needWords(t, "word.certificate_state."+s)
		}
		for _, s := range []string{"open", "used", "expired", "revoked"} {
			needWords(t, "word.invitation_state."+s)
		}
		for _, p := range []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS, fleet.Windows, fleet.Android} {
			needWords(t, "word.platform."+string(p))
			for _, target := range fleet.TargetsOf(p) {
				needWords(t, "word.mode."+string(target.Mode))
			}
		}
	})
	t.Run("actions", func(t *testing.T) {
		for _, a := range fleet.ActionTypes() {
			needWords(t, "word.action."+string(a))
		}
	})
	t.Run("profile types", func(t *testing.T) {
		for _, d := range fleet.ProfileTypes() {
			needWords(t, "word.type."+string(d.Type))
		}
	})
}

// Every setting of every profile type can be named, and so can its choices and headings.
func TestEveryProfileFieldHasWords(t *testing.T) {
	for _, d := range fleet.ProfileTypes() {
		if d.NameHint != "" {
			needWords(t, d.NameHint)
		}
		for _, f := range d.Fields {
			key := "field." + string(d.Type) + "." + f.Key
			needWords(t, key)
			for _, o := range f.Options {
				if f.Kind == fleet.KindChoice {
					needWords(t, key+"."+o)
				}
			}
			if f.Group != "" {
				needWords(t, "field."+string(d.Type)+".group."+f.Group)
			}
		}
	}
}

// Every verb that the domain writes into the log is in its list, and has words for the filter and for the line.
func TestEveryAuditVerbHasWords(t *testing.T) {
	listed := fleet.AuditVerbs()
	for _, v := range listed {
		needWords(t, "audit.verb."+v)
		needWords(t, "audit.line."+v)
	}
	written, objects := recorded(t)
	if len(written) < 15 || len(objects) < 10 {
		t.Fatalf("found only %v and %v: the search does not work", written, objects)
	}
	for v := range written {
		if !slices.Contains(listed, v) {
			t.Errorf("%q is written into the log and not in AuditVerbs", v)
		}
	}
	for o := range objects {
		needWords(t, "audit.kind."+o)
	}
}

// recorded finds the verbs and kinds of objects in the calls of record.
func recorded(t *testing.T) (verbs, objects map[string]bool) {
	t.Helper()
	verbs, objects = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir("fleet", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				fn, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || fn.Sel.Name != "record" || len(n.Args) < 4 {
					return true
				}
				if v, ok := literalText(n.Args[2]); ok {
					verbs[v] = true
				}
				object := n.Args[3]
				if sum, ok := object.(*ast.BinaryExpr); ok {
					object = sum.X
				}
				if o, ok := literalText(object); ok {
					objects[strings.TrimSuffix(o, "/")] = true
				}
			case *ast.AssignStmt: // verb := "update"
				for i, left := range n.Lhs {
					id, ok := left.(*ast.Ident)
					if ok && id.Name == "verb" && i < len(n.Rhs) {
						if v, ok := literalText(n.Rhs[i]); ok {
							verbs[v] = true
						}
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return verbs, objects
}

func literalText(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}
