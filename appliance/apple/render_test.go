package apple

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

var update = flag.Bool("update", false, "write the golden files anew")

// variants are settings that together take every option of every field of a type: a base, and each field's values one after another, for
// each choice of the fields that others hang on.
func variants(t testing.TB, d fleet.Declaration, certificate string) []map[string]any {
	t.Helper()
	fixed := map[string]any{}
	switch d.Type {
	case fleet.TypeEmail:
		fixed = map[string]any{"host": "outlook.office365.com", "smtp_host": "smtp.example.nl", "identity": "identity", "user_name": "EXAMPLE\\{{mail-local}}"}
	case fleet.TypeIdentity:
		fixed = map[string]any{"root": "root"}
	case fleet.TypeTrustedRoot:
		fixed = map[string]any{"certificate": certificate}
	case fleet.TypeWiFi:
		fixed = map[string]any{"ssid": "Office", "password": "correct horse", "identity": "identity", "root": "root",
			"server_names": "radius.example.nl *.wifi.example.nl", "proxy_url": "https://proxy.example.nl/proxy.pac"}
	case fleet.TypeVPN:
		fixed = map[string]any{"server": "vpn.example.nl", "identity": "identity", "root": "root", "secret": "long shared secret", "home_domains": "office.example.nl"}
	case fleet.TypeWebLink:
		fixed = map[string]any{"label": "Intranet <1>", "url": "https://intranet.example.nl/?a=1&b=2"}
	case fleet.TypeRestrictions:
		fixed = map[string]any{"no_screenshots": true}
	case fleet.TypeCustom:
		fixed = map[string]any{"apple_payload": customText, "apple_channel": "device"}
	}
	hinges := map[string]bool{}
	for _, f := range d.Fields {
		if key, _, ok := strings.Cut(f.When, "="); ok {
			hinges[key] = true
		}
	}
	bases := []map[string]any{fixed}
	for _, f := range d.Fields {
		if !hinges[f.Key] {
			continue
		}
		var more []map[string]any
		for _, b := range bases {
			for _, v := range valuesOf(f) {
				more = append(more, with(b, f.Key, v))
			}
		}
		bases = more
	}
	out := slices.Clone(bases)
	for _, b := range bases {
		all := b
		for _, f := range d.Fields {
			if _, ok := b[f.Key]; ok {
				continue
			}
			for _, v := range valuesOf(f) {
				out = append(out, with(b, f.Key, v))
				all = with(all, f.Key, v)
			}
		}
		out = append(out, all)
	}
	var good []map[string]any
	for _, v := range out {
		p := profileOf(t, "x", d.Type, v)
		if d.Check == nil || len(d.Check(p.Values())) == 0 {
			good = append(good, v)
		}
	}
	return good
}

func with(m map[string]any, key string, v any) map[string]any {
	out := map[string]any{key: v}
	for k, x := range m {
		if k != key {
			out[k] = x
		}
	}
	return out
}

// valuesOf are values that take a field to its ends.
func valuesOf(f fleet.Field) []any {
	var out []any
	switch {
	case f.Kind == fleet.KindBool:
		return []any{true, false}
	case f.Kind == fleet.KindPort:
		return []any{143, 465, 65535}
	case f.Kind == fleet.KindURL:
		return []any{"https://login.example.nl/oauth"}
	case f.Kind == fleet.KindHost:
		return []any{"mail.example.nl"}
	case f.Key == "ews_path":
		return []any{"/EWS/Exchange.asmx"}
	case f.Kind == fleet.KindDays && len(f.Options) > 0:
		for _, o := range f.Options {
			n := 0
			_, _ = fmt.Sscan(o, &n)
			out = append(out, n)
		}
		return out
	case f.Kind == fleet.KindChoice:
		for _, o := range f.Options {
			out = append(out, o)
		}
		return out
	case f.Kind == fleet.KindNumber || f.Kind == fleet.KindDays:
		return []any{f.Min, f.Min + 1, f.Max}
	case f.Kind == fleet.KindText:
		return []any{`<&"'> {{name}} é` + "\u2028", "INBOX"}
	}
	return nil
}

