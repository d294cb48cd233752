package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"muster/store"
)

// Recovery is the key that backups are encrypted to, as far as this appliance knows it: its private half is kept by people.
type Recovery struct {
	Name    string           `json:"name,omitempty"` // "" = there is none yet
	Made    *time.Time       `json:"made,omitempty"`
	Proved  *time.Time       `json:"proved,omitempty"` // when somebody showed that they have it
	By      string           `json:"by,omitempty"`
	Pending *PendingRecovery `json:"pending,omitempty"` // one that was shown, and whose possession is to be proved
	Due     bool             `json:"due,omitempty"`     // set-up is not at its end: nobody has made the key or put it off
}

// PendingRecovery is a new key that counts for nothing until a part of it was typed back.
type PendingRecovery struct {
	Name string    `json:"name"`
	Made time.Time `json:"made,omitzero"`
	Ask  []int     `json:"ask"` // groups to type back, counted from 1
}

// recoveryRecord is the stored form. Sealed is a recoveryKeys.
type recoveryRecord struct {
	Name    string      `json:"name,omitempty"`
	Sealed  []byte      `json:"sealed,omitempty"`
	Made    time.Time   `json:"made"`
	Proved  time.Time   `json:"proved"`
	By      string      `json:"by,omitempty"`
	Pending *pendingKey `json:"pending,omitempty"`
	Due     bool        `json:"due,omitempty"`
}

type pendingKey struct {
	Name   string    `json:"name"`
	Sealed []byte    `json:"sealed"`
	Made   time.Time `json:"made"`
	Ask    []int     `json:"ask"`
	Salt   []byte    `json:"salt"`
	Check  []byte    `json:"check"` // SHA-256 of salt and the groups asked for
	Wrong  int       `json:"wrong,omitempty"`
}

// recoveryKeys is what writing a backup takes. The proof in it would let others forge backups, hence it is sealed.
type recoveryKeys struct {
	Public store.RecoveryPublic `json:"public"`
	Own    store.RehearsalKey   `json:"own"`
}

var keyRecovery = []byte("org/recovery")

const (
	recoveryGroup = 6 // characters shown together
	recoveryAsked = 2 // groups to type back
	recoveryTries = 5
)

// RecoveryGroups is a recovery key as it is shown: in groups, the first of which begins after the last dash of its prefix.
func RecoveryGroups(key string) (prefix string, groups []string) {
	i := strings.LastIndex(key, "-") + 2 // the digit after the dash ends the prefix
	if i < 2 || i > len(key) {
		return "", []string{key}
	}
	prefix, key = key[:i], key[i:]
	for len(key) > 0 {
		n := min(recoveryGroup, len(key))
		groups, key = append(groups, key[:n]), key[n:]
	}
	return prefix, groups
}

func readRecovery(tx store.Tx) (recoveryRecord, error) {
	var r recoveryRecord
	b, err := tx.Get(keyRecovery)
	if errors.Is(err, store.ErrNotFound) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read recovery key: %w", err)
	}
	return r, json.Unmarshal(b, &r)
}

func writeRecovery(tx store.Tx, r recoveryRecord) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Put(keyRecovery, b)
}

func (r recoveryRecord) shown() *Recovery {
	out := &Recovery{Name: r.Name, By: r.By, Due: r.Due}
	if r.Name != "" {
		out.Made, out.Proved = timeOrNil(r.Made), timeOrNil(r.Proved)
	}
	if p := r.Pending; p != nil {
		out.Pending = &PendingRecovery{Name: p.Name, Made: p.Made, Ask: slices.Clone(p.Ask)}
	}
	return out
}

// Recovery says which recovery key there is.
func (f *Fleet) Recovery(ctx context.Context, a Actor) (*Recovery, error) {
	if err := need(a, SettingsRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (*Recovery, error) {
		r, err := readRecovery(tx)
		return r.shown(), err
	})
}

// mayRecover: whoever gives out the recovery key reads everything, so that it takes the right to make administrators, and sight of everything.
func mayRecover(a Actor) error {
	if a.Kind == ActorSetup {
		return nil
	}
	if err := need(a, AdminsEdit); err != nil {
		return err
	}
	if !a.AllTags {
		return Refuse(ErrForbidden, "forbidden", "permission", string(AdminsEdit))
	}
	return nil
}

// sealRecovery makes a key with what is kept of it.
func (f *Fleet) sealRecovery() (key *store.RecoveryKey, name string, sealed []byte, err error) {
	if key, err = store.NewRecoveryKey(); err != nil {
		return nil, "", nil, err
	}
	var keep recoveryKeys
	if keep.Public, err = key.Public(); err != nil {
		return nil, "", nil, err
	}
	if keep.Own, err = store.NewRehearsalKey(keep.Public); err != nil {
		return nil, "", nil, err
	}
	b, err := json.Marshal(keep)
	if err != nil {
		return nil, "", nil, err
	}
	name = keep.Public.Name()
	return key, name, f.db.Sealer().Seal("recovery", name, b), nil
}

