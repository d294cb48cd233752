package appliance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/certmagic"

	"muster/store"
)

// acmeFile is one thing that certmagic keeps: a certificate, its key, an account. All of it is sealed, since much of it is secret
// and none of it is looked for by its contents.
type acmeFile struct {
	Key      string    `json:"key"`
	Sealed   []byte    `json:"sealed"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// acmeLease is a lock that ends by itself when its holder does not renew it: a process that was killed blocks nobody for long.
type acmeLease struct {
	Name  string    `json:"name"`
	Owner string    `json:"owner"`
	Until time.Time `json:"until"`
}

var (
	acmeFiles  = store.Define("acme", func(f *acmeFile) string { return f.Key })
	acmeLeases = store.Define("acmelock", func(l *acmeLease) string { return l.Name })
)

// How long a lease holds, and how often its holder renews it. Nothing may hold one for longer than leaseMost: what says so was written
// while the clock was ahead.
const (
	leaseFor   = 2 * time.Minute
	leaseEvery = leaseFor / 4
	leaseMost  = time.Hour
	leasePoll  = 500 * time.Millisecond
)

// acmeStorage is certmagic's storage over our store, so that one backup holds accounts, keys and certificates too.
//
// A lock is a lease: Lock waits until there is none that holds, and a goroutine renews it until Unlock. As certmagic allows, a holder that was
// stopped for longer than its lease can find that another took it; what it does is idempotent.
type acmeStorage struct {
	db    *store.DB
	now   func() time.Time
	owner string // of this process' leases

	held held
}

var (
	_ certmagic.Storage          = (*acmeStorage)(nil)
	_ certmagic.TryLocker        = (*acmeStorage)(nil)
	_ certmagic.LockLeaseRenewer = (*acmeStorage)(nil)
)

func newACMEStorage(db *store.DB, now func() time.Time) *acmeStorage {
	return &acmeStorage{db: db, now: now, owner: rand.Text()}
}

// Store puts value at key. A key that is no UTF-8 is refused: kept as JSON it would not be found again by its name.
func (s *acmeStorage) Store(ctx context.Context, key string, value []byte) error {
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: key %q", fs.ErrInvalid, key)
	}
	return s.db.Update(ctx, func(tx store.Tx) error {
		return acmeFiles.Put(tx, &acmeFile{Key: key, Sealed: s.db.Sealer().Seal(acmeFiles.Name(), key, value), Size: int64(len(value)), Modified: s.now().UTC()})
	})
}

// Load returns the value at key, or fs.ErrNotExist.
func (s *acmeStorage) Load(ctx context.Context, key string) ([]byte, error) {
	var out []byte
	err := s.db.View(ctx, func(tx store.Tx) error {
		f, err := acmeFiles.Get(tx, key)
		if err != nil {
			return notExist(err)
		}
		out, err = s.db.Sealer().Open(acmeFiles.Name(), key, f.Sealed)
		return err
	})
	return out, err
}

// Delete removes key and all that lies under it.
func (s *acmeStorage) Delete(ctx context.Context, key string) error {
	return s.db.Update(ctx, func(tx store.Tx) error {
		var keys []string
		err := s.each(tx, key, func(f *acmeFile) (bool, error) {
			keys = append(keys, f.Key)
			return true, nil
		})
		for _, k := range keys {
			if err == nil {
				err = acmeFiles.Delete(tx, k)
			}
		}
		return err
	})
}

// each walks key itself and what lies under it as under a directory.
func (s *acmeStorage) each(tx store.Tx, key string, fn func(*acmeFile) (bool, error)) error {
	q := store.Query{}
	if key != "" {
		q.From, q.To = key, key+"0" // the byte after "/"
	}
	return acmeFiles.Each(tx, q, func(f *acmeFile) (bool, error) {
		if key != "" && f.Key != key && !strings.HasPrefix(f.Key, key+"/") {
			return true, nil
		}
		return fn(f)
	})
}

// Exists says whether key is a value or a directory.
func (s *acmeStorage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// List returns the keys under a directory: all of them, or only what lies directly in it.
func (s *acmeStorage) List(ctx context.Context, dir string, recursive bool) ([]string, error) {
	dir = strings.Trim(dir, "/")
	var out []string
	err := s.db.View(ctx, func(tx store.Tx) error {
		last := ""
		return s.each(tx, dir, func(f *acmeFile) (bool, error) {
			rest := f.Key
			if dir != "" {
				rest = strings.TrimPrefix(strings.TrimPrefix(f.Key, dir), "/")
			}
			if first, _, deeper := strings.Cut(rest, "/"); deeper {
				if first != last {
					out = append(out, path.Join(dir, first))
				}
				last = first
				if !recursive {
					return true, nil
				}
			}
			out = append(out, f.Key)
			return true, nil
		})
	})
	if err == nil && len(out) == 0 {
		err = fs.ErrNotExist
	}
	return out, err
}

// Stat describes a value or a directory.
func (s *acmeStorage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	info := certmagic.KeyInfo{Key: key}
	err := s.db.View(ctx, func(tx store.Tx) error {
		found := false
		err := s.each(tx, key, func(f *acmeFile) (bool, error) {
			found = true
			if f.Key == key {
				info.Modified, info.Size, info.IsTerminal = f.Modified, f.Size, true
			}
			return false, nil
		})
		if err == nil && !found {
			err = fs.ErrNotExist
		}
		return err
	})
	return info, err
}

// Lock takes the lease called name, waiting for as long as another holds it.
func (s *acmeStorage) Lock(ctx context.Context, name string) error {
	for {
		ok, err := s.TryLock(ctx, name)
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(leasePoll):
		}
	}
}

// TryLock takes the lease called name unless another holds it.
func (s *acmeStorage) TryLock(ctx context.Context, name string) (bool, error) {
	// One process takes a name once: two of its goroutines are two holders.
	release, free := s.held.claim(name)
	if !free {
		return false, nil
	}
	got := false
	err := s.db.Update(ctx, func(tx store.Tx) error {
		got = false
		now := s.now()
		l, err := acmeLeases.Get(tx, name)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case l.Owner != s.owner && l.Until.After(now) && l.Until.Before(now.Add(leaseMost)):
			return nil
		}
		got = true
		return acmeLeases.Put(tx, &acmeLease{Name: name, Owner: s.owner, Until: now.Add(leaseFor).UTC()})
	})
	if err != nil || !got {
		release()
		return false, err
	}
	s.held.keep(name, leaseEvery, func() error { return s.RenewLockLease(context.Background(), name, leaseFor) })
	return true, nil
}

// RenewLockLease makes a lease of ours hold until duration from now.
func (s *acmeStorage) RenewLockLease(ctx context.Context, name string, duration time.Duration) error {
	return s.db.Update(ctx, func(tx store.Tx) error {
		l, err := acmeLeases.Get(tx, name)
		if err != nil {
			return notExist(err)
		}
		if l.Owner != s.owner {
			return fmt.Errorf("the lock %q was taken by another", name)
		}
		l.Until = s.now().Add(min(duration, leaseMost/2)).UTC()
		return acmeLeases.Put(tx, l)
	})
}

// Unlock gives the lease back.
func (s *acmeStorage) Unlock(ctx context.Context, name string) error {
	defer s.held.end(name) // last: who waits for it here takes a lease of its own
	return s.db.Update(ctx, func(tx store.Tx) error {
		l, err := acmeLeases.Get(tx, name)
		if errors.Is(err, store.ErrNotFound) || (err == nil && l.Owner != s.owner) {
			return nil
		}
		if err != nil {
			return err
		}
		return acmeLeases.Delete(tx, name)
	})
}

// close ends the renewal of all leases; those not given back run out.
func (s *acmeStorage) close() { s.held.close() }

func notExist(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fs.ErrNotExist
	}
	return err
}
