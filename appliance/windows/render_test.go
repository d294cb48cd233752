package windows

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata/golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		must(t, os.WriteFile(path, append(got, '\n'), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("%s\n got %s\nwant %s", name, got, want)
	}
}

func testCertificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	block, _ := pem.Decode(b)
	c, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return c
}

func profileOf(t testing.TB, id string, typ fleet.ProfileType, settings map[string]any) *fleet.Profile {
	t.Helper()
	b, err := json.Marshal(settings)
	must(t, err)
	return &fleet.Profile{ID: fleet.ProfileID(id), Type: typ, Name: id, Version: 1, Settings: b, Platforms: []fleet.Platform{fleet.Windows}}
}

var ada = &fleet.Person{ID: "01PERSON", Name: "Ada Lovelace", Mail: "ada@example.org", UPN: "ada@corp.example.org"}

// sending is what is sent as one order; unit is nil when it delivers nothing.
type sending struct {
	job  *job
	unit *rendered
}

// everything is each document that can be sent, by name: a new renderer or order belongs here.
func everything(t testing.TB) map[string]sending {
	t.Helper()
	root, other := testCertificate(t, "root.pem"), testCertificate(t, "other.pem")
	otherPEM := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Raw}))
	refs := map[fleet.ProfileID]*fleet.Profile{"01OTHER": profileOf(t, "01OTHER", fleet.TypeTrustedRoot, map[string]any{"source": "uploaded", "certificate": otherPEM})}
	unit := func(key string, ch fleet.Channel, list ...*fleet.Profile) sending {
		u := &fleet.Unit{Key: key, Channel: ch, Version: "0123456789abcdef"}
		o := &fleet.Order{ID: "01ORDER", Step: fleet.Step{Kind: fleet.StepInstall, Unit: u}, Device: &fleet.Device{OSVersion: "10.0.26100.1742", Ownership: fleet.Corporate}, Person: ada, Profiles: list, Refs: refs, Frame: &fleet.Frame{Expiry: fleet.Expiry{Days: 30, Erase: 90}},
			Secrets: map[fleet.ProfileID]string{"01IDENTITY": "CHALLENGE<&>"},
			Packed:  map[fleet.ProfileID]fleet.PackedIdentity{"02IDENTITY": {PKCS12: []byte("packed key"), Password: "SECRET", Certificate: other.Raw}}}
		r, err := (&rendering{order: o, root: root, issuers: []*x509.Certificate{other, root}, scepURL: "https://mdm.example.org/scep"}).unit()
		must(t, err)
		return sending{&job{Order: o.ID, Step: o.Step.Kind, Batches: r.batches}, r}
	}
	act := func(a fleet.ActionType, opt fleet.ActionOptions) sending {
		c, err := actionFor(&fleet.Order{Action: &fleet.Action{Type: a, Options: opt}})
		must(t, err)
		return sending{job: &job{Order: "01ORDER", Batches: one(c)}}
	}
	var w Windows
	var corporate []fleet.FactKey
	for _, q := range []fleet.QueryKind{fleet.QueryDevice, fleet.QuerySecurity} {
		corporate = append(corporate, w.FactsOf(q, nil)...)
	}
	facts := slices.Concat(factGets(fleet.QueryDevice, corporate), factGets(fleet.QuerySecurity, corporate))
	out := map[string]sending{
		"roots": unit(unitRoots, fleet.DeviceChannel, profileOf(t, "01ROOT", fleet.TypeTrustedRoot, map[string]any{"source": "internal"}),
			profileOf(t, "01OTHER", fleet.TypeTrustedRoot, map[string]any{"source": "uploaded", "certificate": otherPEM})),
		"passcode": unit(unitPasscode, fleet.DeviceChannel, profileOf(t, "01PASS", fleet.TypePasscode, map[string]any{"require": true, "min_length": 8, "max_failed": 6, "auto_lock": 10}),
			profileOf(t, "02PASS", fleet.TypePasscode, map[string]any{"require": true, "min_length": 6, "alphanumeric": true, "max_failed": 8, "history": 5, "max_age": 90, "auto_lock": 5})),
		"passcode-none": unit(unitPasscode, fleet.DeviceChannel, profileOf(t, "01PASS", fleet.TypePasscode, map[string]any{"require": false, "auto_lock": 5})),
		"identity": unit(unitIdentity+"01IDENTITY", userUnits, profileOf(t, "01IDENTITY", fleet.TypeIdentity, map[string]any{"common_name": "{{name}}, R&D", "key_size": "4096", "key_usage": "signature",
			"lifetime": 365, "renew_before": 30})),
		"identity-pfx": unit(unitIdentity+"02IDENTITY", userUnits, profileOf(t, "02IDENTITY", fleet.TypeIdentity, map[string]any{"common_name": "{{name}}", "delivery": "pkcs12", "lifetime": 365, "renew_before": 30})),
		"exchange": unit(unitEmail+"01MAIL", userUnits, profileOf(t, "01MAIL", fleet.TypeEmail, map[string]any{"account": "exchange", "account_name": "Work & home", "address": "{{mail}}", "host": "mail.example.org",
			"user_name_from": "upn", "days": 14, "sync_mail": true, "sync_contacts": true, "sync_calendars": true, "sync_reminders": false})),
		"imap": unit(unitEmail+"01MAIL", userUnits, profileOf(t, "01MAIL", fleet.TypeEmail, map[string]any{"account": "imap", "account_name": "A name that is longer than thirty-two characters", "address": "{{mail}}",
			"sender_name": "{{name}}", "host": "imap.example.org", "port": 993, "smtp_host": "smtp.example.org", "smtp_port": 587, "smtp_sign_in": true, "user_name_from": "mail"})),
		"msi": unit(unitApp+"01APP", fleet.DeviceChannel, profileOf(t, "01APP", fleet.TypeApp, map[string]any{"kind": "msi", "product_code": "5b0a6f2e-8f6b-4a7c-9b1e-3b6c7f0e1a22", "version": "1.4.0",
			"url": "https://files.example.org/agent.msi?a=1&b=2", "sha256": strings.Repeat("9f86d081", 8), "arguments": `/quiet PROPERTY="a b"`, "timeout": 10, "retries": 3, "retry_interval": 5})),
		"wifi": unit(unitWiFi+"01WIFI", fleet.DeviceChannel, profileOf(t, "01WIFI", fleet.TypeWiFi, map[string]any{"ssid": "Café / 1 & <2>", "hidden": true, "auto_join": true, "security": "personal",
			"password": "correct & <horse>", "proxy": "auto", "proxy_url": "https://proxy.example.org/p.pac"})),
		"wifi-open": unit(unitWiFi+"01WIFI", fleet.DeviceChannel, profileOf(t, "01WIFI", fleet.TypeWiFi, map[string]any{"ssid": "Guests", "security": "open", "auto_join": false, "proxy": "auto"})),
		"wifi-wpa3": unit(unitWiFi+"01WIFI", fleet.DeviceChannel, profileOf(t, "01WIFI", fleet.TypeWiFi, map[string]any{"ssid": "Office", "security": "personal", "wpa3_only": true, "password": strings.Repeat("0a", 32), "proxy": "none"})),
		"wifi-tls": unit(unitWiFi+"01WIFI", fleet.DeviceChannel, profileOf(t, "01WIFI", fleet.TypeWiFi, map[string]any{"ssid": "Office", "auto_join": true, "security": "enterprise", "eap": "tls",
			"identity": "01IDENTITY", "root": "01OTHER", "server_names": "radius.example.org *.radius.example.org", "proxy": "none"})),
		"wifi-peap": unit(unitWiFi+"01WIFI", fleet.DeviceChannel, profileOf(t, "01WIFI", fleet.TypeWiFi, map[string]any{"ssid": "Office", "auto_join": true, "security": "enterprise", "eap": "peap", "wpa3_only": true,
			"user_name": "{{upn}}", "outer_identity": "anonymous@example.org", "root": "01OTHER", "server_names": "radius.example.org", "proxy": "none"})),
		"wifi-ttls": unit(unitWiFi+"01WIFI", fleet.DeviceChannel, profileOf(t, "01WIFI", fleet.TypeWiFi, map[string]any{"ssid": "Office", "auto_join": true, "security": "enterprise", "eap": "ttls", "inner": "pap",
			"user_name": "{{upn}}", "root": "01OTHER", "server_names": "radius.example.org", "proxy": "none"})),
		"vpn": unit(unitVPN+"01VPN", userUnits, profileOf(t, "Office / <1>", fleet.TypeVPN, map[string]any{"server": "vpn.example.org", "sign_in": "certificate", "identity": "01IDENTITY", "root": "01OTHER",
			"traffic": "server", "connect": "always", "home_domains": "corp.example.org lab.example.org", "encryption": "aes-256-gcm", "integrity": "sha2-384", "dh_group": "20", "pfs": true})),
		"vpn-password": unit(unitVPN+"01VPN", userUnits, profileOf(t, "VPN", fleet.TypeVPN, map[string]any{"server": "vpn.example.org", "sign_in": "password", "user_name": "{{upn}}", "root": "01OTHER",
			"traffic": "all", "connect": "person", "encryption": "aes-256-cbc", "integrity": "sha2-256", "dh_group": "14", "pfs": false})),
		"restrictions": unit(unitLimits, fleet.DeviceChannel, profileOf(t, "01LIMITS", fleet.TypeRestrictions, map[string]any{"no_camera": true, "pc_no_bluetooth": true, "pc_no_removable_storage": true, "pc_no_location": true,
			"pc_no_cortana": true, "pc_defer_quality": 3}), profileOf(t, "02LIMITS", fleet.TypeRestrictions, map[string]any{"pc_no_microsoft_account": true, "pc_encryption": true, "pc_no_disconnect": true, "pc_defer_quality": 7, "pc_defer_feature": 30})),
		"custom":            unit(unitCustom+"01CUSTOM", fleet.DeviceChannel, profileOf(t, "01CUSTOM", fleet.TypeCustom, map[string]any{customField: testCustom})),
		"custom-user":       unit(unitCustomOf+"01CUSTOM", userUnits, profileOf(t, "01CUSTOM", fleet.TypeCustom, map[string]any{customField: testCustom})),
		"lost-contact":      unit(unitLostContact, fleet.DeviceChannel),
		"facts":             {job: &job{Order: "01ORDER", Step: fleet.StepQuery, Batches: one(facts...)}},
		"settle":            {job: settle()},
		"push":              {job: openChannel("Example.Muster_8wekyb3d8bbwe", false)},
		"push-off":          {job: closeChannel()},
		"alive":             {job: &job{Order: "01ORDER", Batches: one(get(alive))}},
		"restart":           act(fleet.ActRestart, fleet.ActionOptions{}),
		"wipe":              act(fleet.ActWipe, fleet.ActionOptions{}),
		"wipe-protected":    act(fleet.ActWipe, fleet.ActionOptions{Method: methodProtected}),
		"wipe-provisioning": act(fleet.ActWipe, fleet.ActionOptions{Method: methodProvisioning}),
		"wipe-cloud":        act(fleet.ActWipe, fleet.ActionOptions{Method: methodCloud}),
		"wipe-kept":         act(fleet.ActWipe, fleet.ActionOptions{KeepEnrolled: true}),
		"wipe-cloud-kept":   act(fleet.ActWipe, fleet.ActionOptions{KeepEnrolled: true, Method: methodCloud}),
		"renew":             {job: &job{Order: "01ORDER", Batches: one(set(verbExec, "./Device/Vendor/MSFT/CertificateStore/MY/WSTEP/Renew/RenewNow", "null", ""))}},
		"unenrol":           {job: &job{Order: "01ORDER", Batches: one(set(verbExec, "./Device/Vendor/MSFT/DMClient/Provider/Muster/Unenroll", "chr", providerID))}},
	}
	return out
}