// NewRecovery makes a recovery key and returns its private half this once. It replaces the present one only when ProveRecovery was told a part
// of it: a key that nobody kept would make every later backup worthless. A newer one takes the place of one that was not proved.
func (f *Fleet) NewRecovery(ctx context.Context, a Actor) (*Recovery, string, error) {
	if err := mayRecover(a); err != nil {
		return nil, "", err
	}
	key, name, sealed, err := f.sealRecovery()
	if err != nil {
		return nil, "", err
	}
	_, groups := RecoveryGroups(key.String())
	p := &pendingKey{Name: name, Sealed: sealed, Made: f.now().UTC(), Salt: make([]byte, 16)}
	_, _ = rand.Read(p.Salt) // never fails
	for len(p.Ask) < recoveryAsked {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(groups)-1))) // the last group is short
		if err != nil {
			return nil, "", err
		}
		if at := int(n.Int64()) + 1; !slices.Contains(p.Ask, at) {
			p.Ask = append(p.Ask, at)
		}
	}
	slices.Sort(p.Ask)
	var asked []string
	for _, at := range p.Ask {
		asked = append(asked, groups[at-1])
	}
	p.Check = p.checkOf(asked)
	out, err := updated(ctx, f, func(tx store.Tx) (*Recovery, error) {
		r, err := readRecovery(tx)
		if err != nil {
			return nil, err
		}
		r.Pending = p
		f.publish(tx, "settings", "")
		return r.shown(), writeRecovery(tx, r)
	})
	if err != nil {
		return nil, "", err
	}
	return out, key.String(), nil
}

func (p *pendingKey) checkOf(parts []string) []byte {
	h := sha256.New()
	h.Write(p.Salt)
	for _, s := range parts {
		h.Write([]byte(strings.ToUpper(strings.Join(strings.Fields(s), "")) + "\n"))
	}
	return h.Sum(nil)
}

// ProveRecovery takes the groups of the new key that were asked for; from then on backups are encrypted to it. After five wrong answers the new
// key is dropped.
func (f *Fleet) ProveRecovery(ctx context.Context, a Actor, parts []string) (*Recovery, error) {
	if err := mayRecover(a); err != nil {
		return nil, err
	}
	var refusal error // wrong tries are counted, so that the transaction has to commit
	out, err := updated(ctx, f, func(tx store.Tx) (*Recovery, error) {
		refusal = nil
		r, err := readRecovery(tx)
		if err != nil {
			return nil, err
		}
		p := r.Pending
		if p == nil {
			return nil, Refuse(ErrConflict, "recovery.none-pending")
		}
		if subtle.ConstantTimeCompare(p.Check, p.checkOf(parts)) != 1 {
			p.Wrong++
			refusal = refuseField(ErrInvalid, "parts", Why("recovery.wrong"))
			if p.Wrong >= recoveryTries {
				r.Pending, refusal = nil, Refuse(ErrConflict, "recovery.dropped")
			}
			return nil, writeRecovery(tx, r)
		}
		return f.useRecovery(tx, a, r, recoveryRecord{Name: p.Name, Sealed: p.Sealed, Made: p.Made})
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// PutOffRecovery ends set-up without a recovery key, because somebody decided so. Needs goes on asking for one.
func (f *Fleet) PutOffRecovery(ctx context.Context, a Actor) error {
	if err := mayRecover(a); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		r, err := readRecovery(tx)
		if err != nil || !r.Due {
			return err
		}
		r.Due = false
		if err := f.record(tx, a, "update", "settings", "", nil, nil, map[string]any{"recovery_key": nil}); err != nil {
			return err
		}
		f.publish(tx, "settings", "")
		return writeRecovery(tx, r)
	})
}

// useRecovery puts a proved key in place of the present one.
func (f *Fleet) useRecovery(tx store.Tx, a Actor, old, r recoveryRecord) (*Recovery, error) {
	r.Proved, r.By = f.now().UTC(), a.Name
	before := map[string]any{"recovery_key": old.Name}
	if old.Name == "" {
		before = nil
	}
	if err := f.record(tx, a, "update", "settings", "", nil, before, map[string]any{"recovery_key": r.Name}); err != nil {
		return nil, err
	}
	f.publish(tx, "settings", "")
	return r.shown(), writeRecovery(tx, r)
}

// SetRecovery makes a recovery key for the command line, which gives its text to keep; when keep has returned without an error, the key
// counts as in somebody's hands.
func (f *Fleet) SetRecovery(ctx context.Context, a Actor, keep func(key string) error) (*Recovery, error) {
	if err := mayRecover(a); err != nil {
		return nil, err
	}
	key, name, sealed, err := f.sealRecovery()
	if err != nil {
		return nil, err
	}
	if err := keep(key.String()); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*Recovery, error) {
		old, err := readRecovery(tx)
		if err != nil {
			return nil, err
		}
		return f.useRecovery(tx, a, old, recoveryRecord{Name: name, Sealed: sealed, Made: f.now().UTC()})
	})
}

// recoveryTarget is what backups are written for; ErrConflict "recovery.missing" without a key.
func (f *Fleet) recoveryTarget(ctx context.Context) (store.BackupTarget, error) {
	return viewed(ctx, f, func(tx store.Tx) (store.BackupTarget, error) {
		r, err := readRecovery(tx)
		if err != nil {
			return store.BackupTarget{}, err
		}
		if r.Name == "" {
			return store.BackupTarget{}, Refuse(ErrConflict, "recovery.missing")
		}
		keep, err := f.openRecovery(r.Name, r.Sealed)
		return store.BackupTarget{Recovery: keep.Public, Rehearsal: keep.Own}, err
	})
}

func (f *Fleet) openRecovery(name string, sealed []byte) (keep recoveryKeys, err error) {
	b, err := f.db.Sealer().Open("recovery", name, sealed)
	if err != nil {
		return keep, fmt.Errorf("open recovery key: %w", err)
	}
	return keep, json.Unmarshal(b, &keep)
}
