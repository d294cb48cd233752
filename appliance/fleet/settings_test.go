package fleet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"muster/store"
)

func goodSettings() Settings {
	s := defaultSettings()
	s.Organisation, s.URL = "Acme", "https://muster.acme.example"
	return s
}

func TestSettingsBounds(t *testing.T) {
	h := newHouse(t)
	tests := []struct {
		name        string
		change      func(*Settings)
		field, code string
	}{
		{"no organisation", func(s *Settings) { s.Organisation = "" }, "organisation", "input.required"},
		{"hostile contact", func(s *Settings) { s.Contact = "a\x00" }, "contact", "input.characters"},
		{"unknown language", func(s *Settings) { s.Language = "tlh" }, "language", "input.choice"},
		{"no address", func(s *Settings) { s.URL = "" }, "url", "input.required"},
		{"plain http", func(s *Settings) { s.URL = "http://muster.acme.example" }, "url", "input.https"},
		{"script address", func(s *Settings) { s.URL = "javascript:alert(1)" }, "url", "input.address"},
		{"address with a password", func(s *Settings) { s.URL = "https://u:p@acme.example" }, "url", "input.address"},
		{"address with a query", func(s *Settings) { s.DeviceURL = "https://acme.example/?x=1" }, "device_url", "input.address"},
		{"address with a path", func(s *Settings) { s.DeviceURL = "https://acme.example/mdm" }, "device_url", "input.address"},
		{"unknown switch", func(s *Settings) { s.Switches = map[string]bool{"imei": true} }, "switches", "input.unknown"},
		{"lost mode is no setting", func(s *Settings) { s.Switches = map[string]bool{SwitchLostMode: true} }, "switches", "input.unknown"},
		{"no door", func(s *Settings) { s.DoorDays = 0 }, "door_days", "input.range"},
		{"facts every second", func(s *Settings) { s.FactsEvery = Span(time.Second) }, "facts_every", "input.range"},
		{"renewal after the end", func(s *Settings) { s.RenewBefore = Span(400 * 24 * time.Hour) }, "renew_before", "input.range"},
		{"log kept a day", func(s *Settings) { s.AuditDays = 1 }, "audit_days", "input.range"},
		{"a megabyte", func(s *Settings) { s.URL = "https://" + strings.Repeat("a", 1<<20) }, "url", "input.too-long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := goodSettings()
			tt.change(&s)
			_, err := h.SaveSettings(context.Background(), h.owner, s)
			wantField(t, err, tt.field, tt.code)
		})
	}
}

func TestSettingsAreSaved(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	in := goodSettings()
	in.URL += "/"
	in.Switches = map[string]bool{SwitchMAC: true, SwitchCarrier: false}
	first, err := h.SaveSettings(ctx, h.owner, in)
	if err != nil || first.URL != "https://muster.acme.example" || first.Version != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	read, err := h.Settings(ctx)
	if err != nil || !read.Switches[SwitchMAC] || read.DeviceURL != read.URL {
		t.Errorf("%+v, %v", read, err)
	}
	read.Switches[SwitchCarrier] = true // the caller's copy
	if again, _ := h.Settings(ctx); again.Switches[SwitchCarrier] {
		t.Error("a caller wrote into the cache")
	}
	t.Run("the devices' address follows the public one until it is given", func(t *testing.T) {
		moved := *first
		moved.URL, moved.DeviceURL = "https://new.acme.example", ""
		got, err := h.SaveSettings(ctx, h.owner, moved)
		if err != nil || got.DeviceURL != "https://new.acme.example" {
			t.Fatalf("%+v, %v", got, err)
		}
		got.DeviceURL = "https://mdm.acme.example"
		if first, err = h.SaveSettings(ctx, h.owner, *got); err != nil || first.DeviceURL != "https://mdm.acme.example" {
			t.Fatalf("%+v, %v", first, err)
		}
	})
	t.Run("an older version is refused", func(t *testing.T) {
		second := *first
		second.Organisation = "Other"
		if _, err := h.SaveSettings(ctx, h.owner, second); err != nil {
			t.Fatal(err)
		}
		_, err := h.SaveSettings(ctx, h.owner, *first)
		wantRefusal(t, err, ErrConflict, "changed-meanwhile")
	})
	t.Run("before and after are logged", func(t *testing.T) {
		page, err := h.Audit(ctx, h.owner, AuditQuery{Object: "settings"})
		if err != nil || len(page.Items) != 4 || !strings.Contains(string(page.Items[0].Before), `"Acme"`) || !strings.Contains(string(page.Items[0].After), `"Other"`) {
			t.Errorf("%v, %v", page.Items, err)
		}
	})
	t.Run("a transaction sees its own settings, a failed one leaves none behind", func(t *testing.T) {
		err := h.db.Update(ctx, func(tx store.Tx) error {
			if err := tx.Put(keySettings, []byte(`{"organisation":"Ghost"}`)); err != nil {
				return err
			}
			if s, err := h.settings(tx); err != nil || s.Organisation != "Ghost" {
				t.Errorf("%v, %v", s, err)
			}
			return ErrConflict
		})
		if err == nil {
			t.Fatal("not refused")
		}
		if s, _ := h.Settings(ctx); s.Organisation != "Other" {
			t.Errorf("organisation %q", s.Organisation)
		}
	})
	t.Run("rights", func(t *testing.T) {
		_, err := h.SaveSettings(ctx, Actor{Kind: ActorAdmin, Permissions: map[Permission]bool{SettingsRead: true}}, goodSettings())
		wantRefusal(t, err, ErrForbidden, "forbidden")
	})
}

