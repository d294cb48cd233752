package appliance

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// may lists which of our packages each may import; the arrow runs one way.
var may = map[string][]string{
	"muster":                   {"muster/appliance"},
	"muster/appliance":         {"muster/appliance/android", "muster/appliance/api", "muster/appliance/apple", "muster/appliance/fleet", "muster/appliance/sim", "muster/appliance/windows", "muster/pki", "muster/store", "muster/jobs", "muster/ui", "muster/ui/words", "muster/packaging/unit"},
	"muster/appliance/android": {"muster/appliance/fleet", "muster/pki", "muster/store"},
	"muster/appliance/api":     {"muster/appliance/fleet", "muster/ui/words"},
	"muster/appliance/apple":   {"muster/appliance/fleet", "muster/pki", "muster/store"},
	"muster/appliance/windows": {"muster/appliance/fleet", "muster/pki", "muster/store"},
	"muster/appliance/fleet":   {"muster/pki", "muster/store"},
	"muster/appliance/sim":     nil, // an outside party: an error in our encoders must not cancel itself out
	"muster/jobs":              nil,
	"muster/packaging":         {"muster/packaging/unit"},
	"muster/packaging/unit":    nil,
	"muster/pki":               {"muster/pki/cms", "muster/store"},
	"muster/pki/cms":           nil,
	"muster/store":             nil,
	"muster/store/storetest":   {"muster/store"},
	"muster/ui":                {"muster/appliance/fleet", "muster/ui/words"},
	"muster/ui/uitest":         nil,
	"muster/ui/words":          nil,
}

func TestImportsRunOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "muster/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for d.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		seen++
		allowed, known := may[p.ImportPath]
		if !known {
			t.Errorf("%s is a new package: say in this table what it may import", p.ImportPath)
		}
		for _, bad := range []string{"util", "common", "helpers", "types", "models"} {
			if strings.HasSuffix(p.ImportPath, "/"+bad) {
				t.Errorf("%s: a package is named for what it does", p.ImportPath)
			}
		}
		for _, imp := range p.Imports {
			if ours := imp == "muster" || strings.HasPrefix(imp, "muster/"); ours && !contains(allowed, imp) {
				t.Errorf("%s imports %s, which it may not: see the table in this file", p.ImportPath, imp)
			}
			if strings.HasPrefix(imp, "github.com/dgraph-io/badger") && p.ImportPath != "muster/store" {
				t.Errorf("%s imports Badger: only store may know it", p.ImportPath)
			}
		}
	}
	if seen < 8 {
		t.Fatalf("only %d packages listed", seen)
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
