package appliance

import (
	"context"
	"muster/store"
	"os"
	"runtime"
	"strconv"

	"muster/appliance/fleet"
)

// Free space under the data directory below which a person is told, and below which it is an error.
const (
	freeWarns = 1 << 30
	freeFails = 256 << 20
)

// ownNeeds are what the machine that Muster runs on needs of a person. It is asked on every page, so it looks only at what is at hand.
func (a *Appliance) ownNeeds(context.Context) ([]fleet.Need, error) {
	var out []fleet.Need
	add := func(severity, object, code string, pairs ...string) {
		out = append(out, fleet.NewNeed(severity, object, fleet.Why(code, pairs...)))
	}
	stats := a.db.Stats()
	if stats.NoRoom {
		add(fleet.SeverityError, "store", "need.store-full")
	}
	if stats.Failed {
		add(fleet.SeverityError, "store", "need.store-failed")
	}
	if free, ok := store.FreeBytes(a.config.Data); ok && free < freeWarns {
		severity := fleet.SeverityWarning
		if free < freeFails {
			severity = fleet.SeverityError
		}
		add(severity, "disk", "need.disk-low", "free", strconv.FormatUint(free, 10), "path", a.config.Data)
	}
	if othersRead(a.config.Key) {
		add(fleet.SeverityWarning, "seal-key", "need.key-readable", "file", a.config.Key)
	}
	return out, nil
}

// othersRead says whether other users of the machine may read a file. Windows keeps such rights elsewhere.
func othersRead(path string) bool {
	info, err := os.Stat(path)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}
