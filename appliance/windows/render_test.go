package windows

import (
	"bytes"
	"crypto/x509"
	"encoding/csv"
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

// everything is each document that is sent, by name.
func everything(t testing.TB) map[string]*job {
	t.Helper()
	root, other := testCertificate(t, "root.pem"), testCertificate(t, "other.pem")
	otherPEM := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Raw}))
	unit := func(key string, ch fleet.Channel, list ...*fleet.Profile) *job {
		u := &fleet.Unit{Key: key, Channel: ch, Version: "0123456789abcdef"}
		o := &fleet.Order{ID: "01ORDER", Step: fleet.Step{Kind: fleet.StepInstall, Unit: u}, Device: &fleet.Device{}, Person: ada, Profiles: list,
			Secrets: map[fleet.ProfileID]string{"01IDENTITY": "CHALLENGE<&>"}}
		r, err := (&rendering{order: o, root: root, scepURL: "https://mdm.example.org/scep"}).unit()
		must(t, err)
		return &job{Order: o.ID, Step: o.Step.Kind, Batches: r.batches}
	}
	act := func(a fleet.ActionType, opt fleet.ActionOptions) *job {
		c, err := actionFor(&fleet.Order{Action: &fleet.Action{Type: a, Options: opt}})
		must(t, err)
		return &job{Order: "01ORDER", Batches: one(c)}
	}
	var w Windows
	var corporate []fleet.FactKey
	for _, q := range []fleet.QueryKind{fleet.QueryDevice, fleet.QuerySecurity} {
		corporate = append(corporate, w.FactsOf(q, nil)...)
	}
	facts := slices.Concat(factGets(fleet.QueryDevice, corporate), factGets(fleet.QuerySecurity, corporate))
	out := map[string]*job{
		"roots": unit(unitRoots, fleet.DeviceChannel, profileOf(t, "01ROOT", fleet.TypeTrustedRoot, map[string]any{"source": "internal"}),
			profileOf(t, "01OTHER", fleet.TypeTrustedRoot, map[string]any{"source": "uploaded", "certificate": otherPEM})),
		"passcode": unit(unitPasscode, fleet.DeviceChannel, profileOf(t, "01PASS", fleet.TypePasscode, map[string]any{"require": true, "min_length": 8, "max_failed": 6, "auto_lock": 10}),
			profileOf(t, "02PASS", fleet.TypePasscode, map[string]any{"require": true, "min_length": 6, "alphanumeric": true, "max_failed": 8, "history": 5, "max_age": 90, "auto_lock": 5})),
		"passcode-none": unit(unitPasscode, fleet.DeviceChannel, profileOf(t, "01PASS", fleet.TypePasscode, map[string]any{"require": false, "auto_lock": 5})),
		"identity": unit(unitIdentity+"01IDENTITY", userUnits, profileOf(t, "01IDENTITY", fleet.TypeIdentity, map[string]any{"common_name": "{{name}}, R&D", "key_size": "4096", "key_usage": "signature",
			"lifetime": 365, "renew_before": 30})),
		"exchange": unit(unitEmail+"01MAIL", userUnits, profileOf(t, "01MAIL", fleet.TypeEmail, map[string]any{"account": "exchange", "account_name": "Work & home", "address": "{{mail}}", "host": "mail.example.org",
			"user_name_from": "upn", "days": 14, "sync_mail": true, "sync_contacts": true, "sync_calendars": true, "sync_reminders": false})),
		"imap": unit(unitEmail+"01MAIL", userUnits, profileOf(t, "01MAIL", fleet.TypeEmail, map[string]any{"account": "imap", "account_name": "A name that is longer than thirty-two characters", "address": "{{mail}}",
			"sender_name": "{{name}}", "host": "imap.example.org", "port": 993, "smtp_host": "smtp.example.org", "smtp_port": 587, "smtp_sign_in": true, "user_name_from": "mail"})),
		"facts":             {Order: "01ORDER", Step: fleet.StepQuery, Batches: one(facts...)},
		"settle":            settle(),
		"alive":             {Order: "01ORDER", Batches: one(get(alive))},
		"restart":           act(fleet.ActRestart, fleet.ActionOptions{}),
		"wipe":              act(fleet.ActWipe, fleet.ActionOptions{}),
		"wipe-protected":    act(fleet.ActWipe, fleet.ActionOptions{Method: methodProtected}),
		"wipe-provisioning": act(fleet.ActWipe, fleet.ActionOptions{Method: methodProvisioning}),
		"wipe-cloud":        act(fleet.ActWipe, fleet.ActionOptions{Method: methodCloud}),
		"wipe-kept":         act(fleet.ActWipe, fleet.ActionOptions{KeepEnrolled: true}),
		"renew":             {Order: "01ORDER", Batches: one(set(verbExec, "./Device/Vendor/MSFT/CertificateStore/MY/WSTEP/Renew/RenewNow", "null", ""))},
		"unenrol":           {Order: "01ORDER", Batches: one(set(verbExec, "./Device/Vendor/MSFT/DMClient/Provider/Muster/Unenroll", "chr", providerID))},
	}
	return out
}

