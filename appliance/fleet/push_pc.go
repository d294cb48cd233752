package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"muster/store"
)

// WindowsPush is the name under which this server may wake PCs through WNS: that of an app reserved in Microsoft's Partner Center. Without it
// PCs call every ten minutes all the same.
type WindowsPush struct {
	Family string    `json:"family"` // package family name: PCs open their channel for it
	SID    string    `json:"sid"`    // package SID, "ms-app://s-1-15-2-…"
	Saved  time.Time `json:"saved,omitzero"`
	By     string    `json:"by"`
}

// windowsPushRecord is that with its secret, sealed.
type windowsPushRecord struct {
	WindowsPush
	Secret []byte `json:"secret"`
}

// WindowsPushInput of SaveWindowsPush. An empty Secret keeps the one that is there.
type WindowsPushInput struct {
	Family string `json:"family"`
	SID    string `json:"sid"`
	Secret string `json:"secret,omitempty"`
}

var (
	familyForm = regexp.MustCompile(`^[A-Za-z0-9.-]{3,50}_[a-z0-9]{13}$`)
	sidForm    = regexp.MustCompile(`^ms-app://s-1-15-2(-[0-9]{1,10}){7}$`)
)

// sealedWindowsPush is the name under which the client secret is sealed.
const sealedWindowsPush = "windows-push"

func readWindowsPush(tx store.Tx) (*windowsPushRecord, error) {
	b, err := tx.Get(keyWindowsPush)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read WNS settings: %w", err)
	}
	r := new(windowsPushRecord)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("read WNS settings: %w", err)
	}
	return r, nil
}

// WindowsPush returns nil, nil while it is not set up. It is remembered: each session of a PC asks.
func (f *Fleet) WindowsPush(ctx context.Context) (*WindowsPush, error) {
	if p := f.org.windowsPush.Load(); p != nil {
		return *p, nil
	}
	epoch := f.org.windowsPushEpoch.Load()
	var out *WindowsPush
	err := f.db.View(ctx, func(tx store.Tx) error {
		r, err := readWindowsPush(tx)
		if r != nil {
			out = &r.WindowsPush
		}
		return err
	})
	if err == nil {
		f.org.windowsPush.Store(&out)
		if f.org.windowsPushEpoch.Load() != epoch { // saved meanwhile
			f.org.windowsPush.Store(nil)
		}
	}
	return out, err
}

// WindowsPushSecret is package SID and client secret, for the platform package's Waker; ErrNotFound "windows-push.none" before it is set up.
func (f *Fleet) WindowsPushSecret(ctx context.Context) (sid, secret string, err error) {
	err = f.db.View(ctx, func(tx store.Tx) error {
		r, err := readWindowsPush(tx)
		if err != nil {
			return err
		}
		if r == nil {
			return Refuse(ErrNotFound, "windows-push.none")
		}
		b, err := f.db.Sealer().Open(sealedWindowsPush, r.SID, r.Secret)
		if err != nil {
			return fmt.Errorf("open WNS secret: %w", err)
		}
		sid, secret = r.SID, string(b)
		return nil
	})
	return sid, secret, err
}

// SaveWindowsPush sets push for PCs up. They learn the name at their next call.
func (f *Fleet) SaveWindowsPush(ctx context.Context, a Actor, in WindowsPushInput) (*WindowsPush, error) {
	if err := needWhole(a, SettingsEdit); err != nil {
		return nil, err
	}
	in.Family, in.SID, in.Secret = strings.TrimSpace(in.Family), strings.ToLower(strings.TrimSpace(in.SID)), strings.TrimSpace(in.Secret)
	if strings.HasPrefix(in.SID, "s-1-") {
		in.SID = "ms-app://" + in.SID
	}
	bad := faults{}
	if !familyForm.MatchString(in.Family) {
		bad.put("family", "windows-push.family")
	}
	if !sidForm.MatchString(in.SID) {
		bad.put("sid", "windows-push.sid")
	}
	bad.line("secret", in.Secret, 0, 300)
	if err := bad.refuse("windows-push.invalid"); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*WindowsPush, error) {
		old, err := readWindowsPush(tx)
		if err != nil {
			return nil, err
		}
		next := &windowsPushRecord{WindowsPush: WindowsPush{Family: in.Family, SID: in.SID, Saved: f.now().UTC(), By: a.Name}}
		var before any
		if old != nil {
			before = old.WindowsPush
		}
		switch {
		case in.Secret != "":
			next.Secret = f.db.Sealer().Seal(sealedWindowsPush, in.SID, []byte(in.Secret))
		case old != nil && old.SID == in.SID:
			next.Secret = old.Secret
		default:
			return nil, refuseField(ErrInvalid, "secret", Why("input.required"))
		}
		b, err := json.Marshal(next)
		if err != nil {
			return nil, err
		}
		if err := tx.Put(keyWindowsPush, b); err != nil {
			return nil, fmt.Errorf("save WNS settings: %w", err)
		}
		f.forgetWindowsPush(tx)
		tx.OnCommit(f.retryPushes)
		f.publish(tx, "settings", "")
		return &next.WindowsPush, f.recordSave(tx, a, "windows-push", next.Family, nil, before, next.WindowsPush)
	})
}

// RemoveWindowsPush takes it back: PCs close their channels at their next call.
func (f *Fleet) RemoveWindowsPush(ctx context.Context, a Actor) error {
	if err := needWhole(a, SettingsEdit); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		old, err := readWindowsPush(tx)
		if err != nil {
			return err
		}
		if old == nil {
			return Refuse(ErrNotFound, "windows-push.none")
		}
		if err := tx.Delete(keyWindowsPush); err != nil {
			return err
		}
		f.forgetWindowsPush(tx)
		f.publish(tx, "settings", "")
		return f.record(tx, a, "delete", "windows-push", old.Family, nil, old.WindowsPush, nil)
	})
}

func (f *Fleet) forgetWindowsPush(tx store.Tx) {
	tx.OnCommit(func() {
		f.org.windowsPushEpoch.Add(1)
		f.org.windowsPush.Store(nil)
	})
}
