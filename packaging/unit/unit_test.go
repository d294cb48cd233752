package unit

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
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

// lacking skips a test that this machine cannot run; with MUSTER_REQUIRE_ALL that is a failure.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("MUSTER_REQUIRE_ALL") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// What systemd itself says of the unit: nothing to complain of, and little exposed. It need not run this machine for that.
func TestSystemdFindsNothingInTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		lacking(t, "systemd-analyze is not on this machine (Debian package systemd)")
	}
	path := filepath.Join(t.TempDir(), "muster.service")
	self, err := os.Executable() // ExecStart must name a program that is there
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(Systemd(self)), 0o644); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); bytes.Contains(said, []byte("muster.service")) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, said)
	} else if err != nil {
		lacking(t, "systemd-analyze cannot verify here: %v\n%s", err, said)
	}
	said, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold=25", path).CombinedOutput()
	if err != nil && bytes.Contains(said, []byte("unrecognized option")) { // before systemd 250
		lacking(t, "this systemd-analyze cannot look at a unit that is not loaded: %s", said)
	}
	if err != nil {
		t.Errorf("exposed more than 2.5 of 10, where 0 is nothing: %v\n%s", err, said)
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
