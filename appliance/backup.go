package appliance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
	"muster/ui/words"
)

// BackupConfig is what `muster backup` takes.
type BackupConfig struct {
	Config
	Out      string
	Language string
}

// ParseBackup reads the flags of `muster backup`.
func ParseBackup(args []string, out io.Writer) (BackupConfig, error) {
	var c BackupConfig
	fs := newFlagSet("backup")
	c.flags(fs)
	fs.StringVar(&c.Out, "out", "", "`file` to write the backup to; it must not exist")
	fs.StringVar(&c.Language, "language", "en", "`language` of refusals: en or nl")
	if err := parseAbout(fs, args, out); err != nil {
		return BackupConfig{}, err
	}
	if c.Out == "" {
		return BackupConfig{}, UsageError{"backup needs --out FILE"}
	}
	return c, c.complete()
}

// Backup has the running server make a backup and writes it to a file: whole or not at all, and read again to see that it is what was made. Without a
// running server it opens the data itself.
func Backup(ctx context.Context, c BackupConfig, out io.Writer) error {
	if _, err := os.Lstat(c.Out); err == nil {
		return fmt.Errorf("%s exists already: name another file", c.Out)
	}
	sum, size, err := takeBackup(ctx, c)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Backup written and read back: %s (%d MB, SHA-256 %s).\nIt opens with the recovery key only. Keep both, apart, and away from this machine.\n", c.Out, (size+1<<20-1)>>20, sum)
	return nil
}

func takeBackup(ctx context.Context, c BackupConfig) (sum string, size int64, err error) {
	resp, err := localRequest(ctx, c.Data, http.MethodPost, "/backup", 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return backupHere(ctx, c)
	}
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", 0, localFault(resp, c.Language)
	}
	return writeOut(c.Out, resp.Body, resp.Header.Get("X-Backup-SHA256"))
}

// backupHere makes the backup without a server.
func backupHere(ctx context.Context, c BackupConfig) (sum string, size int64, err error) {
	if _, err := os.Stat(filepath.Join(c.Data, "keys")); err != nil {
		return "", 0, fmt.Errorf("no server runs for %s, and there are no data in it", c.Data)
	}
	db, err := openData(ctx, &c.Config)
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, db.Close(), giveToOwner(c.Data, c.Key)) }()
	authority, err := pki.Open(ctx, db, pki.Config{Clock: c.Clock, Logger: c.Logger})
	if err != nil {
		return "", 0, err
	}
	f, err := fleet.New(fleet.Config{DB: db, PKI: authority, Clock: c.Clock, Logger: c.Logger, BackupDir: c.BackupDir, Version: Version})
	if err != nil {
		return "", 0, err
	}
	b, file, err := makeAndOpen(ctx, f)
	if err != nil {
		return "", 0, inWords(err, c.Language)
	}
	defer file.Close()
	return writeOut(c.Out, file, b.SHA256)
}

// makeAndOpen makes a backup for the command line and opens it.
func makeAndOpen(ctx context.Context, f *fleet.Fleet) (*fleet.Backup, io.ReadSeekCloser, error) {
	cli := fleet.Job("cli")
	b, err := f.MakeBackup(ctx, cli, fleet.BackupTaken)
	if err != nil {
		return nil, nil, err
	}
	return f.OpenBackup(ctx, cli, b.ID)
}

// serveBackup answers `muster backup` over the local socket with the file.
func (a *Appliance) serveBackup(w http.ResponseWriter, r *http.Request) {
	b, file, err := makeAndOpen(r.Context(), a.fleet)
	var refusal *fleet.Refusal
	if errors.As(err, &refusal) {
		w.WriteHeader(http.StatusConflict)
		json.NewEncoder(w).Encode(refusal.Reason)
		return
	}
	if err != nil {
		a.log.Error("backup for the command line", "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer file.Close()
	w.Header().Set("X-Backup-SHA256", b.SHA256)
	io.Copy(w, file) // a cut is noticed by the checksum
}

// localFault is what the server answered instead, in words.
func localFault(resp *http.Response, language string) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	var r fleet.Reason
	if resp.StatusCode == http.StatusConflict && json.Unmarshal(body, &r) == nil && r.Code != "" {
		return inWords(&fleet.Refusal{Kind: fleet.ErrConflict, Reason: r}, language)
	}
	return fmt.Errorf("the server answered %s: %s", resp.Status, body)
}

// inWords puts a refusal into the words of a language, for a terminal.
func inWords(err error, language string) error {
	var refusal *fleet.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	catalogue, loadErr := words.Load(nil)
	if loadErr != nil {
		return errors.Join(err, loadErr)
	}
	lang, _ := words.ParseLang(language)
	return errors.New(catalogue.Reason(lang, refusal.Reason.Code, wordsArgs(refusal.Reason.Args), refusal.Reason.DeviceWords))
}

// writeOut writes a backup to a file that does not exist yet: whole, synced and with the checksum that it was made with, or not at all.
func writeOut(path string, in io.Reader, want string) (sum string, size int64, err error) {
	err = store.WriteWhole(path, true, func(f *os.File) (err error) {
		if size, err = io.Copy(f, in); err != nil {
			return err
		}
		h := sha256.New()
		if _, err = io.Copy(h, io.NewSectionReader(f, 0, max(0, size-sha256.Size))); err != nil {
			return err
		}
		if sum = hex.EncodeToString(h.Sum(nil)); sum != want {
			return fmt.Errorf("%w: what was written reads back otherwise", store.ErrBadBackup)
		}
		return nil
	})
	return sum, size, err
}
