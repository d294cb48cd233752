package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"muster/store"
)

// Settings of the organisation. A setting given as a flag is Locked.
type Settings struct {
	Organisation string          `json:"organisation"`
	Contact      string          `json:"contact"` // whom people ask for help
	Language     string          `json:"language"`
	URL          string          `json:"url"`           // public address of UI, portal and enrolment pages
	DeviceURL    string          `json:"device_url"`    // address that devices call
	SignMessages bool            `json:"sign_messages"` // Apple: identity by Mdm-Signature as well as TLS
	SignProfiles bool            `json:"sign_profiles"`
	SCEPSingle   bool            `json:"scep_single"`  // offer only the exchange certificate, for SCEP clients that cannot take a bundle
	Switches     map[string]bool `json:"switches"`     // optional facts of personal devices: phone-number, carrier, mac, managed-apps ...
	DoorDays     int             `json:"door_days"`    // how long a removed device's identity may still fetch its removal (default 30)
	FactsEvery   Span            `json:"facts_every"`  // how often facts are asked anew (default 24 h)
	RenewBefore  Span            `json:"renew_before"` // identities are renewed this long before their end (default 60 days)
	AuditDays    int             `json:"audit_days"`   // 0 = kept for ever
	Locked       []string        `json:"locked,omitempty"`
	Version      int             `json:"version"`
}

// defaultSettings are those of a new appliance.
func defaultSettings() Settings {
	return Settings{Language: "en", SignMessages: true, SignProfiles: true, DoorDays: 30, FactsEvery: Span(24 * time.Hour), RenewBefore: Span(60 * 24 * time.Hour)}
}

// clone copies the settings so that nobody writes into a shared map.
func (s *Settings) clone() *Settings {
	c := *s
	c.Switches = maps.Clone(s.Switches)
	c.Locked = slices.Clone(s.Locked)
	return &c
}

// lockable copies one setting, by its JSON name, from the flags.
var lockable = map[string]func(to, from *Settings){
	"organisation":  func(to, from *Settings) { to.Organisation = from.Organisation },
	"contact":       func(to, from *Settings) { to.Contact = from.Contact },
	"language":      func(to, from *Settings) { to.Language = from.Language },
	"url":           func(to, from *Settings) { to.URL = from.URL },
	"device_url":    func(to, from *Settings) { to.DeviceURL = from.DeviceURL },
	"sign_messages": func(to, from *Settings) { to.SignMessages = from.SignMessages },
	"sign_profiles": func(to, from *Settings) { to.SignProfiles = from.SignProfiles },
	"scep_single":   func(to, from *Settings) { to.SCEPSingle = from.SCEPSingle },
	"switches":      func(to, from *Settings) { to.Switches = maps.Clone(from.Switches) },
	"door_days":     func(to, from *Settings) { to.DoorDays = from.DoorDays },
	"facts_every":   func(to, from *Settings) { to.FactsEvery = from.FactsEvery },
	"renew_before":  func(to, from *Settings) { to.RenewBefore = from.RenewBefore },
	"audit_days":    func(to, from *Settings) { to.AuditDays = from.AuditDays },
}

// cachedSettings are settings with the stored bytes that they were read from: equal bytes, equal settings.
type cachedSettings struct {
	raw      []byte
	settings *Settings
}

// settings returns the settings as this transaction sees them. The result is shared: it is not to be written to.
func (f *Fleet) settings(tx store.Tx) (*Settings, error) {
	raw, err := tx.Get(keySettings)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if c := f.org.settings.Load(); c != nil && bytes.Equal(c.raw, raw) {
		return c.settings, nil
	}
	s := defaultSettings()
	if raw != nil {
		s = Settings{}
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("read settings: %w", err)
		}
	}
	s.Locked = slices.Clone(f.locked.Locked)
	for _, name := range s.Locked {
		if set, ok := lockable[name]; ok {
			set(&s, &f.locked)
		}
	}
	if s.DeviceURL == "" {
		s.DeviceURL = s.URL
	}
	f.org.settings.Store(&cachedSettings{raw, &s})
	return &s, nil
}

// Settings returns the settings; pages that need no sign-in show some of them, so it asks for no actor. They are remembered: each session of a
// PC asks.
func (f *Fleet) Settings(ctx context.Context) (*Settings, error) {
	if s := f.org.settingsNow.Load(); s != nil {
		return s.clone(), nil
	}
	epoch := f.org.settingsEpoch.Load()
	s, err := viewed(ctx, f, f.settings)
	if err != nil {
		return nil, err
	}
	f.org.settingsNow.Store(s)
	if f.org.settingsEpoch.Load() != epoch { // saved meanwhile
		f.org.settingsNow.Store(nil)
	}
	return s.clone(), nil
}