// wantedOrder is the order that fleet would hand out for a profile's unit on a device, its references with it.
func (r *rig) orderFor(d *fleet.Device, unit string, wanted ...*fleet.Profile) *fleet.Order {
	r.t.Helper()
	for _, u := range r.apple.Compose(d, wanted) {
		if u.Key != unit {
			continue
		}
		u.Version = "version-1"
		o := &fleet.Order{ID: "01ORDER", Device: d, Person: testPerson, Secrets: map[fleet.ProfileID]string{},
			Step: fleet.Step{Kind: fleet.StepInstall, Unit: &u}}
		for _, id := range u.Profiles {
			for _, p := range wanted {
				if p.ID == id {
					o.Profiles = append(o.Profiles, p)
				}
				if p.ID == id && p.Type == fleet.TypeIdentity {
					o.Secrets[id] = "CHALLENGE-" + string(id)
					o.Packed = map[fleet.ProfileID]fleet.PackedIdentity{id: {PKCS12: []byte("file of " + id), Password: "opens it"}}
				}
			}
		}
		return o
	}
	return nil
}

// unitsWith are the keys of the units that a profile is in.
func (r *rig) unitsWith(d *fleet.Device, id fleet.ProfileID, wanted ...*fleet.Profile) []fleet.Unit {
	var out []fleet.Unit
	for _, u := range r.apple.Compose(d, wanted) {
		if slices.Contains(u.Profiles, id) {
			out = append(out, u)
		}
	}
	return out
}

func companions(t testing.TB) (root, identity *fleet.Profile) {
	return profileOf(t, "root", fleet.TypeTrustedRoot, map[string]any{"source": "internal"}),
		profileOf(t, "identity", fleet.TypeIdentity, map[string]any{"root": "root"})
}

// TestEveryProfileFitsTheSchema renders each declared type for each target with every option and holds it against Apple's schema. It is also
// the proof that each declared type has a renderer and can be read back.
func TestEveryProfileFitsTheSchema(t *testing.T) {
	r, s := newRig(t), loadSchema(t)
	uploaded := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.pki.Root().Raw}))
	root, identity := companions(t)
	n := 0
	for _, decl := range fleet.ProfileTypes() {
		for _, tgt := range decl.Targets {
			if !slices.Contains(r.apple.Platforms(), tgt.Platform) {
				continue
			}
			d := deviceOf(tgt.Platform, tgt.Ownership)
			d.Mode = tgt.Mode
			for _, settings := range variants(t, decl, uploaded) {
				p := profileOf(t, "subject", decl.Type, settings)
				if ok, why := r.apple.Applies(p, tgt); !ok {
					t.Fatalf("%s is declared for %v, and this package refuses it: %v", decl.Type, tgt, why)
				}
				wanted := []*fleet.Profile{root, identity, p}
				units := r.unitsWith(d, p.ID, wanted...)
				if len(units) == 0 {
					t.Fatalf("%s for %v is in no unit", decl.Type, tgt)
				}
				for _, u := range units {
					o := r.orderFor(d, u.Key, wanted...)
					xml, err := r.apple.renderUnit(o, &r.fleet.settings)
					if err != nil {
						t.Fatalf("%s for %v with %v: %v", decl.Type, tgt, settings, err)
					}
					n++
					for _, fault := range s.checkProfile(xml, targetOf(tgt.Platform, u.Channel)) {
						t.Errorf("%s for %v with %v: %s", decl.Type, tgt, settings, fault)
					}
					r.readBack(t, xml, *o.Step.Unit)
				}
				if t.Failed() {
					return
				}
			}
		}
	}
	if n < 500 {
		t.Errorf("only %d renderings were made", n)
	}
}

// readBack shows that a ProfileList with this profile in it proves the unit's version.
func (r *rig) readBack(t *testing.T, xml []byte, u fleet.Unit) {
	t.Helper()
	top, err := readPlist(xml)
	if err != nil {
		t.Fatal(err)
	}
	listed := dict{"PayloadIdentifier": top.text("PayloadIdentifier"), "PayloadUUID": strings.ToLower(top.text("PayloadUUID"))}
	got := markersIn([]any{listed, dict{"PayloadIdentifier": "com.example.own"}, "rubbish"})
	if len(got) != 1 || got[u.Key] != r.apple.Marker(u) {
		t.Errorf("unit %s reads back as %v, want marker %s", u.Key, got, r.apple.Marker(u))
	}
}