func TestLockedSettings(t *testing.T) {
	h := newHouse(t, Settings{URL: "https://flag.example", SignProfiles: false, Locked: []string{"url", "sign_profiles"}})
	ctx := context.Background()
	s, err := h.Settings(ctx)
	if err != nil || s.URL != "https://flag.example" || s.SignProfiles || strings.Join(s.Locked, ",") != "url,sign_profiles" {
		t.Fatalf("%+v, %v", s, err)
	}
	s.Organisation = "Acme"
	if s, err = h.SaveSettings(ctx, h.owner, *s); err != nil {
		t.Fatal(err)
	}
	changed := *s
	changed.URL = "https://other.example"
	_, err = h.SaveSettings(ctx, h.owner, changed)
	wantField(t, err, "url", "settings.locked")
	changed = *s
	changed.SignProfiles = true
	_, err = h.SaveSettings(ctx, h.owner, changed)
	wantField(t, err, "sign_profiles", "settings.locked")
}

// What concerns the whole house is not changed by those whose scope is a part of it, whatever their role says.
func TestScopedAdministratorLeavesTheHouseAlone(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	south := h.scoped("south")
	set, err := h.Settings(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func() error{
		"the settings": func() error { _, err := h.SaveSettings(ctx, south, *set); return err },
		"Google": func() error {
			_, err := h.SaveGoogle(ctx, south, GoogleInput{Kind: GoogleRelay, RelayURL: "https://south.example", RelaySecret: "x"})
			return err
		},
		"no Google":       func() error { return h.ForgetGoogle(ctx, south) },
		"pushes to PCs":   func() error { return h.RemoveWindowsPush(ctx, south) },
		"Apple's pushes":  func() error { _, err := h.MakePushCSR(ctx, south); return err },
		"the certificate": func() error { _, err := h.SaveServerTLS(ctx, south, ServerTLS{}); return err },
		"a job":           func() error { return h.RunJob(ctx, south, "cleanup") },
	} {
		if err := try(); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The key by which one certificate authority knows us is not used with another, whose address somebody wrote in its place.
func TestAccountKeyStaysWithItsAuthority(t *testing.T) {
	h := newHouse(t)
	in := ServerTLS{Mode: TLSACME, Directory: "https://ca.example/acme", EABKeyID: "noordhaven", EABKey: strings.Repeat("k", 32)}
	save := func() error { _, err := h.SaveServerTLS(t.Context(), h.owner, in); return err }
	if err := save(); err != nil {
		t.Fatal(err)
	}
	in.EABKey = ""
	if err := save(); err != nil {
		t.Errorf("the same authority, the key not typed again: %v", err)
	}
	in.Directory = "https://evil.example/acme"
	wantField(t, save(), "eab_key", "tls.eab-key")
	in.Mode = TLSInternal // and not in two steps either
	if err := save(); err != nil {
		t.Fatal(err)
	}
	in.Mode = TLSACME
	wantField(t, save(), "eab_key", "tls.eab-key")
}
