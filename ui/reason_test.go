package ui_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"muster/ui/words"
)

// said finds the reason codes that the packages below the pages say.
var said = []*regexp.Regexp{
	regexp.MustCompile(`\b(?:fleet\.)?Why\("([a-z][a-z0-9.-]*[a-z0-9])"[,)]`),
	regexp.MustCompile(`\b(?:fleet\.)?Refuse\([A-Za-z.]+, "([a-z][a-z0-9.-]*[a-z0-9])"[,)]`),
	regexp.MustCompile(`\bReason\{Code: "([a-z][a-z0-9.-]*[a-z0-9])"`),
	regexp.MustCompile(`(?m)^\s+code[A-Za-z]+\s+= "([a-z][a-z0-9.-]*)"`),
	regexp.MustCompile(`"((?:apple|windows)\.[a-z][a-z.-]*[a-z])"`),
	regexp.MustCompile(`(?m)^\s+"([a-z][a-z0-9.-]*[a-z0-9])":\s+(?:nil|\{"[a-z_"]+.*\}),$`),
}

func TestEveryReasonHasWords(t *testing.T) {
	found := map[string]string{}
	err := filepath.WalkDir("../appliance", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		patterns := said[:5]
		if strings.Contains(path, "reason_codes") {
			patterns = said
		}
		for _, re := range patterns {
			for _, m := range re.FindAllStringSubmatch(string(raw), -1) {
				found[m[1]] = path
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 150 {
		t.Errorf("only %d reasons found: the patterns no longer fit", len(found))
	}
	for code, path := range found {
		if !words.Has("reason." + code) {
			t.Errorf("%s says %q, which has no words", path, code)
		}
	}
}

func TestEveryFactHasWords(t *testing.T) {
	raw, err := os.ReadFile("../appliance/fleet/register_table.go")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	keys := regexp.MustCompile(`(?:FactKey = |Key: )"([a-z.-]+)"`).FindAllStringSubmatch(text, -1)
	whys := regexp.MustCompile(`Why: "(why\.[a-z-]+)"`).FindAllStringSubmatch(text, -1)
	if len(keys) < 60 || len(whys) < 60 {
		t.Fatalf("found %d facts and %d reasons for them: the patterns no longer fit", len(keys), len(whys))
	}
	for _, m := range keys {
		if !words.Has("fact." + m[1]) {
			t.Errorf("the fact %s has no name", m[1])
		}
	}
	for _, m := range whys {
		if !words.Has(m[1]) {
			t.Errorf("%s has no words", m[1])
		}
	}
}
