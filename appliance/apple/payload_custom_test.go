package apple

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

// plistOf writes keys and values as a property list.
func plistOf(body string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd"><plist version="1.0">` + body + `</plist>`
}

// customText is a whole profile with two payloads, of which the second names the first.
var customText = plistOf(`<dict><key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>com.example.theirs</string><key>PayloadUUID</key><string>11111111-0000-4000-8000-000000000001</string>
<key>PayloadContent</key><array>
<dict><key>PayloadType</key><string>com.apple.security.root</string><key>PayloadUUID</key><string>aaaaaaaa-0000-4000-8000-000000000001</string>
<key>PayloadDisplayName</key><string>Radius root</string><key>PayloadContent</key><data>AAECAw==</data></dict>
<dict><key>PayloadType</key><string>com.apple.wifi.managed</string><key>PayloadUUID</key><string>AAAAAAAA-0000-4000-8000-000000000002</string>
<key>SSID_STR</key><string>Partner</string><key>EncryptionType</key><string>WPA2</string><key>EAPClientConfiguration</key><dict>
<key>AcceptEAPTypes</key><array><integer>25</integer></array><key>TLSTrustedServerNames</key><array><string>radius.example.nl</string></array>
<key>PayloadCertificateAnchorUUID</key><array><string>AAAAAAAA-0000-4000-8000-000000000001</string></array></dict></dict>
</array></dict>`)

// picture is a small square PNG.
func picture(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 4))); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// What is wrong with a custom payload is said before it is saved, with its place; what goes round Muster is not taken at all.
func TestCustomPayloadIsChecked(t *testing.T) {
	a := newRig(t).apple
	one := func(kind, body string) string {
		return plistOf(`<dict><key>PayloadType</key><string>` + kind + `</string>` + body + `</dict>`)
	}
	for _, c := range []struct {
		name, text, channel, field, code, says string
	}{
		{"a whole profile", customText, "device", "", "", ""},
		{"one payload", one("com.apple.wifi.managed", `<key>SSID_STR</key><string>x</string>`), "device", "", "", ""},
		{"no property list", "hello", "device", "apple_payload", "apple.custom.unreadable", "byte"},
		{"no payload", plistOf(`<dict><key>a</key><string>b</string></dict>`), "device", "apple_payload", "apple.custom.no-payload", ""},
		{"a profile with nothing in it", plistOf(`<dict><key>PayloadType</key><string>Configuration</string></dict>`), "device", "apple_payload", "apple.custom.no-payload", ""},
		{"a type that Apple does not have", one("com.apple.wish", ""), "device", "apple_payload", "apple.custom.type", "com.apple.wish"},
		{"management", one("com.apple.mdm", ""), "device", "apple_payload", "apple.custom.management", ""},
		{"management inside a profile", plistOf(`<dict><key>PayloadType</key><string>Configuration</string><key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.mdm</string></dict></array></dict>`), "device", "apple_payload", "apple.custom.management", ""},
		{"a password against removal", one("com.apple.profileRemovalPassword", ""), "device", "apple_payload", "apple.custom.management", ""},
		{"a foreign authority by SCEP", one("com.apple.security.scep", ""), "device", "apple_payload", "apple.custom.identity", ""},
		{"a foreign authority by ACME", one("com.apple.security.acme", ""), "device", "apple_payload", "apple.custom.identity", ""},
		{"a private key", one("com.apple.security.pkcs12", ""), "device", "apple_payload", "apple.custom.identity", ""},
		{"what has a type of its own", one("com.apple.mobiledevice.passwordpolicy", ""), "device", "apple_payload", "apple.custom.own-type", ""},
		{"a forbidden type inside managed preferences", one("com.apple.ManagedClient.preferences", `<key>PayloadContent</key><dict><key>com.apple.mdm</key><dict><key>Forced</key><array/></dict></dict>`), "device", "apple_payload", "apple.custom.management", "com.apple.mdm"},
		{"a payload inside a payload", one("com.apple.ManagedClient.preferences", `<key>PayloadContent</key><dict><key>x</key><array><dict><key>PayloadType</key><string>com.apple.security.scep</string></dict></array></dict>`), "device", "apple_payload", "apple.custom.identity", "com.apple.security.scep"},
		{"the key of a network", one("com.apple.wifi.managed", `<key>SSID_STR</key><string>x</string><key>Password</key><string>correct horse</string>`), "device", "apple_payload", "apple.custom.secret", "Password"},
		{"a shared secret further in", one("com.apple.vpn.managed", `<key>VPNType</key><string>IPSec</string><key>IPSec</key><dict><key>SharedSecret</key><data>AAEC</data></dict>`), "device", "apple_payload", "apple.custom.secret", "IPSec.SharedSecret"},
		{"an unknown key", one("com.apple.wifi.managed", `<key>SSID</key><string>x</string>`), "device", "apple_payload", "apple.custom.key", "SSID"},
		{"an unknown key further in", one("com.apple.wifi.managed", `<key>EAPClientConfiguration</key><dict><key>AcceptEAPTypes</key><array><integer>13</integer></array><key>Wish</key><true/></dict>`), "device", "apple_payload", "apple.custom.key", "EAPClientConfiguration.Wish"},
		{"a wrong type", one("com.apple.wifi.managed", `<key>AutoJoin</key><string>yes</string>`), "device", "apple_payload", "apple.custom.kind", "AutoJoin"},
		{"a wrong item", one("com.apple.wifi.managed", `<key>EAPClientConfiguration</key><dict><key>AcceptEAPTypes</key><array><integer>99</integer></array></dict>`), "device", "apple_payload", "apple.custom.value", "AcceptEAPTypes[0]"},
		{"a missing key", one("com.apple.webClip.managed", `<key>Label</key><string>x</string>`), "person", "apple_payload", "apple.custom.missing", "URL"},
		{"the wrong channel of a Mac", one("com.apple.webClip.managed", `<key>Label</key><string>x</string><key>URL</key><string>https://x</string>`), "device", "apple_channel", "apple.custom.channel", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := profileOf(t, "custom", fleet.TypeCustom, map[string]any{"apple_payload": c.text, "apple_channel": c.channel})
			got := a.CheckSettings(p)
			r := got[c.field]
			if c.code == "" {
				if len(got) > 0 {
					t.Fatalf("refused: %v", got)
				}
				return
			}
			if r.Code != c.code || c.says != "" && !strings.Contains(fmt.Sprint(r.Args), c.says) {
				t.Errorf("got %v, want %s at %s about %q", got, c.code, c.field, c.says)
			}
		})
	}
}

