package fleet

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSettingsAreChecked(t *testing.T) {
	w := newProfWorld(t)
	root := w.profile(TypeTrustedRoot, nil)
	identity := w.profile(TypeIdentity, Values{"root": root.ID})
	good := certificatePEM(t, true, time.Now().Add(time.Hour))
	block, _ := pem.Decode([]byte(good))
	for _, c := range []struct {
		name     string
		typ      ProfileType
		settings string
		platform []Platform
		field    string // "" = accepted
		code     string
	}{
		{"an Exchange account needs its host", TypeEmail, `{}`, nil, "settings.host", "input.required"},
		{"blanks are nothing", TypeEmail, `{"host":"  "}`, nil, "settings.host", "input.required"},
		{"a host alone will do", TypeEmail, `{"host":"mail.example.org"}`, nil, "", ""},
		{"a host is no address", TypeEmail, `{"host":"https://mail.example.org/"}`, nil, "settings.host", "input.host"},
		{"a host is text", TypeEmail, `{"host":7}`, nil, "settings.host", "input.type"},
		{"unknown settings are refused", TypeEmail, `{"host":"a.example","colour":"red"}`, nil, "settings.colour", "input.unknown"},
		{"there is no place for a password", TypeEmail, `{"host":"a.example","password":"secret"}`, nil, "settings.password", "input.unknown"},
		{"switches are not text", TypeEmail, `{"host":"a.example","sync_mail":"yes"}`, nil, "settings.sync_mail", "input.type"},
		{"days are of a list", TypeEmail, `{"host":"a.example","days":5}`, nil, "settings.days", "input.choice"},
		{"all of the mail is zero days", TypeEmail, `{"host":"a.example","days":0}`, nil, "", ""},
		{"numbers are whole", TypeEmail, `{"host":"a.example","days":1.5}`, nil, "settings.days", "input.type"},
		{"one service must stay on", TypeEmail, `{"host":"a.example","sync_mail":false,"sync_contacts":false,"sync_calendars":false,"sync_reminders":false,"sync_notes":false}`, nil, "settings.sync_mail", "email.no-service"},
		{"IMAP needs an SMTP host", TypeEmail, `{"account":"imap","host":"a.example"}`, nil, "settings.smtp_host", "input.required"},
		{"IMAP signs in by password only", TypeEmail, `{"account":"imap","host":"a.example","smtp_host":"b.example","sign_in":"oauth"}`, nil, "settings.sign_in", "email.exchange-only"},
		{"what does not count is not checked", TypeEmail, `{"host":"a.example","smtp_port":99999}`, nil, "", ""},
		{"ports have bounds", TypeEmail, `{"account":"imap","host":"a.example","smtp_host":"b.example","smtp_port":99999}`, nil, "settings.smtp_port", "input.range"},
		{"unknown variables are refused", TypeEmail, `{"host":"a.example","address":"{{email}}"}`, nil, "settings.address", "input.variable"},
		{"braces must pair", TypeEmail, `{"host":"a.example","address":"{{mail"}`, nil, "settings.address", "input.template"},
		{"a host takes no variables", TypeEmail, `{"host":"{{mail-domain}}"}`, nil, "settings.host", "input.template"},
		{"an address is one when filled", TypeEmail, `{"host":"a.example","address":"{{name}}"}`, nil, "settings.address", "input.mail"},
		{"variables join to an address", TypeEmail, `{"host":"a.example","address":"{{mail-local}}@mail.{{mail-domain}}"}`, nil, "", ""},
		{"a user name of its own is needed", TypeEmail, `{"host":"a.example","user_name_from":"template"}`, nil, "settings.user_name", "input.required"},
		{"a certificate needs its identity", TypeEmail, `{"host":"a.example","sign_in":"certificate"}`, nil, "settings.identity", "input.required"},
		{"a reference is to the right type", TypeEmail, `{"host":"a.example","sign_in":"certificate","identity":"` + string(root.ID) + `"}`, nil, "settings.identity", "profile.no-such-reference"},
		{"a reference to what is there", TypeEmail, `{"host":"a.example","sign_in":"certificate","identity":"` + string(identity.ID) + `"}`, nil, "", ""},
		{"a sign-in page is https", TypeEmail, `{"host":"a.example","sign_in":"oauth","oauth_sign_in_url":"http://a.example/"}`, nil, "settings.oauth_sign_in_url", "input.https"},
		{"settings are an object", TypeEmail, `[1]`, nil, "settings", "input.object"},
		{"nothing follows the object", TypeEmail, `{} {}`, nil, "settings", "input.object"},
		{"line breaks are refused", TypeEmail, `{"host":"a.example","account_name":"a\nb"}`, nil, "settings.account_name", "input.one-line"},

		{"an identity needs its root", TypeIdentity, `{}`, nil, "settings.root", "input.required"},
		{"renewal comes in the later half", TypeIdentity, `{"root":"` + string(root.ID) + `","lifetime":60,"renew_before":40}`, nil, "settings.renew_before", "identity.renewed-too-early"},
		{"key sizes are of a list", TypeIdentity, `{"root":"` + string(root.ID) + `","key_size":"1024"}`, nil, "settings.key_size", "input.choice"},

		{"our own root needs nothing", TypeTrustedRoot, `{}`, nil, "", ""},
		{"an uploaded root is needed", TypeTrustedRoot, `{"source":"uploaded"}`, nil, "settings.certificate", "input.required"},
		{"PEM", TypeTrustedRoot, string(encode(t, Values{"source": "uploaded", "certificate": good})), nil, "", ""},
		{"DER in base64", TypeTrustedRoot, string(encode(t, Values{"source": "uploaded", "certificate": base64.StdEncoding.EncodeToString(block.Bytes)})), nil, "", ""},
		{"no CA", TypeTrustedRoot, string(encode(t, Values{"source": "uploaded", "certificate": certificatePEM(t, false, time.Now().Add(time.Hour))})), nil, "settings.certificate", "certificate.not-ca"},
		{"expired", TypeTrustedRoot, string(encode(t, Values{"source": "uploaded", "certificate": certificatePEM(t, true, time.Now().Add(-time.Hour))})), nil, "settings.certificate", "certificate.expired"},
		{"two at once", TypeTrustedRoot, string(encode(t, Values{"source": "uploaded", "certificate": good + good})), nil, "settings.certificate", "certificate.unreadable"},
		{"a private key", TypeTrustedRoot, string(encode(t, Values{"source": "uploaded", "certificate": good + "-----BEGIN PRIVATE KEY-----"})), nil, "settings.certificate", "certificate.private-key"},
		{"nonsense", TypeTrustedRoot, `{"source":"uploaded","certificate":"nonsense"}`, nil, "settings.certificate", "certificate.unreadable"},

		{"a plain passcode", TypePasscode, `{}`, nil, "", ""},
		{"at most sixteen characters", TypePasscode, `{"min_length":17}`, nil, "settings.min_length", "input.range"},
		{"one try is a trap", TypePasscode, `{"max_failed":1}`, nil, "settings.max_failed", "passcode.one-try"},
		{"more complex characters than characters", TypePasscode, `{"min_length":2,"complex_chars":3}`, nil, "settings.complex_chars", "passcode.more-than-length"},
		{"an iPhone locks within fifteen minutes", TypePasscode, `{"auto_lock":30}`, []Platform{IOS, MacOS}, "settings.auto_lock", "input.range-on-platform"},
		{"a Mac within sixty", TypePasscode, `{"auto_lock":30}`, []Platform{MacOS}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := w.input(c.typ, nil, c.platform...)
			in.Settings = []byte(c.settings)
			_, err := w.CheckProfile(context.Background(), w.admin, in)
			if c.field == "" {
				if err != nil {
					t.Fatalf("got %v, want it accepted", err)
				}
				return
			}
			r := refusalOf(err)
			if !errors.Is(err, ErrInvalid) || r == nil || r.Fields[c.field].Code != c.code {
				t.Fatalf("got %v, want %s at %s", err, c.code, c.field)
			}
		})
	}
}

