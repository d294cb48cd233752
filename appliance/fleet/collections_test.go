package fleet

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPrefixesAreUnique: two collections under one prefix would read each other's records.
func TestPrefixesAreUnique(t *testing.T) {
	define := regexp.MustCompile(`store\.Define\("([a-z]+)"`)
	seen := map[string]string{}
	for _, dir := range []string{".", "../../pki"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range define.FindAllStringSubmatch(string(b), -1) {
				if other, twice := seen[m[1]]; twice {
					t.Errorf("prefix %q stands in %s and in %s", m[1], other, file)
				}
				seen[m[1]] = file
			}
		}
	}
	if len(seen) < 20 {
		t.Fatalf("only %d collections found: the search does not work", len(seen))
	}
}