// TestGoldenProfiles shows one rendering of each kind in full.
func TestGoldenProfiles(t *testing.T) {
	r := newRig(t)
	root, identity := companions(t)
	mail := func(settings map[string]any) *fleet.Profile {
		return profileOf(t, "mail", fleet.TypeEmail, with(settings, "host", "outlook.office365.com"))
	}
	certificate := map[string]any{"sign_in": "certificate", "identity": "identity"}
	imap := map[string]any{"account": "imap", "smtp_host": "smtp.example.nl"}
	wifi := func(settings map[string]any) *fleet.Profile {
		return profileOf(t, "wifi", fleet.TypeWiFi, with(settings, "ssid", "Office"))
	}
	enterprise := map[string]any{"security": "enterprise", "identity": "identity", "root": "root", "server_names": "radius.example.nl"}
	vpn := func(settings map[string]any) *fleet.Profile {
		return profileOf(t, "vpn", fleet.TypeVPN, with(settings, "server", "vpn.example.nl"))
	}
	always := map[string]any{"root": "root", "identity": "identity", "connect": "always", "home_domains": "office.example.nl", "home_network": "Office", "traffic": "all"}
	link := profileOf(t, "link", fleet.TypeWebLink, map[string]any{"label": "Intranet", "url": "https://intranet.example.nl/", "icon": picture(t)})
	rules := profileOf(t, "rules", fleet.TypeRestrictions, map[string]any{"no_managed_to_personal": true, "no_camera": true, "no_cloud_photos": true, "no_erase": true})
	custom := profileOf(t, "custom", fleet.TypeCustom, map[string]any{"apple_payload": customText})
	passcode := profileOf(t, "passcode", fleet.TypePasscode, map[string]any{"min_length": 8, "auto_lock": 30, "max_failed": 10, "failed_reset": 5})
	for _, c := range []struct {
		name     string
		platform fleet.Platform
		unit     string
		wanted   []*fleet.Profile
	}{
		{"ios_access_certificate", fleet.IOS, unitAccess, []*fleet.Profile{root, identity, mail(certificate)}},
		{"ipados_access_oauth", fleet.IPadOS, unitAccess, []*fleet.Profile{mail(map[string]any{"sign_in": "oauth"})}},
		{"ios_access_imap", fleet.IOS, unitAccess, []*fleet.Profile{mail(imap)}},
		{"ios_wifi_personal", fleet.IOS, "wifi.wifi", []*fleet.Profile{wifi(map[string]any{"password": "correct horse", "hidden": true, "fixed_mac": true, "proxy": "manual", "proxy_host": "proxy.example.nl"})}},
		{"ios_access_wifi", fleet.IOS, unitAccess, []*fleet.Profile{root, identity, wifi(enterprise)}},
		{"macos_person_wifi", fleet.MacOS, unitPerson, []*fleet.Profile{root, identity, mail(certificate), wifi(enterprise)}},
		{"macos_access_wifi_ttls", fleet.MacOS, unitAccess, []*fleet.Profile{root, wifi(with(with(enterprise, "eap", "ttls"), "outer_identity", "anonymous"))}},
		{"macos_access_pkcs12", fleet.MacOS, unitAccess, []*fleet.Profile{root, profileOf(t, "identity", fleet.TypeIdentity, map[string]any{"root": "root", "delivery": "pkcs12"})}},
		{"ios_access_vpn", fleet.IOS, unitAccess, []*fleet.Profile{root, identity, vpn(always)}},
		{"macos_access_vpn_password", fleet.MacOS, unitAccess, []*fleet.Profile{root, vpn(map[string]any{"sign_in": "password", "root": "root"})}},
		{"ipados_vpn_secret", fleet.IPadOS, "vpn.vpn", []*fleet.Profile{vpn(map[string]any{"sign_in": "secret", "secret": "long shared secret", "local_id": "office"})}},
		{"ios_web_link", fleet.IOS, "web-link.link", []*fleet.Profile{link}},
		{"macos_web_link", fleet.MacOS, "web-link.link", []*fleet.Profile{link}},
		{"ios_restrictions", fleet.IOS, "restrictions.rules", []*fleet.Profile{rules}},
		{"macos_restrictions", fleet.MacOS, "restrictions.rules", []*fleet.Profile{rules}},
		{"ios_custom", fleet.IOS, "custom.custom", []*fleet.Profile{custom}},
		{"ios_passcode", fleet.IOS, unitPasscode, []*fleet.Profile{passcode}},
		{"macos_access", fleet.MacOS, unitAccess, []*fleet.Profile{root, identity, mail(map[string]any{})}},
		{"macos_person_certificate", fleet.MacOS, unitPerson, []*fleet.Profile{root, identity, mail(certificate)}},
		{"macos_person_imap", fleet.MacOS, unitPerson, []*fleet.Profile{mail(imap)}},
		{"macos_passcode", fleet.MacOS, unitPasscode, []*fleet.Profile{passcode}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := r.orderFor(deviceOf(c.platform, fleet.Corporate), c.unit, c.wanted...)
			if o == nil {
				t.Fatal("no such unit")
			}
			xml, err := r.apple.renderUnit(o, &r.fleet.settings)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.name, r.withoutRoot(xml))
		})
	}
}