// To a device that belongs to a person go only payloads that rule nothing.
func TestCustomPayloadOnAPersonalDevice(t *testing.T) {
	r := newRig(t)
	target := func(o fleet.Ownership) fleet.Target {
		return fleet.Target{Platform: fleet.IOS, Mode: fleet.ModeDevice, Ownership: o}
	}
	rule := profileOf(t, "custom", fleet.TypeCustom, map[string]any{"apple_payload": plistOf(
		`<dict><key>PayloadType</key><string>com.apple.applicationaccess</string><key>allowCamera</key><false/></dict>`)})
	if ok, _ := r.apple.Applies(rule, target(fleet.Corporate)); !ok {
		t.Error("restrictions cannot go to the organisation's own iPhone")
	}
	if ok, why := r.apple.Applies(rule, target(fleet.Personal)); ok || why.Code != "apple.not-applicable.custom-personal" {
		t.Errorf("restrictions by a custom payload on a personal iPhone: %v, %v", ok, why)
	}
	if ok, why := r.apple.Applies(profileOf(t, "custom", fleet.TypeCustom, map[string]any{"apple_payload": customText}), target(fleet.Personal)); !ok {
		t.Errorf("a network cannot go to a personal iPhone: %v", why)
	}
	for _, kind := range personalPayloads {
		if _, ok := payloadTable()[kind]; !ok || forbiddenPayloads[kind] != "" {
			t.Errorf("%s is on the list for personal devices, and cannot be had", kind)
		}
	}
}

