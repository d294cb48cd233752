package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// demoMark is the file that says that a data directory belongs to the demo: demo uses no other, and serve never one of these.
const demoMark = "THIS-IS-A-DEMO"

// prepareDataDir makes the directory (0700) and keeps demo and real data apart.
func prepareDataDir(dir string, demo bool) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the data directory: %w", err)
		}
	case err != nil:
		return fmt.Errorf("data directory: %w", err)
	}
	_, markErr := os.Stat(filepath.Join(dir, demoMark))
	marked := markErr == nil
	switch {
	case demo && !marked && len(entries) > 0:
		return fmt.Errorf("%s is not a demo directory: the demo touches only directories that it made itself; name an empty one", dir)
	case demo && !marked:
		return os.WriteFile(filepath.Join(dir, demoMark), []byte("Made by `muster demo`. It holds simulated devices only.\n"), 0o600)
	case !demo && marked:
		return fmt.Errorf("%s belongs to the demo: name another directory with --data", dir)
	}
	return nil
}

// portError says in plain words why a port could not be had.
func portError(addr string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		switch {
		case errors.Is(op.Err, syscall.EADDRINUSE):
			return fmt.Errorf("another program listens on %s already: stop it, or choose another address with --listen: %w", addr, err)
		case errors.Is(op.Err, syscall.EACCES):
			return fmt.Errorf("not allowed to listen on %s (ports below 1024 need a right): choose another with --listen: %w", addr, err)
		}
	}
	return fmt.Errorf("listening on %s: %w", addr, err)
}
