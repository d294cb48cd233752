package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/windows"
	"muster/pki"
	"muster/store"
)

// RestoreConfig is what `muster restore` takes.
type RestoreConfig struct {
	Config
	File, Recovery string
	Replace        bool
}

// ParseRestore reads the file name and the flags of `muster restore`.
func ParseRestore(args []string, out io.Writer) (RestoreConfig, error) {
	var c RestoreConfig
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		c.File, args = args[0], args[1:]
	}
	fs := newFlagSet("restore FILE")
	c.flags(fs)
	fs.StringVar(&c.Recovery, "recovery", "", "`file` with the recovery key")
	fs.BoolVar(&c.Replace, "replace", false, "set the data that are in --data aside")
	if err := parseAbout(fs, args, out); err != nil {
		return RestoreConfig{}, err
	}
	if c.File == "" || c.Recovery == "" {
		return RestoreConfig{}, UsageError{"restore needs the backup and the recovery key: muster restore FILE --data DIR --key NEWKEY --recovery KEYFILE"}
	}
	return c, c.complete()
}

// Restore reads a backup into the data directory, under a seal key that is made when absent. The whole file is checked first, what it holds is restored
// beside what is there and brought into the state of after a restore; only then does it take its place.
func Restore(ctx context.Context, c RestoreConfig, out io.Writer) error {
	text, err := os.ReadFile(c.Recovery)
	if err != nil {
		return fmt.Errorf("recovery key: %w", err)
	}
	key, err := store.ParseRecoveryKey(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", c.Recovery, err)
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	head, err := store.BackupHead(file)
	if err != nil {
		return restoreError(&c, err)
	}
	if head.Schema > c.schema {
		return fmt.Errorf("the backup was made by a newer version of Muster (%s, schema %d; this one knows up to %d): restore it with that version. Nothing was changed", head.Program, head.Schema, c.schema)
	}
	r, err := store.ReadRestore(ctx, file, key, c.Data, c.Key, c.Replace, c.Logger)
	if err != nil {
		return restoreError(&c, err)
	}
	found, err := prepareRestored(ctx, c.Config, r)
	if err != nil {
		return errors.Join(fmt.Errorf("the backup was read, but cannot be used; nothing was changed: %w", err), r.Discard())
	}
	old, err := r.Swap(c.Clock())
	if err != nil {
		return restoreError(&c, err)
	}
	if err := giveToOwner(c.Data, c.Key); err != nil {
		return fmt.Errorf("restored, but the files could not be given to the owner of %s: %w", c.Data, err)
	}
	fmt.Fprintf(out, "Restored %d devices and %d people from the backup of %s.\n", found.devices, found.people, head.Created.Local().Format("2006-01-02 15:04"))
	if old != "" {
		fmt.Fprintf(out, "What was there before is in %s; delete it when all is well.\n", old)
	}
	fmt.Fprintf(out, `Devices go on with the certificates that they have, as soon as the old address leads to this machine.
Nothing is wiped, retired or deleted (%d such orders wait) until an administrator has looked at the list under %s/restored.
Open invitations, sign-ins and API tokens have ended: sign in with password and second factor.
Start it with: %s
`, found.removals, c.URL, startCommand(c.Config))
	return nil
}

func restoreError(c *RestoreConfig, err error) error {
	switch {
	case errors.Is(err, store.ErrBadBackup):
		return fmt.Errorf("%s is not restored, and nothing was changed: %w. Use another backup", c.File, err)
	case errors.Is(err, store.ErrWrongKey):
		return fmt.Errorf("%s is not restored, and nothing was changed: %w", c.File, err)
	case errors.Is(err, store.ErrExists):
		return fmt.Errorf("%s holds data already, and nothing was changed. Name another directory, or add --replace: then the present data are set aside", c.Data)
	case errors.Is(err, store.ErrLocked):
		return fmt.Errorf("another muster uses %s, and nothing was changed: stop it first (muster stop): %w", c.Data, err)
	}
	return dataError(&c.Config, err)
}

// restoredFound is what a restored store holds, for the person at the terminal.
type restoredFound struct{ devices, people, removals int }

// prepareRestored opens the restored store where it stands, brings it to the present schema and into the state of after a restore.
func prepareRestored(ctx context.Context, c Config, r *store.Restore) (found restoredFound, err error) {
	keys, err := store.OpenKeys(r.Dir, c.Key)
	if err != nil {
		return found, err
	}
	db, err := store.Open(r.Dir, store.Options{Key: keys.Store, SecretsKey: keys.Secrets, Logger: c.Logger, Schema: c.schema, Free: c.free})
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Migrate(ctx, c.migrations); err != nil {
		return found, err
	}
	authority, err := pki.Open(ctx, db, pki.Config{Clock: c.Clock, Logger: c.Logger})
	if err != nil {
		return found, err
	}
	f, err := fleet.New(fleet.Config{DB: db, PKI: authority, Clock: c.Clock, Logger: c.Logger, BackupDir: c.BackupDir, Version: Version})
	if err != nil {
		return found, err
	}
	if err := windows.VoidSignIns(ctx, db); err != nil {
		return found, err
	}
	if err := f.AfterRestore(ctx, r.Summary.Header.Created); err != nil {
		return found, err
	}
	counts, err := f.Overview(ctx, fleet.Job("restore"))
	if err != nil {
		return found, err
	}
	waiting, err := f.Restored(ctx, fleet.Job("restore"))
	if err != nil {
		return found, err
	}
	return restoredFound{devices: counts.Devices, people: counts.People, removals: waiting.Count}, nil
}

// recoveryFile is what is written for a person to keep.
func recoveryFile(organisation, name, key string, at time.Time) string {
	return fmt.Sprintf("# Muster recovery key %s of %s, made %s.\n# Backups open with this key only, and it opens all of them. Keep it safe, and not on the machine that it is for.\n%s\n",
		name, strings.Join(strings.Fields(organisation), " "), at.UTC().Format(time.DateOnly), key)
}
