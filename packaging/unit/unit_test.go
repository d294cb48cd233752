package unit

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/micromdm/plist"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestUnitsAreAsKept(t *testing.T) {
	for name, got := range map[string]string{
		"muster.service":       Systemd("/usr/bin/muster"),
		"blank.service":        Systemd(`/opt/my tools/100% "muster"`),
		"muster.plist":         Launchd("/usr/local/bin/muster", "serve", "--data", "/Library/Application Support/Muster/data"),
		"strange-letter.plist": Launchd("/opt/<a> & b/muster", "serve"),
	} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || string(want) != got {
			t.Errorf("%s is not as kept (go test ./packaging/unit -update): %v\n%s", name, err, got)
		}
	}
}

func TestLaunchdJobIsAPropertyList(t *testing.T) {
	var job struct {
		Label, UserName  string
		ProgramArguments []string
		KeepAlive        bool
	}
	if err := plist.Unmarshal([]byte(Launchd("/opt/<a> & b/muster", "serve", "--url", "https://a?b&c")), &job); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(job.ProgramArguments, "|"); got != "/opt/<a> & b/muster|serve|--url|https://a?b&c" || job.UserName != "_muster" || !job.KeepAlive {
		t.Errorf("%+v", job)
	}
}

// The service must never run as root, nor be able to become it, and its seal key must not lie where its data is.
func TestSystemdUnitIsHardened(t *testing.T) {
	u := Systemd("/usr/bin/muster")
	for _, line := range []string{"User=muster", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
		"LoadCredential=seal.key:/etc/muster/seal.key", "StateDirectory=muster", "StateDirectoryMode=0700"} {
		if !strings.Contains(u, "\n"+line+"\n") {
			t.Errorf("the unit lacks %q", line)
		}
	}
}