// withoutRoot puts a word in place of the root certificate, which is new in each test, and of the enrolment's names.
func (r *rig) withoutRoot(xml []byte) []byte {
	return bytes.ReplaceAll(xml, []byte(base64.StdEncoding.EncodeToString(r.pki.Root().Raw)), []byte("Um9vdA=="))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".plist")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func TestUUIDsStayAndMarkersChange(t *testing.T) {
	r := newRig(t)
	root, identity := companions(t)
	mail := profileOf(t, "mail", fleet.TypeEmail, map[string]any{"host": "a.example.nl"})
	d := deviceOf(fleet.IOS, fleet.Corporate)
	render := func(version string) (top string, inner []string) {
		o := r.orderFor(d, unitAccess, root, identity, mail)
		o.Step.Unit.Version = version
		xml, err := r.apple.renderUnit(o, &r.fleet.settings)
		if err != nil {
			t.Fatal(err)
		}
		p, err := readPlist(xml)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range p.list("PayloadContent") {
			inner = append(inner, v.(dict).text("PayloadUUID"), v.(dict).text("PayloadIdentifier"))
		}
		return p.text("PayloadUUID"), inner
	}
	top1, inner1 := render("1")
	mail.Settings = []byte(`{"host":"b.example.nl","days":31}`)
	top2, inner2 := render("2")
	if top1 == top2 {
		t.Error("another version has the same top-level UUID: it could not be told from the old one")
	}
	if !slices.Equal(inner1, inner2) {
		t.Errorf("inner UUIDs or identifiers changed with the content: %v, then %v", inner1, inner2)
	}
	form := regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-5[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)
	for _, u := range []string{top1, inner1[0]} {
		if !form.MatchString(u) {
			t.Errorf("%s is no version 5 UUID", u)
		}
	}
}

