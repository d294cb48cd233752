package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// built is the binary of this machine's system, made once.
func built(t *testing.T, dir string) string {
	t.Helper()
	flags := reproducible
	reproducible = nil // it would compile every package anew, for no difference here
	t.Cleanup(func() { reproducible = flags })
	path := filepath.Join(dir, "muster-linux-"+runtime.GOARCH)
	if err := build(t.Context(), target{"linux", runtime.GOARCH}, "1.0.0", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// lacking skips a test that needs what this machine has not; with MUSTER_REQUIRE_ALL that is a failure.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("MUSTER_REQUIRE_ALL") != "" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

func TestShellsCompleteEveryCommand(t *testing.T) {
	said, err := exec.Command("go", "run", "muster", "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range [][]byte{bashCompletion, zshCompletion, fishCompletion} {
		known := commands(script)
		for _, line := range strings.Split(string(said), "\n") {
			if f := strings.Fields(line); strings.HasPrefix(line, "  muster ") && !slices.Contains(known, f[1]) {
				t.Errorf("%.60q does not complete %s", script, f[1])
			}
		}
		for _, c := range known {
			if c != "help" && !bytes.Contains(manPage, []byte(strings.ReplaceAll(c, "-", `\-`))) {
				t.Errorf("the manual does not name %s", c)
			}
		}
	}
}

// The package does what a person expects of one: it installs, runs as the unit says, survives kill -9, upgrades in place, and leaves the data
// when it goes. systemd does not run test machines, so the test starts the program in its place.
func TestDebianPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	if _, err := exec.LookPath("dpkg"); err != nil || os.Geteuid() != 0 || runtime.GOOS != "linux" {
		lacking(t, "root on Debian")
	}
	if _, err := exec.Command("dpkg", "-s", "muster").Output(); err == nil {
		t.Skip("Muster is installed on this machine: the test would take it away")
	}
	if _, err := os.Stat("/var/lib/muster"); err == nil {
		t.Skip("/var/lib/muster holds somebody's data")
	}
	dir := t.TempDir()
	binary := built(t, dir)
	t.Cleanup(func() {
		dpkg("--purge", "muster")
		exec.Command("userdel", "muster").Run()
		os.RemoveAll("/var/lib/muster")
		os.RemoveAll("/etc/muster")
	})
	install := func(version string) {
		t.Helper()
		pkg, err := makePackage("deb", runtime.GOARCH, version, binary, dir)
		if err != nil {
			t.Fatal(err)
		}
		if said, err := dpkg("-i", pkg); err != nil {
			t.Fatalf("dpkg -i: %v\n%s", err, said)
		}
	}
	install("1.0.0")
	for path, want := range map[string]struct {
		mode os.FileMode
		own  string
	}{"/var/lib/muster": {0o700, "muster"}, "/etc/muster/seal.key": {0o600, "root"}, "/etc/muster/muster.env": {0o600, "root"}, "/usr/bin/muster": {0o755, "root"}} {
		info, err := os.Stat(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		u, _ := user.LookupId(fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid))
		if info.Mode().Perm() != want.mode || u == nil || u.Username != want.own {
			t.Errorf("%s: mode %o, owner %v; want %o of %s", path, info.Mode().Perm(), u, want.mode, want.own)
		}
	}
	key, err := os.ReadFile("/etc/muster/seal.key")
	if err != nil {
		t.Fatal(err)
	}

	s := serveAsUnit(t, dir)
	link, err := os.ReadFile("/var/lib/muster/setup-link")
	if err != nil || !bytes.Contains(link, []byte("/setup#")) {
		t.Errorf("no set-up link: %s, %v", link, err)
	}
	said, err := exec.Command("/usr/bin/muster", "status").CombinedOutput()
	if err != nil || !bytes.Contains(said, []byte("Muster 1.0.0 runs")) || !bytes.Contains(said, []byte("/setup#")) {
		t.Errorf("muster status: %v\n%s", err, said)
	}
	s.kill()
	muster := func(in, want string, args ...string) {
		t.Helper()
		cmd := exec.Command("/usr/bin/muster", args...)
		cmd.Stdin = strings.NewReader(in)
		if said, err := cmd.CombinedOutput(); (err == nil) == (want[0] == '!') || !bytes.Contains(said, []byte(strings.TrimPrefix(want, "!"))) {
			t.Errorf("muster %v: %v\n%s", args, err, said)
		}
	}
	// An administrator names neither data nor key, and what root has done the service can go on with.
	muster("een lang wachtwoord 4711\n", "is set up. Start it with: muster start", "setup", "--org", "Noordhaven", "--admin", "a@noordhaven.example", "--recovery-out", filepath.Join(dir, "recovery.key"))
	s = serveAsUnit(t, dir) // after kill -9
	muster("", "data directory /var/lib/muster\n", "doctor")
	s.kill()
	muster("", "read back", "backup", "--out", filepath.Join(dir, "backup"))
	muster("", "/etc/muster/seal.key opens the data in /var/lib/muster", "seal-key")
	serveAsUnit(t, dir).kill()
	muster("", "Restored 0 devices", "restore", filepath.Join(dir, "backup"), "--recovery", filepath.Join(dir, "recovery.key"), "--replace")
	if info, err := os.Stat("/etc/muster/seal.key"); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the restore gave the seal key away: %v", err)
	}
	serveAsUnit(t, dir).kill()
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		muster("", "!package manager", "uninstall")
	}

	install("1.1.0")
	if again, err := os.ReadFile("/etc/muster/seal.key"); err != nil || !bytes.Equal(again, key) {
		t.Errorf("the upgrade changed the seal key: %v", err)
	}
	serveAsUnit(t, dir).kill()

	if said, err := dpkg("-r", "muster"); err != nil || !bytes.Contains(said, []byte("This stays")) {
		t.Errorf("dpkg -r: %v\n%s", err, said)
	}
	for _, path := range []string{"/var/lib/muster/keys", "/etc/muster/seal.key"} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("removing the package took data away: %v", err)
		}
	}
	if _, err := os.Stat("/usr/bin/muster"); err == nil {
		t.Error("the program is still there")
	}
}

