package appliance

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/packaging/unit"
)

func TestInstallKeepsTheFlagsOfServe(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"nothing given": {nil, []string{"MUSTER_LISTEN=:443", "MUSTER_HTTP=:80", "MUSTER_URL=https://", "MUSTER_DEVICE_URL=https://"}},
		"an address": {[]string{"--url", "https://muster.example.org"},
			[]string{"MUSTER_URL=https://muster.example.org\n", "MUSTER_DEVICE_URL=https://muster.example.org:8443\n"}},
		"another port": {[]string{"--listen", ":9443", "--url", "https://muster.example.org:9443", "--device-url", "https://devices.example.org:9443"},
			[]string{"MUSTER_LISTEN=:9443\n", "MUSTER_DEVICE_URL=https://devices.example.org:9443\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := ParseInstall(c.args, &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			got := envFile(in.Given)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
			for _, line := range strings.Split(strings.TrimSpace(got), "\n")[1:] {
				key, value, _ := strings.Cut(line, "=")
				t.Setenv(key, value)
			}
			if _, err := ParseServe([]string{"--data", t.TempDir(), "--key", "/elsewhere/seal.key"}, &bytes.Buffer{}); err != nil {
				t.Errorf("serve refuses what install wrote: %v", err)
			}
		})
	}
	for name, args := range map[string][]string{"its own data": {"--data", "/srv"}, "no address": {"--url", "muster.example.org"}, "too much": {"now"}} {
		if _, err := ParseInstall(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

func TestStatusTellsWhereItIsReached(t *testing.T) {
	dir := t.TempDir()
	p := places{Data: dir}
	s := &LocalStatus{Version: "1.2.3", URL: "https://muster.example.org", DeviceURL: "https://muster.example.org:8443", Listening: "[::]:443"}
	if err := os.WriteFile(filepath.Join(dir, "setup-link"), []byte("Set Muster up here: https://muster.example.org/setup#abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tellStatus(&out, p, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Muster 1.2.3 runs", "people    https://muster.example.org\n", "devices   https://muster.example.org:8443", "/setup#abc"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	s.SetUp = true
	if err := tellStatus(&out, p, s); err != nil || strings.Contains(out.String(), "setup") {
		t.Errorf("a set-up link after set-up: %v\n%s", err, out.String())
	}
	for in, want := range map[[2]string]string{{"192.0.2.1", "[::]:443"}: "https://192.0.2.1", {"2001:db8::1", "[::]:443"}: "https://[2001:db8::1]", {"2001:db8::1", ":8443"}: "https://[2001:db8::1]:8443"} {
		if got := nearAddress(in[0], in[1]); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
}

func TestServiceArguments(t *testing.T) {
	got := serveArguments(places{Data: "/data", Key: "/key"}, InstallConfig{Given: map[string]string{"url": "https://a.example", "listen": ":443"}})
	if want := "serve --data /data --key /key --listen :443 --url https://a.example"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// An administrator of an installed service types no directories: what is not named is the service's.
func TestCommandsAreAboutTheInstalledService(t *testing.T) {
	dir := t.TempDir()
	p := places{Data: filepath.Join(dir, "data"), Key: "/etc/muster/seal.key", Env: filepath.Join(dir, "muster.env")}
	if got, err := serviceSettings(p, dir); err != nil || got != nil {
		t.Errorf("no service: %v, %v", got, err)
	}
	if err := os.Mkdir(p.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := serviceSettings(p, dir); err != nil || got != nil {
		t.Errorf("data without a service: %v, %v", got, err)
	}
	for text, want := range map[string]map[string]string{
		envFile(map[string]string{"url": "https://a.example", "listen": ":443"}):  {"MUSTER_URL": "https://a.example", "MUSTER_LISTEN": ":443", "MUSTER_KEY": "/etc/muster/seal.key"},
		"; off\n\n MUSTER_BACKUP_DIR = \"/srv/two words\" \nMUSTER_KEY='/k'\nodd": {"MUSTER_BACKUP_DIR": "/srv/two words", "MUSTER_KEY": "/k"},
		"MUSTER_SEAL_KEY=secret=": {"MUSTER_SEAL_KEY": "secret="},
	} {
		if err := os.WriteFile(p.Env, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want["MUSTER_DATA"] = p.Data
		if got, err := serviceSettings(p, dir); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	if os.Geteuid() == 0 {
		return // root may read everything
	}
	if err := os.Chmod(p.Env, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := serviceSettings(p, filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "sudo") {
		t.Errorf("settings of root: %v", err)
	}
	if got, err := serviceSettings(p, dir); err != nil || got != nil {
		t.Errorf("data of one's own: %v, %v", got, err)
	}
}

// A second `muster install` keeps the settings, and says which of its flags it left out.
func TestInstallSaysWhatItLeavesOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.env")
	install := func(args ...string) string {
		t.Helper()
		in, err := ParseInstall(args, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		if err := in.keep(path, &said); err != nil {
			t.Fatal(err)
		}
		return said.String()
	}
	first := install("--url", "https://a.example")
	was, err := os.ReadFile(path)
	if err != nil || first != "" {
		t.Fatalf("%v, %s", err, first)
	}
	if said := install() + install("--url", "https://a.example"); said != "" {
		t.Errorf("nothing is left out: %s", said)
	}
	if said := install("--url", "https://b.example"); !strings.Contains(said, "MUSTER_URL=https://b.example") || strings.Contains(said, "MUSTER_DEVICE_URL") {
		t.Errorf("said of another address: %s", said)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, was) {
		t.Errorf("%v, %s", err, now)
	}
}

// A flag that was given comes before the environment, and the environment before what the service has.
func TestFurtherSettingsComeLast(t *testing.T) {
	t.Setenv("MUSTER_URL", "https://environment.example")
	var c Config
	fs := newFlagSet("doctor")
	c.flags(fs)
	err := parseWith(fs, []string{"--listen", ":1"}, &bytes.Buffer{}, func(given map[string]bool) (map[string]string, error) {
		if !given["listen"] || !given["url"] || given["data"] {
			t.Errorf("told that %v were given", given)
		}
		return map[string]string{"MUSTER_LISTEN": ":2", "MUSTER_URL": "https://service.example", "MUSTER_DATA": "/var/lib/muster"}, nil
	})
	if err != nil || c.Listen != ":1" || c.URL != "https://environment.example" || c.Data != "/var/lib/muster" {
		t.Errorf("%v, %+v", err, c)
	}
}

// A package takes over from `muster install`, whose unit would hide its own; what somebody else wrote stays.
func TestPackagesTakeOver(t *testing.T) {
	dir := t.TempDir()
	p := places{Binary: "/usr/local/bin/muster", Unit: filepath.Join(dir, "muster.service")}
	var said bytes.Buffer
	if err := giveWay(p, &said); err != nil || said.Len() > 0 {
		t.Errorf("no unit: %v, %s", err, said.String())
	}
	for text, stays := range map[string]bool{unit.Systemd(p.Binary): false, "[Service]\nExecStart=/opt/muster serve\n": true} {
		if err := os.WriteFile(p.Unit, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if packaged(p) {
			t.Error("with a unit of its own it counts as packaged")
		}
		said.Reset()
		if err := giveWay(p, &said); err != nil || said.Len() == 0 {
			t.Errorf("nothing said: %v", err)
		}
		if _, err := os.Stat(p.Unit); (err == nil) != stays {
			t.Errorf("stays: %v, want %v", err == nil, stays)
		}
	}
}