// The table in short says the same as the schema's files that are here.
func TestPayloadTable(t *testing.T) {
	s, table := loadSchema(t), payloadTable()
	if len(table) < 100 {
		t.Fatalf("only %d types", len(table))
	}
	n := 0
	var same func(where string, long []schemaKey, short map[string]payloadKey)
	same = func(where string, long []schemaKey, short map[string]payloadKey) {
		for _, k := range long {
			got, ok := short[k.Key]
			if !ok {
				t.Errorf("%s: no key %s", where, k.Key)
				continue
			}
			n++
			letter := map[string]string{"<string>": "s", "<integer>": "i", "<boolean>": "b", "<real>": "r", "<data>": "d", "<date>": "t", "<dictionary>": "D", "<array>": "a", "<any>": "*"}[k.Type]
			if got.Type != letter || (got.Required == 1) != (k.Presence == "required") || len(got.List) != len(k.RangeList) || (got.Range != nil) != (k.Range != nil) {
				t.Errorf("%s.%s: %+v, in the schema %+v", where, k.Key, got, k)
			}
			if k.Type == "<dictionary>" {
				same(where+"."+k.Key, k.SubKeys, got.Keys)
			}
		}
		if len(long) != len(short) {
			t.Errorf("%s has %d keys, in the schema %d", where, len(short), len(long))
		}
	}
	for kind, f := range s.payloads {
		short, ok := table[kind]
		if kind == "TopLevel" || kind == "CommonPayloadKeys" || f.Payload.PayloadType == "" || f.Payload.PayloadType == "Configuration" {
			continue
		}
		if !ok {
			t.Errorf("no type %s", kind)
			continue
		}
		same(kind, f.PayloadKeys, short.Keys)
		for letter, os := range map[string]string{"i": "iOS", "m": "macOS"} {
			if want := f.Payload.SupportedOS[os].Introduced == "n/a"; (short.On[letter] == "-") != want {
				t.Errorf("%s on %s: %q, in the schema %v", kind, os, short.On[letter], f.Payload.SupportedOS[os])
			}
		}
	}
	if n < 300 {
		t.Errorf("only %d keys were compared", n)
	}
}

// Every switch of a restrictions profile has one key of Apple's, which exists where the declaration says so and needs supervision where it says so.
func TestRestrictionsMatchTheSchema(t *testing.T) {
	keys := map[string]schemaKey{}
	for _, k := range loadSchema(t).payloads["com.apple.applicationaccess"].PayloadKeys {
		keys[k.Key] = k
	}
	for name, f := range restrictionFields {
		i := slices.IndexFunc(restrictions, func(x restriction) bool { return x.field == name })
		if i < 0 {
			if f.Honours(fleet.IOS) || f.Honours(fleet.MacOS) {
				t.Errorf("%s is declared for Apple's devices, and no key stands behind it", name)
			}
			continue
		}
		k, ok := keys[restrictions[i].key]
		if !ok {
			t.Errorf("%s: Apple has no key %s", name, restrictions[i].key)
			continue
		}
		for pl, os := range map[fleet.Platform]string{fleet.IOS: "iOS", fleet.MacOS: "macOS"} {
			limit := k.SupportedOS[os]
			if limit.Introduced == "n/a" && f.Honours(pl) || limit.Introduced != "n/a" && !f.Honours(pl) {
				t.Errorf("%s on %s: declared %v, in the schema %+v", name, os, f.Honours(pl), limit)
			}
		}
		if k.SupportedOS["iOS"].Supervised != f.Supervised {
			t.Errorf("%s: supervised %v, in the schema %v", name, f.Supervised, k.SupportedOS["iOS"].Supervised)
		}
	}
}

// Nothing that somebody writes can do worse than be refused, and what is taken can be rendered.
func FuzzCustomPayload(f *testing.F) {
	f.Add(customText)
	f.Add(plistOf(`<dict><key>PayloadType</key><string>com.apple.font</string><key>Font</key><data>AA==</data></dict>`))
	f.Add(plistOf(`<dict><key>PayloadType</key><string>com.apple.homescreenlayout</string><key>Pages</key><array><array/></array></dict>`))
	a := &Apple{}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return // a custom profile without a payload goes to no Apple device, and is never rendered for one
		}
		p := profileOf(t, "custom", fleet.TypeCustom, map[string]any{"apple_payload": text})
		if len(a.CheckSettings(p)) > 0 {
			return
		}
		r := &rendering{unit: "custom.custom", settings: map[fleet.ProfileID]fleet.Values{p.ID: p.Values()}}
		out, err := r.custom(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := writePlist(configuration{PayloadContent: out}); err != nil {
			t.Fatal(err)
		}
	})
}