// putSettings stores settings, and has what is remembered forgotten once they are.
func (f *Fleet) putSettings(tx store.Tx, raw []byte) error {
	tx.OnCommit(func() {
		f.org.settingsEpoch.Add(1)
		f.org.settingsNow.Store(nil)
	})
	return tx.Put(keySettings, raw)
}

// SaveSettings replaces the settings. A locked setting cannot change; Version must be the one that was read (0 = do not check).
func (f *Fleet) SaveSettings(ctx context.Context, a Actor, in Settings) (*Settings, error) {
	if err := needWhole(a, SettingsEdit); err != nil {
		return nil, err
	}
	in = *in.clone()
	in.URL, in.DeviceURL = strings.TrimRight(in.URL, "/"), strings.TrimRight(in.DeviceURL, "/")
	for k, on := range in.Switches {
		if !on {
			delete(in.Switches, k)
		}
	}
	return updated(ctx, f, func(tx store.Tx) (*Settings, error) {
		old, err := f.settings(tx)
		if err != nil {
			return nil, err
		}
		if in.Version != 0 && in.Version != old.Version {
			return nil, Refuse(ErrConflict, "changed-meanwhile", "what", "settings")
		}
		bad := checkSettings(&in)
		for _, name := range old.Locked {
			set, ok := lockable[name]
			if !ok {
				continue
			}
			same := in.clone()
			set(same, old)
			if !sameSettings(same, &in) {
				bad.put(name, "settings.locked", "setting", name)
			}
		}
		if err := bad.refuse("settings.invalid"); err != nil {
			return nil, err
		}
		s := in.clone()
		s.Version, s.Locked = old.Version+1, nil
		if s.DeviceURL == s.URL {
			s.DeviceURL = "" // follows the public address
		}
		raw, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		if err := f.putSettings(tx, raw); err != nil {
			return nil, err
		}
		before := old.clone()
		before.Locked = nil
		if err := f.record(tx, a, "update", "settings", "", nil, before, s); err != nil {
			return nil, err
		}
		f.publish(tx, "settings", "")
		if !maps.Equal(before.Switches, s.Switches) {
			if err := f.frameChanged(tx); err != nil {
				return nil, err
			}
		}
		s.Locked = slices.Clone(old.Locked)
		if s.DeviceURL == "" {
			s.DeviceURL = s.URL
		}
		return s, nil
	})
}

func sameSettings(a, b *Settings) bool {
	x, y := a.clone(), b.clone()
	x.Locked, y.Locked, x.Version, y.Version = nil, nil, 0, 0
	if len(x.Switches) == 0 {
		x.Switches = nil
	}
	if len(y.Switches) == 0 {
		y.Switches = nil
	}
	i, _ := json.Marshal(x)
	j, _ := json.Marshal(y)
	return bytes.Equal(i, j)
}

// checkSettings says what is wrong with settings, by JSON name.
func checkSettings(s *Settings) faults {
	bad := faults{}
	bad.line("organisation", s.Organisation, 1, 200)
	bad.line("contact", s.Contact, 0, 500)
	bad.oneOf("language", s.Language, Languages)
	bad.address("url", s.URL)
	if s.DeviceURL != "" {
		bad.address("device_url", s.DeviceURL)
	}
	for k := range s.Switches {
		if !slices.Contains(settingSwitches(), k) {
			bad.put("switches", "input.unknown", "value", clip(k, 60))
		}
	}
	bad.between("door_days", s.DoorDays, 1, 365)
	bad.between("facts_every", int(time.Duration(s.FactsEvery)/time.Hour), 1, 24*30)
	bad.between("renew_before", int(time.Duration(s.RenewBefore)/(24*time.Hour)), 7, 180)
	if s.AuditDays != 0 {
		bad.between("audit_days", s.AuditDays, 30, 3650)
	}
	return bad
}

// Languages that there are words for.
var Languages = []string{"en", "nl"}

// address checks the address of a server: https (http only on loopback names), no user, query or fragment.
func (b faults) address(field, s string) {
	if !b.line(field, s, 1, 500) {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || (u.Path != "" && u.Path != "/") {
		b.put(field, "input.address")
		return
	}
	loopback := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1" || strings.HasSuffix(u.Hostname(), ".localhost")
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		b.put(field, "input.https")
	}
}
