package appliance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/kardianos/service"

	"muster/packaging/unit"
)

const whereItsLogIs = "Its log says why: journalctl -u muster -e"

func systemPlaces() places {
	return places{Binary: "/usr/local/bin/muster", Data: "/var/lib/muster", Key: "/etc/muster/seal.key", Env: "/etc/muster/muster.env", Unit: "/etc/systemd/system/muster.service", User: "muster"}
}

func mustBeAdministrator(what string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("only root may do that: sudo muster %s", what)
	}
	return nil
}

// managed says whether systemd runs this machine (sd_booted(3)).
func managed() error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return fmt.Errorf("%w: systemd does not run this machine, and Muster knows no other here; have your own supervisor run muster serve as a user of its own", ErrNoManager)
	}
	return nil
}

func serviceConfig(_ places, binary string, _ InstallConfig) *service.Config {
	return &service.Config{Name: serviceName, Description: "Muster device management", Executable: binary,
		Option: service.KeyValue{"SystemdScript": unit.Systemd(binary)}}
}

func makeUser(p places) error {
	if _, err := user.Lookup(p.User); err == nil {
		return nil
	}
	if _, err := exec.LookPath("useradd"); err == nil {
		return runTool("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", p.Data, "--shell", "/usr/sbin/nologin", p.User)
	}
	return runTool("adduser", "-S", "-D", "-H", "-h", p.Data, "-s", "/sbin/nologin", p.User) // busybox
}

// makeDirectories makes the data directory, which is the service's own, and the one for settings and key, which is root's.
func makeDirectories(p places) error {
	u, err := user.Lookup(p.User)
	if err != nil {
		return err
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if err := errors.Join(uerr, gerr); err != nil {
		return err
	}
	if err := os.MkdirAll(p.Data, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	if err := os.Chown(p.Data, uid, gid); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Dir(p.Env), 0o755)
}

// shareKey leaves the key with root: systemd hands it to the service as a credential.
func shareKey(places) error { return nil }
