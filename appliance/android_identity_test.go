package appliance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// sentFile is the PKCS #12 in a phone's policy; "" when there is none.
func sentFile(s sim.AndroidState) string {
	onc, _ := s.Policy["openNetworkConfiguration"].(map[string]any)
	list, _ := onc["Certificates"].([]any)
	for _, x := range list {
		if c, _ := x.(map[string]any); c["Type"] == "Client" {
			file, _ := c["PKCS12"].(string)
			return file
		}
	}
	return ""
}

// A certificate with its key reaches a work profile, mail and Wi-Fi use it, other changes leave it alone, a revoked one is replaced, and it ends with
// the profile, and with the device. The key lies nowhere in the clear.
func TestAndroidIdentity(t *testing.T) {
	journal, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { journal.Close() })
	w := newAndroidsWith(t, true, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(journal, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	f := w.Appliance.fleet
	root := w.profile(fleet.TypeTrustedRoot, "Root on Androids", `{"source":"internal"}`)
	key := w.profile(fleet.TypeIdentity, "Key", fmt.Sprintf(`{"root":%q,"delivery":"pkcs12"}`, root.ID))
	spare := w.profile(fleet.TypeIdentity, "Made on the device", fmt.Sprintf(`{"root":%q,"delivery":"scep"}`, root.ID))
	mail := w.profile(fleet.TypeEmail, "Mail by key", fmt.Sprintf(`{"account":"exchange","host":"mail.noordhaven.example","sign_in":"certificate","identity":%q}`, key.ID))
	wifi := w.profile(fleet.TypeWiFi, "Wi-Fi by key", fmt.Sprintf(`{"ssid":"Studio","security":"enterprise","eap":"tls","identity":%q,"root":%q,"server_names":"radius.noordhaven.example"}`, key.ID, root.ID))
	notes, err := f.CheckProfile(t.Context(), w.Actor, fleet.ProfileInput{ID: key.ID, Type: key.Type, Name: &key.Name, Platforms: &key.Platforms, Settings: key.Settings})
	if err != nil || !slices.ContainsFunc(notes, func(r fleet.Reason) bool { return r.Code == "android.identity-passes-google" }) {
		t.Errorf("notes before saving: %v, %v", notes, err)
	}
	phone, id := w.phone("Anna", fleet.ModeWorkProfile, sim.AndroidOptions{Seed: 51, Password: "2580"})
	arrived := func(names ...string) func() bool {
		return func() bool {
			got := w.succeeded(id)
			return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(got, n) })
		}
	}
	certificates := func(state string) []fleet.CertificateView {
		t.Helper()
		l, err := f.Certificates(t.Context(), w.Actor, fleet.CertificateFilter{Device: id, State: state}, fleet.ListQuery{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(l.Items, func(c fleet.CertificateView) bool { return c.Profile != key.ID })
	}
	seen := func() bool {
		l := certificates(fleet.CertificateLive)
		return len(l) == 1 && !l[0].Evidence.None()
	}
	w.eventually("all that needs the key has arrived", arrived("Key", "Mail by key", "Wi-Fi by key"))
	w.eventually("the certificate was read back", seen)
	if s := w.statuses(id)["Made on the device"]; s.Status != fleet.StatusNotApplicable || s.Reason.Code != "android.not-applicable.identity-scep" {
		t.Errorf("an identity by SCEP: %s %s", s.Status, s.Reason.Code)
	}
	s := phone.State()
	alias := "muster-" + strings.ToLower(string(key.ID))
	if _, there := s.Identities[alias]; !there || len(s.Identities) != 1 || !s.Compliant {
		t.Errorf("identities %v, complaints %q", s.Identities, s.NonCompliance)
	}
	if len(s.Mail) != 1 || s.Mail[0].Certificate != alias || s.Mail[0].Problem != "" || !slices.Contains(s.WiFi, "Studio") {
		t.Errorf("mail %+v, networks %q", s.Mail, s.WiFi)
	}
	first := certificates("")
	if len(first) != 1 {
		t.Fatalf("%d certificates for one phone", len(first))
	}
	file := sentFile(s)
	if file == "" {
		t.Fatal("no key in the policy")
	}
	written := w.written()
	if written["the log"], err = os.ReadFile(journal.Name()); err != nil || len(written["the log"]) == 0 {
		t.Fatalf("no log: %v", err)
	}
	for where, text := range written {
		if bytes.Contains(text, []byte(file[:80])) {
			t.Errorf("the key lies in the clear in %s", where)
		}
	}

	w.profile(fleet.TypePasscode, "Another rule", `{"min_length":4}`)
	w.eventually("the rule has arrived", arrived("Another rule", "Key"))
	if sentFile(phone.State()) != file || len(certificates("")) != 1 {
		t.Error("a rule that has nothing to do with it gave the phone another key")
	}

	if err := f.RevokeCertificate(t.Context(), w.Actor, first[0].Serial); err != nil {
		t.Fatal(err)
	}
	w.eventually("another takes its place", func() bool { return sentFile(phone.State()) != file && seen() })
	second := certificates(fleet.CertificateLive)[0]

	for _, p := range []*fleet.Profile{mail, wifi, spare, key} {
		if err := f.Assign(t.Context(), w.Actor, p.ID, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("it ends with its profile", func() bool {
		return len(phone.State().Identities) == 0 && len(certificates(fleet.CertificateLive)) == 0
	})
	if err := f.Assign(t.Context(), w.Actor, key.ID, []fleet.Assignment{{To: fleet.ToAllPeople}}, false); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is there again", func() bool { return seen() && certificates(fleet.CertificateLive)[0].Serial != second.Serial })
	third := certificates(fleet.CertificateLive)[0]
	w.act(id, fleet.ActRetire)
	w.eventually("the work profile is gone", func() bool { return w.state(id) == fleet.Retired })
	if s := phone.State(); len(s.Identities) != 0 || len(certificates(fleet.CertificateLive)) != 0 {
		t.Errorf("after the end: on the phone %v, alive %d", s.Identities, len(certificates(fleet.CertificateLive)))
	}
	receipt := w.receipt(id)
	at := slices.IndexFunc(receipt.Rows, func(r fleet.RemovalRow) bool { return r.Data == "certificates" })
	if at < 0 {
		t.Fatal("the receipt does not speak of certificates")
	}
	if row := receipt.Rows[at]; row.Proved != "proved" || row.Outcome.Code != "removal.removed-and-revoked" || !slices.Contains(row.Serials, third.Serial) {
		t.Errorf("certificates on the receipt: %+v", row)
	}
	for _, c := range w.google.Complaints() {
		t.Errorf("Google complains: %s", c)
	}
}

// written is what the appliance has put down: its files, and the audit log as people read it.
func (w *androids) written() map[string][]byte {
	w.t.Helper()
	out := w.files()
	l, err := w.Appliance.fleet.Audit(w.t.Context(), w.Actor, fleet.AuditQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	if out["the audit log"], err = json.Marshal(l); err != nil {
		w.t.Fatal(err)
	}
	return out
}
