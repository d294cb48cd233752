package appliance

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/kardianos/service"

	"muster/packaging/unit"
)

const whereItsLogIs = "Its log says why: /Library/Logs/Muster/muster.log"

func systemPlaces() places {
	const home = "/Library/Application Support/Muster"
	return places{Binary: "/usr/local/bin/muster", Data: home + "/data", Key: home + "/seal.key", User: "_muster"}
}

func mustBeAdministrator(what string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("only root may do that: sudo muster %s", what)
	}
	return nil
}

func managed() error { return nil }

func serviceConfig(p places, binary string, c InstallConfig) *service.Config {
	return &service.Config{Name: serviceName, Executable: binary, Option: service.KeyValue{"LaunchdConfig": unit.Launchd(binary, serveArguments(p, c)...)}}
}

// makeUser makes a hidden user and group with the first free number below 400, as macOS keeps for services.
func makeUser(p places) error {
	if _, err := user.Lookup(p.User); err == nil {
		return nil
	}
	id := ""
	for n := 399; n > 300 && id == ""; n-- {
		s := strconv.Itoa(n)
		if _, err := user.LookupId(s); err != nil {
			if _, err := user.LookupGroupId(s); err != nil {
				id = s
			}
		}
	}
	if id == "" {
		return fmt.Errorf("no number is free for the user %s", p.User)
	}
	for _, line := range [][]string{
		{"-create", "/Groups/" + p.User}, {"-create", "/Groups/" + p.User, "PrimaryGroupID", id},
		{"-create", "/Users/" + p.User}, {"-create", "/Users/" + p.User, "UniqueID", id}, {"-create", "/Users/" + p.User, "PrimaryGroupID", id},
		{"-create", "/Users/" + p.User, "UserShell", "/usr/bin/false"}, {"-create", "/Users/" + p.User, "NFSHomeDirectory", "/var/empty"},
		{"-create", "/Users/" + p.User, "RealName", "Muster"}, {"-create", "/Users/" + p.User, "IsHidden", "1"},
	} {
		if err := runTool("dscl", append([]string{"."}, line...)...); err != nil {
			return err
		}
	}
	return nil
}

func makeDirectories(p places) error {
	for dir, mode := range map[string]os.FileMode{filepath.Dir(p.Data): 0o755, p.Data: 0o700, "/Library/Logs/Muster": 0o755} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("making %s: %w", dir, err)
		}
	}
	return runTool("chown", p.User+":"+p.User, p.Data, "/Library/Logs/Muster")
}

// shareKey gives the key to the service's user: launchd has no credentials to hand over.
func shareKey(p places) error { return runTool("chown", p.User+":"+p.User, p.Key) }
