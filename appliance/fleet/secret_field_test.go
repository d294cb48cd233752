package fleet

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"muster/store"
)

// A secret among a profile's settings is stored sealed, kept when it is not typed again, and stands nowhere in the clear but in an order.
func TestSecretOfAProfile(t *testing.T) {
	w := newHouse(t)
	ctx := t.Context()
	const key = "correct horse battery"
	network := func(password any) json.RawMessage {
		v := Values{"ssid": "Office"}
		if password != nil {
			v["password"] = password
		}
		return encode(t, v)
	}
	p, err := w.CreateProfile(ctx, w.owner, ProfileInput{Type: TypeWiFi, Name: ptr("Office"), Settings: network(key)})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Values().String("password"); got != SecretShown {
		t.Fatalf("a new profile comes back with %q", got)
	}

	stored := func() *Profile {
		t.Helper()
		var got *Profile
		if err := w.db.View(ctx, func(tx store.Tx) (err error) {
			got, err = profiles.Get(tx, string(p.ID))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	open := func() string {
		t.Helper()
		o, err := w.unsealed(stored())
		if err != nil {
			t.Fatal(err)
		}
		return o.Values().String("password")
	}
	if bytes.Contains(stored().Settings, []byte(key)) || open() != key {
		t.Fatalf("stored as %s", stored().Settings)
	}

	save := func(in ProfileInput) *Profile {
		t.Helper()
		got, err := w.UpdateProfile(ctx, w.owner, p.ID, in)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	platforms := []Platform{IOS}
	for name, in := range map[string]ProfileInput{
		"what a form shows":       {Settings: network(SecretShown)},
		"nothing":                 {Settings: network(nil)},
		"the same once more":      {Settings: network(key)},
		"carried through a form":  {Settings: network(w.HoldSecret(w.owner, key))},
		"nothing but a platform":  {Platforms: &platforms},
		"what is stored, as read": {Settings: p.Settings},
	} {
		before := stored()
		save(in)
		if open() != key || !bytes.Equal(before.Settings, stored().Settings) {
			t.Errorf("saved with %s: the key is %q, stored as %s, before as %s", name, open(), stored().Settings, before.Settings)
		}
	}

	before := stored().Revision
	if got := save(ProfileInput{Settings: network("another one")}); got.Revision != before+1 || got.Values().String("password") != SecretShown || open() != "another one" {
		t.Errorf("a new key: revision %d after %d, shown as %q, is %q", got.Revision, before, got.Values().String("password"), open())
	}

	// Nobody reads it: not by any list, not in the log, not filled in for a person.
	read := func(what string, x any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if s := string(encode(t, x)); strings.Contains(s, key) || strings.Contains(s, "another one") || strings.Contains(s, sealedSecret) || !strings.Contains(s, SecretShown) {
			t.Errorf("%s shows %s", what, s)
		}
	}
	one, err := w.Profile(ctx, w.owner, p.ID)
	read("the profile", one, err)
	list, err := w.Profiles(ctx, w.owner, ListQuery{})
	read("the list", list, err)
	versions, err := w.ProfileVersions(ctx, w.owner, p.ID)
	read("the versions", versions, err)
	log, err := w.Audit(ctx, w.owner, AuditQuery{Object: "profile/" + string(p.ID)})
	read("the log", log, err)
	if s := string(encode(t, log)); !strings.Contains(s, secretChanged) {
		t.Errorf("the log does not say that the key was changed: %s", s)
	}

	// What a form carries is of use to nobody else, and not for long.
	held := w.HoldSecret(w.owner, "carried")
	if strings.Contains(held, "carried") {
		t.Errorf("held as %q", held)
	}
	other := w.owner
	other.ID = "somebody else"
	_, err = w.UpdateProfile(ctx, other, p.ID, ProfileInput{Settings: network(held)})
	wantField(t, err, "settings.password", "secret.type-again")
	w.clock.move(heldFor + time.Minute)
	_, err = w.UpdateProfile(ctx, w.owner, p.ID, ProfileInput{Settings: network(held)})
	wantField(t, err, "settings.password", "secret.type-again")

	// It is bound to its profile: moved to another, it cannot be opened.
	moved := *stored()
	moved.ID = "another"
	if _, err := w.unsealed(&moved); err == nil {
		t.Error("the key of one profile opens in another")
	}
}

// A kept secret goes only where it was typed for: who changes the server or the network types it again.
func TestKeptSecretIsNotAimedElsewhere(t *testing.T) {
	w := newHouse(t)
	ctx := t.Context()
	for _, c := range []struct {
		kind        ProfileType
		secret, was string
		place       string
		settings    Values
	}{
		{TypeWiFi, "password", "Office", "ssid", Values{"ssid": "Office", "password": "correct horse battery"}},
		{TypeVPN, "secret", "vpn.example.org", "server", Values{"server": "vpn.example.org", "sign_in": "secret", "secret": "correct horse battery"}},
	} {
		p, err := w.CreateProfile(ctx, w.owner, ProfileInput{Type: c.kind, Name: ptr(string(c.kind)), Settings: encode(t, c.settings)})
		if err != nil {
			t.Fatal(err)
		}
		for _, kept := range []any{nil, SecretShown} {
			v := maps.Clone(c.settings)
			v[c.place], v[c.secret] = "evil.example", kept
			_, err := w.UpdateProfile(ctx, w.owner, p.ID, ProfileInput{Settings: encode(t, v)})
			wantField(t, err, "settings."+c.secret, "secret.other-place")
		}
		v := maps.Clone(c.settings)
		v[c.place] = "new.example"
		if _, err := w.UpdateProfile(ctx, w.owner, p.ID, ProfileInput{Settings: encode(t, v)}); err != nil {
			t.Errorf("%s, typed again for another place: %v", c.kind, err)
		}
	}

	relay := GoogleInput{Kind: GoogleRelay, RelayURL: "https://relay.example.org/", RelaySecret: "given by the relay"}
	if _, err := w.SaveGoogle(ctx, w.owner, relay); err != nil {
		t.Fatal(err)
	}
	relay.RelaySecret = ""
	if _, err := w.SaveGoogle(ctx, w.owner, relay); err != nil {
		t.Errorf("the same relay, its secret not typed again: %v", err)
	}
	relay.RelayURL = "https://evil.example"
	_, err := w.SaveGoogle(ctx, w.owner, relay)
	wantField(t, err, "relay_secret", "input.required")
}