type served struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func (s *served) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// serveAsUnit does what the unit says: its program, as its user, with its settings, its state directory and its credential; only the ports are
// free ones. It returns when the server answers.
func serveAsUnit(t *testing.T, dir string) *served {
	t.Helper()
	unit, err := os.ReadFile("/usr/lib/systemd/system/muster.service")
	if err != nil {
		t.Fatal(err)
	}
	value := func(key string) string {
		for _, line := range strings.Split(string(unit), "\n") {
			if v, ok := strings.CutPrefix(line, key+"="); ok {
				return v
			}
		}
		t.Fatalf("the unit has no %s", key)
		return ""
	}
	u, err := user.Lookup(value("User"))
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	name, source, _ := strings.Cut(value("LoadCredential"), ":")
	credential, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	credentials := filepath.Join(dir, "credentials")
	os.MkdirAll(credentials, 0o755)
	os.Chmod(dir, 0o755)
	os.Chmod(filepath.Dir(dir), 0o755)
	path := filepath.Join(credentials, name)
	os.Remove(path)
	if err := errors.Join(os.WriteFile(path, credential, 0o400), os.Chown(path, uid, gid)); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(strings.TrimPrefix(value("EnvironmentFile"), "-"))
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t)
	port, devices := ports[0], ports[1]
	env := []string{"PATH=/usr/bin:/bin", "STATE_DIRECTORY=/var/lib/" + value("StateDirectory"), "CREDENTIALS_DIRECTORY=" + credentials}
	for _, line := range strings.Split(string(settings), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			env = append(env, line)
		}
	}
	env = append(env, "MUSTER_LISTEN=127.0.0.1:"+port, "MUSTER_URL=https://localhost:"+port, "MUSTER_DEVICE_URL=https://localhost:"+devices, "MUSTER_HTTP=")
	argv := strings.Fields(value("ExecStart"))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &served{cmd, make(chan struct{})}
	go func() { defer close(s.done); cmd.Wait() }()
	t.Cleanup(s.kill)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // its CA is new
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		if resp, err := client.Get("https://localhost:" + port + "/readyz"); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
		select {
		case <-s.done:
			t.Fatalf("the service ended: %s", log.String())
		case <-ctx.Done():
			t.Fatalf("the service does not answer: %s", log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// freePorts returns two ports below those that the system hands out: one of these another test's listener might be given before the service is there.
func freePorts(t *testing.T) (found [2]string) {
	t.Helper()
	n := 0
	for port := 7000 + os.Getpid()%2000; n < len(found); port++ {
		if ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			ln.Close()
			found[n] = strconv.Itoa(port)
			n++
		}
	}
	return found
}

// Each package holds what an installation needs, with rights that fit, and sha256sum accepts the list.
func TestPackagesAndChecksums(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "muster-linux-arm64")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := []string{binary}
	for _, format := range formats {
		pkg, err := makePackage(format, "arm64", "1.2.3-rc1", binary, dir)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(filepath.Base(pkg), "1.2.3") {
			t.Errorf("%s does not name its version", pkg)
		}
		files = append(files, pkg)
	}
	list := filepath.Join(dir, "SHA256SUMS")
	if err := writeChecksums(list, files); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("sha256sum"); err == nil {
		cmd := exec.Command("sha256sum", "-c", "SHA256SUMS")
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sha256sum -c: %v\n%s", err, said)
		}
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		lacking(t, "dpkg-deb (Debian)")
	}
	said, err := exec.Command("dpkg-deb", "-c", files[1]).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{"./usr/bin/muster", "./usr/lib/systemd/system/muster.service", "./usr/share/man/man1/muster.1.gz", "./usr/share/bash-completion/completions/muster"} {
		if !bytes.Contains(said, []byte(want+"\n")) {
			t.Errorf("the package lacks %s:\n%s", want, said)
		}
	}
}

// dpkg runs it, and waits while somebody else on the machine holds its lock.
func dpkg(args ...string) (said []byte, err error) {
	for range 120 {
		said, err = exec.Command("dpkg", args...).CombinedOutput()
		if err == nil || !bytes.Contains(said, []byte("was locked by another process")) {
			break
		}
		time.Sleep(time.Second)
	}
	return said, err
}
