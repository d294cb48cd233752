package appliance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows"
)

const whereItsLogIs = "Its log says why: Event Viewer, Windows Logs, Application, source muster"

func systemPlaces() places {
	data := os.Getenv("ProgramData")
	if data == "" {
		data = `C:\ProgramData`
	}
	programs := os.Getenv("ProgramFiles")
	if programs == "" {
		programs = `C:\Program Files`
	}
	return places{Binary: filepath.Join(programs, "Muster", "muster.exe"), Data: filepath.Join(data, "Muster", "data"), Key: filepath.Join(data, "Muster", "seal.key"),
		User: `NT SERVICE\` + serviceName}
}

func mustBeAdministrator(what string) error {
	if !windows.GetCurrentProcessToken().IsElevated() {
		return fmt.Errorf("only an administrator may do that: open a terminal with \"Run as administrator\" and type muster %s there", what)
	}
	return nil
}

func managed() error { return nil }

// serviceConfig uses a virtual account: a user of the service's own, without a password and without rights elsewhere.
func serviceConfig(p places, binary string, c InstallConfig) *service.Config {
	return &service.Config{Name: serviceName, DisplayName: "Muster", Description: "Muster device management", Executable: binary, UserName: p.User,
		Arguments: serveArguments(p, c), Option: service.KeyValue{"DelayedAutoStart": true, "OnFailure": "restart", "OnFailureDelayDuration": "5s"}}
}

// makeUser has nothing to make: the account comes with the service. It must be known before its rights can be given.
func makeUser(places) error { return nil }

// makeDirectories keeps the data from everyone but administrators, the system and the service. The service's account is named by its security
// identifier, which Windows derives from the name (sc showsid), because the account itself comes into being with the service.
func makeDirectories(p places) error {
	if err := os.MkdirAll(p.Data, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	return runTool("icacls", filepath.Dir(p.Data), "/inheritance:r", "/grant:r", "*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F", "*"+serviceSID+":(OI)(CI)M")
}

// serviceSID is the security identifier of NT SERVICE\muster: S-1-5-80 and the SHA-1 of the upper-case name in UTF-16 ([MS-DTYP] 2.4.2.4).
const serviceSID = "S-1-5-80-3854545397-4158208206-234482759-3758676449-889991628"

func shareKey(p places) error {
	if p.Key == "" {
		return errors.New("no seal key")
	}
	return nil // it inherits the rights of its directory
}