func TestGoldenSyncML(t *testing.T) {
	for name, d := range everything(t) {
		j := d.job
		for i := range j.Batches {
			w := begin("4F", "2", testID, "https://mdm.example.org"+SessionPath)
			w.status("2", "0", "SyncHdr", "212")
			j.At, j.From = i, 0
			j.write(w, 0)
			golden(t, fmt.Sprintf("%s-%d.xml", name, i+1), w.end())
		}
		if d.unit == nil {
			continue
		}
		reads := (&delivery{Checks: d.unit.checks, SCEP: d.unit.scep, MSI: d.unit.msi}).reads()
		var removal []command
		for _, n := range d.unit.nodes {
			removal = append(removal, del(n))
		}
		for kind, list := range map[string][]command{"read": reads, "remove": removal} {
			w := begin("4F", "2", testID, "https://mdm.example.org"+SessionPath)
			w.status("2", "0", "SyncHdr", "212")
			(&job{Batches: one(list...)}).write(w, 0)
			golden(t, name+"-"+kind+".xml", w.end())
		}
	}
}

var secrets = regexp.MustCompile(`(AAUTHSECRET|AAUTHDATA)" value="[^"]+"`)

func TestGoldenEnrolment(t *testing.T) {
	root, other := testCertificate(t, "root.pem"), testCertificate(t, "other.pem")
	p := &provision{root: root, issuing: other, own: other, store: "User", name: `A&B "Ltd"`, address: "https://mdm.example.org" + SessionPath, user: "ada@example.org", enrolment: "01ENROLMENT"}
	doc := p.render()
	if n := len(secrets.FindAll(doc, -1)); n != 4 {
		t.Errorf("%d secrets and nonces, want 4", n)
	}
	golden(t, "provision.xml", secrets.ReplaceAll(doc, []byte(`$1" value="…"`)))
	golden(t, "provision-renewal.xml", p.renewal())
	noon := &Windows{now: func() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) }}
	golden(t, "token-reply.xml", noon.tokenReply(&envelope{messageID: "urn:uuid:b7e8"}, []byte("<wap-provisioningdoc/>")))
	golden(t, "policies.xml", policies(&envelope{messageID: "urn:uuid:c1d2"}))
	golden(t, "fault.xml", (&fault{sub: "s:Authorization", kind: "DeviceCapReached"}).write("urn:uuid:b7e8", "Used <up>", "d4c3"))
	for _, c := range at(mustParse(t, doc)).all("characteristic") {
		if typ := c.attr("type"); typ != "CertificateStore" && typ != "APPLICATION" && typ != "DMClient" {
			t.Errorf("top-level %s", typ)
		}
	}
}

func mustParse(t testing.TB, b []byte) *node {
	t.Helper()
	n, err := parseXML(b)
	must(t, err)
	return n
}

// TestEveryReasonIsListed finds the codes of this package's sources in ReasonCodes.
func TestEveryReasonIsListed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	said := regexp.MustCompile(`"((?:windows|removal)\.[a-z][a-z.-]*[a-z])"`)
	listed := ReasonCodes()
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		must(t, err)
		for _, m := range said.FindAllStringSubmatch(string(b), -1) {
			if _, ok := listed[m[1]]; !ok {
				t.Errorf("%s says %q, which is not listed", f, m[1])
			}
		}
	}
}
