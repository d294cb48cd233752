package windows

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// TestIdentityByPFX delivers key and certificate, reads both back, renews without a gap, and revokes at the end.
func TestIdentityByPFX(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	root := w.profile(fleet.TypeTrustedRoot, "Root", map[string]any{"source": "internal"})
	id := w.profile(fleet.TypeIdentity, "Identity", map[string]any{"root": string(root.ID), "delivery": "pkcs12", "lifetime": 60, "renew_before": 20})
	p := w.enrolled(testID, fleet.Corporate)
	status := "0"
	p.hook = func(c sentCommand) {
		for _, k := range c.kids {
			base, is := strings.CutSuffix(k.uri, "/PFXCertBlob")
			if !is {
				continue
			}
			der, err := base64.StdEncoding.DecodeString(p.tree[k.uri])
			must(t, err)
			_, cert, _, err := pkcs12.DecodeChain(der, p.tree[base+"/PFXCertPassword"])
			must(t, err)
			if cert.Subject.CommonName == "" || cert.CheckSignatureFrom(w.pki.Issuing()) != nil {
				t.Errorf("certificate for %q", cert.Subject)
			}
			p.tree[base+"/Status"] = status
			if status == "0" {
				p.tree[base+"/Thumbprint"] = strings.ToLower(thumbprint(cert.Raw))
			}
		}
	}
	p.run()
	d := w.device(testID)
	list := func() []string {
		var out []string
		for k := range p.tree {
			if strings.HasPrefix(k, pfxNode) && strings.HasSuffix(k, "/Thumbprint") {
				out = append(out, k)
			}
		}
		return out
	}
	want := map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeTrustedRoot: fleet.StatusSucceeded, fleet.TypeIdentity: fleet.StatusSucceeded}
	w.wantStatuses(d.ID, want)
	must(t, w.db.View(ctx, func(tx store.Tx) error {
		list, err := ledgerOf(tx, d.Enrolment)
		b, _ := json.Marshal(list)
		if strings.Contains(string(b), "PFXCertPassword") {
			t.Error("the ledger holds the key")
		}
		return err
	}))
	first := list()
	if len(first) != 1 {
		t.Fatalf("identities %v", first)
	}

	// Near its end, it is renewed under a name of its own; a refusal leaves the one before.
	status = "86"
	w.later.Add(int64(45 * 24 * time.Hour))
	p.run()
	if got := list(); len(got) != 1 || got[0] != first[0] {
		t.Errorf("after a refused renewal: %v", got)
	}
	rows, err := w.fleet.DeviceProfiles(ctx, w.admin, d.ID)
	must(t, err)
	for _, r := range rows {
		if r.Profile == id.ID && (r.Reason.Code != "windows.pfx-failed" || !strings.Contains(r.Reason.DeviceWords, "86")) {
			t.Errorf("refused: %+v", r)
		}
	}
	status = "0"
	w.later.Add(int64(time.Hour))
	p.run()
	w.wantStatuses(d.ID, want)
	if got := list(); len(got) != 1 || got[0] == first[0] {
		t.Errorf("after its renewal: %v, before %v", got, first)
	}

	must(t, w.fleet.Assign(ctx, w.admin, id.ID, nil, false))
	p.run()
	if got := list(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	must(t, w.db.View(ctx, func(tx store.Tx) error {
		page, err := w.pki.Certificates(tx, pki.CertificateQuery{Enrolment: string(d.Enrolment), Purpose: pki.Access, Limit: 50})
		for _, c := range page.Items {
			if !c.Revoked() {
				t.Errorf("certificate %s lives", c.Serial)
			}
		}
		if len(page.Items) < 2 {
			t.Errorf("%d certificates were made", len(page.Items))
		}
		return err
	}))
}