func TestCompose(t *testing.T) {
	r := newRig(t)
	root, identity := companions(t)
	other := profileOf(t, "other-root", fleet.TypeTrustedRoot, map[string]any{})
	wifi := profileOf(t, "wifi-identity", fleet.TypeIdentity, map[string]any{"root": "root"})
	mail := profileOf(t, "mail", fleet.TypeEmail, map[string]any{"host": "h", "sign_in": "certificate", "identity": "identity"})
	code := profileOf(t, "code", fleet.TypePasscode, nil)
	network := func(id, identity string) *fleet.Profile {
		return profileOf(t, id, fleet.TypeWiFi, map[string]any{"ssid": id, "security": "enterprise", "identity": identity, "root": "root", "server_names": "r"})
	}
	secure, shared := network("secure", "wifi-identity"), network("shared", "identity")
	open := profileOf(t, "open", fleet.TypeWiFi, map[string]any{"ssid": "open", "security": "open"})
	all := []*fleet.Profile{root, other, identity, wifi, mail, code}
	show := func(units []fleet.Unit) string {
		var b strings.Builder
		for _, u := range units {
			fmt.Fprintf(&b, "%s/%s%v ", u.Key, u.Channel, u.Profiles)
		}
		return strings.TrimSpace(b.String())
	}
	for _, c := range []struct {
		name     string
		platform fleet.Platform
		wanted   []*fleet.Profile
		want     string
	}{
		{"nothing wanted", fleet.IOS, nil, ""},
		{"one profile on a phone", fleet.IOS, all, "access/device[root other-root identity wifi-identity mail] passcode/device[code]"},
		{"an iPad is like a phone", fleet.IPadOS, []*fleet.Profile{mail}, "access/device[mail]"},
		{"e-mail with its chain goes to the person of a Mac", fleet.MacOS, all,
			"access/device[root other-root wifi-identity] passcode/device[code] person/user[identity mail]"},
		{"an open network is a unit of its own", fleet.IOS, []*fleet.Profile{root, open}, "access/device[root] wifi.open/device[open]"},
		{"a network that uses a certificate travels with it", fleet.IOS, []*fleet.Profile{root, wifi, secure}, "access/device[root wifi-identity secure]"},
		{"and on a Mac, through the device's channel", fleet.MacOS, []*fleet.Profile{root, identity, wifi, mail, secure},
			"access/device[root wifi-identity secure] person/user[identity mail]"},
		{"unless its certificate is the person's", fleet.MacOS, []*fleet.Profile{root, identity, mail, shared},
			"access/device[root] person/user[root identity mail shared]"},
		{"a Mac without e-mail has no unit for the person", fleet.MacOS, []*fleet.Profile{root, identity}, "access/device[root identity]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := show(r.apple.Compose(deviceOf(c.platform, fleet.Corporate), c.wanted)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestWhatCannotBeRendered(t *testing.T) {
	r := newRig(t)
	root, identity := companions(t)
	d := deviceOf(fleet.IOS, fleet.Corporate)
	template := profileOf(t, "mail", fleet.TypeEmail, map[string]any{"host": "h"})
	chained := profileOf(t, "mail", fleet.TypeEmail, map[string]any{"host": "h", "sign_in": "certificate", "identity": "identity"})
	for _, c := range []struct {
		name  string
		order func() *fleet.Order
		want  fleet.Outcome
	}{
		{"an identity without its challenge", func() *fleet.Order {
			o := r.orderFor(d, unitAccess, root, identity)
			o.Secrets = nil
			return o
		}, fleet.Malformed},
		{"e-mail without the person it is filled from", func() *fleet.Order {
			o := r.orderFor(d, unitAccess, template)
			o.Person = nil
			return o
		}, fleet.Failed},
		{"e-mail whose identity is not with it", func() *fleet.Order { return r.orderFor(d, unitAccess, chained) }, fleet.Malformed},
		{"nothing at all", func() *fleet.Order {
			return &fleet.Order{Device: d, Step: fleet.Step{Kind: fleet.StepInstall, Unit: &fleet.Unit{}}}
		}, fleet.Malformed},
		{"an unknown step", func() *fleet.Order { return &fleet.Order{Device: d, Step: fleet.Step{Kind: "dance"}} }, fleet.Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.apple.render(context.Background(), fleet.Contact{}, c.order())
			var u *unrenderable
			if !errors.As(err, &u) || u.outcome != c.want || u.reason.Code == "" {
				t.Errorf("got %v, want %s with a reason", err, c.want)
			}
		})
	}
}

func TestSignedProfileHoldsTheSameBytes(t *testing.T) {
	r := newRig(t)
	root, _ := companions(t)
	o := r.orderFor(deviceOf(fleet.IOS, fleet.Corporate), unitAccess, root)
	plain, err := r.apple.renderUnit(o, &r.fleet.settings)
	if err != nil {
		t.Fatal(err)
	}
	r.fleet.settings.SignProfiles = true
	cmd, err := r.apple.installUnit(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	der := cmd.(installProfile).Payload
	if bytes.Equal(der, plain) || !bytes.Contains(der, plain) || der[0] != 0x30 {
		t.Error("a signed profile is a CMS message that holds the profile as it is")
	}
	signer := verifyCMS(t, der)
	if _, err := signer.Verify(x509.VerifyOptions{Roots: poolOf(r.pki.Root()), Intermediates: poolOf(r.pki.Issuing()), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Errorf("the signer does not lead to our root: %v", err)
	}
}
