package appliance

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