func TestGoldenSyncML(t *testing.T) {
	for name, j := range everything(t) {
		for i := range j.Batches {
			w := begin("4F", "2", testID, "https://mdm.example.org"+SessionPath)
			w.status("2", "0", "SyncHdr", "212")
			j.At, j.From = i, 0
			j.write(w, 0)
			golden(t, fmt.Sprintf("%s-%d.xml", name, i+1), w.end())
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

// TestNodesStandInTheTable holds each LocURI, verb and format that is sent against the table of configuration service providers.
func TestNodesStandInTheTable(t *testing.T) {
	f, err := os.Open("testdata/csp.csv")
	must(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	must(t, err)
	type nodeType struct {
		re             *regexp.Regexp
		format, access string
	}
	var table []nodeType
	for _, r := range rows[1:] {
		parts := strings.Split(r[0], "/")
		for i, p := range parts {
			if strings.HasPrefix(p, "{") {
				parts[i] = `[^/]+`
			} else {
				parts[i] = regexp.QuoteMeta(p)
			}
		}
		table = append(table, nodeType{regexp.MustCompile("^" + strings.Join(parts, "/") + "$"), r[1], r[2]})
	}
	checked := 0
	var check func(name string, c command)
	check = func(name string, c command) {
		if c.Verb == verbAtomic {
			for _, k := range c.Kids {
				if k.Verb == verbGet || k.Verb == verbAtomic {
					t.Errorf("%s: %s inside an Atomic", name, k.Verb)
				}
				check(name, k)
			}
			return
		}
		checked++
		i := slices.IndexFunc(table, func(n nodeType) bool { return n.re.MatchString(c.URI) })
		if i < 0 {
			t.Errorf("%s: %s is no node", name, c.URI)
			return
		}
		n := table[i]
		if !slices.Contains(strings.Split(n.access, "|"), c.Verb) {
			t.Errorf("%s: %s on %s, which allows %s", name, c.Verb, c.URI, n.access)
		}
		// Unenroll is null in the table, and Microsoft's own sample gives it the provider as text.
		if c.Format != "" && c.Format != n.format && !strings.HasSuffix(c.URI, "/Unenroll") {
			t.Errorf("%s: %s as %s, want %s", name, c.URI, c.Format, n.format)
		}
	}
	for name, j := range everything(t) {
		for _, b := range j.Batches {
			scopes := map[bool]bool{}
			for _, c := range b.Commands {
				check(name, c)
				for _, k := range c.Kids {
					scopes[strings.HasPrefix(k.URI, "./User/")] = true
				}
			}
			if len(scopes) > 1 {
				t.Errorf("%s mixes ./User and ./Device in one message", name)
			}
		}
	}
	// What is read back and what is deleted.
	root := testCertificate(t, "root.pem")
	for _, c := range []command{del(rootNode + thumbprint(root.Raw)), del(exchangeNode + "/%7BX%7D"), del(imapNode + "%7BX%7D"), del(scepNode + "muster-x"), del(lockNode + "MinDevicePasswordLength"),
		get(rootNode + thumbprint(root.Raw) + "/EncodedCertificate"), get(exchangeNode + "/%7BX%7D/EmailAddress"), get(exchangeNode + "/%7BX%7D/ServerName"), get(imapNode + "%7BX%7D/INSERVER"),
		get(imapNode + "%7BX%7D/REPLYADDR"), get(scepNode + "x/Status"), get(scepNode + "x/ErrorCode"), get(scepNode + "x/CertThumbprint"), get(lockNode + "MinDevicePasswordLength")} {
		check("read-back", c)
	}
	if checked < 90 {
		t.Errorf("only %d nodes looked at", checked)
	}
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