func TestSettingsAreKeptInFull(t *testing.T) {
	w := newProfWorld(t)
	p := w.profile(TypeEmail, Values{"host": "MAIL.example.org", "smtp_host": "left.out", "oauth_sign_in_url": "https://left.out"})
	v := p.Values()
	if v.String("host") != "mail.example.org" || v.Int("days") != 7 || !v.Bool("sync_mail") || v.String("address") != "{{mail}}" {
		t.Errorf("got %v", v)
	}
	for _, key := range []string{"smtp_host", "oauth_sign_in_url", "identity"} {
		if strings.Contains(string(p.Settings), key) {
			t.Errorf("%s does not count here and yet was kept: %s", key, p.Settings)
		}
	}
}

func TestProfilesAreKeptInVersions(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	p := w.profile(TypePasscode, Values{"min_length": 6})
	if p.Version != 1 || p.Revision != 1 {
		t.Fatalf("got version %d, revision %d of a new profile", p.Version, p.Revision)
	}
	q, err := w.UpdateProfile(ctx, w.admin, p.ID, ProfileInput{Settings: encode(t, Values{"min_length": 8}), Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	name := "Renamed"
	r, err := w.UpdateProfile(ctx, w.admin, p.ID, ProfileInput{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	if q.Version != 2 || q.Revision != 2 || r.Version != 3 || r.Revision != 2 {
		t.Errorf("got versions %d, %d and revisions %d, %d; a new name is no new revision", q.Version, r.Version, q.Revision, r.Revision)
	}
	if _, err := w.UpdateProfile(ctx, w.admin, p.ID, ProfileInput{Name: &name, Version: 2}); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v for a save of an old version, want a conflict", err)
	}
	if _, err := w.UpdateProfile(ctx, w.admin, p.ID, ProfileInput{Type: TypeEmail}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v for a change of type", err)
	}
	all, err := w.ProfileVersions(ctx, w.admin, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[0].Name != name || all[2].Values().Int("min_length") != 6 {
		t.Errorf("got %d versions, newest %q", len(all), all[0].Name)
	}
}

func TestNamesAreUnique(t *testing.T) {
	w := newProfWorld(t)
	p := w.profile(TypePasscode, nil)
	name := strings.ToUpper(p.Name)
	_, err := w.CreateProfile(context.Background(), w.admin, ProfileInput{Type: TypePasscode, Name: &name})
	if r := refusalOf(err); !errors.Is(err, ErrConflict) || r.Fields["name"].Code != "profile.name-taken" {
		t.Errorf("got %v, want the name refused", err)
	}
	if _, err := w.CheckProfile(context.Background(), w.admin, ProfileInput{ID: p.ID, Name: &p.Name}); err != nil {
		t.Errorf("got %v: a profile may keep its own name", err)
	}
}

func TestReferredProfilesStay(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	root := w.profile(TypeTrustedRoot, nil)
	identity := w.profile(TypeIdentity, Values{"root": root.ID})
	if r := refusalOf(w.DeleteProfile(ctx, w.admin, root.ID)); r == nil || r.Reason.Code != "profile.referred-to" || r.Reason.Args["by"] != identity.Name {
		t.Errorf("got %v, want it refused with the name of what refers to it", r)
	}
	for _, id := range []ProfileID{identity.ID, root.ID} {
		if err := w.DeleteProfile(ctx, w.admin, id); err != nil {
			t.Errorf("got %v after nothing refers to it", err)
		}
	}
	if _, err := w.Profile(ctx, w.admin, root.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v of a deleted profile", err)
	}
}

func TestNotesBeforeSaving(t *testing.T) {
	w := newProfWorld(t)
	notes, err := w.CheckProfile(context.Background(), w.admin, w.input(TypeEmail, Values{"host": "a.example", "days": 31}, IOS, MacOS, Android))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range notes {
		got = append(got, n.Code+" "+n.Args["platform"]+n.Args["setting"])
	}
	want := []string{"profile.setting-not-on-platform macosdays", "profile.platform-off android", "email.existing-account-blocks ", "email.person-signs-in "}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFillAndPreviewForOnePerson(t *testing.T) {
	w := newProfWorld(t)
	ada := w.person("Ada")
	p := w.profile(TypeEmail, Values{"host": "a.example", "user_name_from": "template", "user_name": `EXAMPLE\{{mail-local}}`, "account_name": "Work ({{name}})"})
	v, err := w.PreviewProfile(context.Background(), w.admin, p.ID, nil, ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	if v.String("user_name") != `EXAMPLE\ada` || v.String("account_name") != "Work (Ada)" || v.String("address") != "ada@example.org" {
		t.Errorf("got %v", v)
	}
	q := w.profile(TypeEmail, Values{"host": "a.example"})
	if v, err := Fill(q, ada); err != nil || v.String("user_name") != ada.UPN {
		t.Errorf("got %v, %v: the name to sign in with comes from the UPN", v, err)
	}
	if _, err := Fill(q, nil); !errors.Is(err, ErrNotApplicable) {
		t.Errorf("got %v without a person", err)
	}
	if _, err := Fill(q, &Person{Name: "No Mail", UPN: "x"}); refusalOf(err) == nil || refusalOf(err).Reason.Args["variable"] != "mail" {
		t.Errorf("got %v, want the variable that is lacking", err)
	}
	// A person's name is text, whatever stands in it.
	v, err = Fill(p, &Person{Name: "{{mail}}", Mail: "x@y.example", UPN: "x"})
	if err != nil || v.String("account_name") != "Work ({{mail}})" {
		t.Errorf("got %v, %v: what is filled in is not filled once more", v, err)
	}
}

func TestIdentityFor(t *testing.T) {
	w := newProfWorld(t)
	root := w.profile(TypeTrustedRoot, nil)
	p := w.profile(TypeIdentity, Values{"root": root.ID, "common_name": "{{name}}", "organisation": "Example", "san_upn": false})
	got, err := IdentityFor(p, &Person{Name: "Ada, CN=root", Mail: "ada@example.org", UPN: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject.CommonName != "Ada, CN=root" || len(got.Emails) != 1 || got.UPN != "" || got.KeySize != 2048 || got.RenewBefore != 30*24*time.Hour {
		t.Errorf("got %+v", got)
	}
}

func TestTrustedRoot(t *testing.T) {
	w := newProfWorld(t)
	c, err := w.TrustedRoot(w.profile(TypeTrustedRoot, nil))
	if err != nil || !c.Equal(w.ca.Root()) {
		t.Errorf("got %v, %v, want our own root", c, err)
	}
	c, err = w.TrustedRoot(w.profile(TypeTrustedRoot, Values{"source": "uploaded", "certificate": certificatePEM(t, true, time.Now().Add(time.Hour))}))
	if err != nil || DescribeCertificate(c).Subject != "CN=Outside Root" || len(DescribeCertificate(c).Fingerprint) != 64 {
		t.Errorf("got %v, %v", c, err)
	}
}

// What was accepted is accepted again, and means the same: a profile that is read and saved unchanged does not change.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{`{}`, `{"host":"a.example","days":0}`, `{"account":"imap","host":"a","smtp_host":"b","port":143}`, `{"min_length":4,"auto_lock":60}`,
		`{"root":"x","common_name":"{{name}} of {{mail-domain}}"}`, `{"ssid":"a","password":" 12345678 "}`, `{"ssid":"a","security":"enterprise","root":"r","identity":"i","server_names":"A.example, *.b"}`, `{"source":"uploaded","certificate":"AAAA"}`, `{"host":"[::1]","address":"{{ mail }}"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, d := range ProfileTypes() {
			bad := faults{}
			v := d.check([]byte(s), []Platform{IOS, MacOS}, nil, bad)
			if len(bad) > 0 {
				continue
			}
			once := encode(t, v)
			twice := encode(t, d.check(once, []Platform{IOS, MacOS}, nil, bad))
			if len(bad) > 0 || string(once) != string(twice) {
				t.Errorf("%s: %s became %s, then %s (%v)", d.Type, s, once, twice, bad)
			}
		}
	})
}
