package appliance

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"muster/packaging/unit"
)

// packageUnits are where Debian's and Red Hat's packages put the unit; on older Debians /lib is a directory of its own.
var packageUnits = []string{"/usr/lib/systemd/system/muster.service", "/lib/systemd/system/muster.service"}

// packaged says whether the service came with a package. The package manager brings and takes its unit: `muster install` and `muster uninstall`
// would leave half of it.
func packaged(p places) bool {
	if p.Unit == "" {
		return false
	}
	if _, err := os.Lstat(p.Unit); err == nil {
		return false // an own unit comes before that of a package (systemd.unit(5)), so the own one is what runs
	}
	for _, path := range packageUnits {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// giveWay takes away the unit that `muster install` once wrote, where a package brings one: it would hide the package's, and go on starting the old
// program after every upgrade. A unit that somebody wrote stays, but for a word about it.
func giveWay(p places, out io.Writer) error {
	if p.Unit == "" {
		return nil
	}
	text, err := os.ReadFile(p.Unit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !unit.Ours(string(text)):
		fmt.Fprintf(out, "%s is not from Muster and stays; it hides the unit of the package.\n", p.Unit)
		return nil
	}
	if err := os.Remove(p.Unit); err != nil {
		return fmt.Errorf("taking the unit of muster install away: %w", err)
	}
	fmt.Fprintf(out, "The service runs the package's program from now on; %s can be deleted.\n", p.Binary)
	return nil
}
