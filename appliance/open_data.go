package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// schemaNow is the schema of the data that this version writes, and migrations how older data come to it: one entry for every schema above 0.
const schemaNow = 0

var migrations []store.Migration

// openData opens the store of the data directory: it carries an interrupted restore through, and brings data of an older version to the
// present schema, after a backup.
func openData(ctx context.Context, c *Config) (*store.DB, error) {
	if err := store.FinishRestore(c.Data); err != nil {
		return nil, dataError(c, err)
	}
	keys, err := store.OpenKeys(c.Data, c.Key)
	if err != nil {
		return nil, dataError(c, err)
	}
	db, err := store.Open(c.Data, store.Options{Key: keys.Store, SecretsKey: keys.Secrets, Logger: c.Logger, Schema: c.schema, Free: c.free})
	if err != nil {
		return nil, dataError(c, err)
	}
	if err := upgrade(ctx, c, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// dataError says in plain words why the data cannot be opened, and what to do.
func dataError(c *Config, err error) error {
	switch {
	case errors.Is(err, store.ErrLocked):
		return fmt.Errorf("another muster uses %s: stop that one first, or name another directory with --data: %w", c.Data, err)
	case errors.Is(err, store.ErrNewerSchema):
		return fmt.Errorf("%w\nNothing was changed. Install that version again; or go back to the data of before the upgrade: muster restore FILE --replace --data %s --key %s --recovery KEYFILE%s",
			err, c.Data, c.Key, upgradeBackups(c))
	case errors.Is(err, store.ErrKeyMissing):
		return fmt.Errorf("%w\nNothing was changed. If the key is lost for good, restore a backup on a new seal key: muster restore FILE --replace --data %s --key NEWKEY --recovery KEYFILE", err, c.Data)
	case errors.Is(err, store.ErrWrongKey), errors.Is(err, store.ErrKeyPlace):
		return fmt.Errorf("seal key: %w", err)
	}
	if said := placeError(c.Data, err); said != nil {
		return said
	}
	return fmt.Errorf("opening the store in %s: %w", c.Data, err)
}

// placeError says what is wrong with the place of the data: rights, a file system that is read-only or full. It is nil for any other error.
func placeError(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s cannot be written to, its file system is read-only; nothing was changed: mount it writable and start again: %w", dir, err)
	case errors.Is(err, fs.ErrPermission):
		if at := new(fs.PathError); errors.As(err, &at) && !within(dir, at.Path) {
			return fmt.Errorf("this user may not use %s; nothing was changed: give it that file (chown), or start as the user that it belongs to: %w", at.Path, err)
		}
		return fmt.Errorf("this user may not write to %s; nothing was changed: give it the directory (chown), or start as the user that it belongs to: %w", dir, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, store.ErrNoRoom):
		return fmt.Errorf("the disk of %s is full: make room and start again: %w", dir, err)
	}
	return nil
}

// within says whether a path leads to dir or below it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// upgradeBackups names the backups that were made before upgrades, as the end of a sentence.
func upgradeBackups(c *Config) string {
	found, err := filepath.Glob(filepath.Join(c.BackupDir, "*.muster"))
	if err != nil || len(found) == 0 {
		return ""
	}
	slices.Sort(found)
	return "\nThe newest backup here: " + found[len(found)-1]
}

// upgrade migrates data of an older version. The backup before it is the way back: without one nothing is migrated, unless that was asked for.
func upgrade(ctx context.Context, c *Config, db *store.DB) error {
	if db.Schema() >= c.schema {
		return nil
	}
	c.Logger.Info("the data are of an older version", "schema", db.Schema(), "new", c.schema)
	if err := backUpBeforeUpgrade(ctx, c, db); err != nil {
		return err
	}
	if err := db.Migrate(ctx, c.migrations); err != nil {
		return fmt.Errorf("bringing the data to this version (start again to go on with it; the way back is the backup made before): %w", err)
	}
	return nil
}

// backUpBeforeUpgrade makes a backup with the domain as it is before the migration. A migration that was begun already has its backup.
func backUpBeforeUpgrade(ctx context.Context, c *Config, db *store.DB) error {
	begun, err := db.Migrating(ctx)
	if err != nil || begun {
		return err
	}
	authority, err := pki.Open(ctx, db, pki.Config{Clock: c.Clock, Logger: c.Logger})
	if err != nil {
		return fmt.Errorf("backup before the upgrade: %w", err)
	}
	f, err := fleet.New(fleet.Config{DB: db, PKI: authority, Clock: c.Clock, Logger: c.Logger, BackupDir: c.BackupDir, Version: Version})
	if err != nil {
		return err
	}
	b, err := f.MakeBackup(ctx, fleet.Job("upgrade"), fleet.BackupUpgrade)
	switch {
	case err == nil:
		c.Logger.Info("backup made before the upgrade", "file", filepath.Join(c.BackupDir, b.File))
		return nil
	case c.UpgradeBare:
		c.Logger.Warn("no backup before the upgrade, as was asked for", "err", err)
		return nil
	}
	return fmt.Errorf("the data are of an older version, and no backup can be made before they are changed (%w). Nothing was changed. Start the older version, "+
		"make a recovery key and a backup under Settings → Backup, then start this one again; or take the risk with --upgrade-without-backup", err)
}
