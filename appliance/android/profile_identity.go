package android

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"muster/appliance/fleet"
)

// alias is the name under which apps find the key of an identity profile: the GUID of its entry in the configuration. One profile has one, so that
// a renewed certificate takes the place of the one before it.
func alias(p fleet.ProfileID) string { return "muster-" + strings.ToLower(string(p)) }

// identityApplies: Android asks no SCEP server by itself. Only an app of one's own that holds CERT_INSTALL could make the key on the device.
func identityApplies(v fleet.Values) (bool, fleet.Reason) {
	if v.String("delivery") != fleet.DeliverPKCS12 {
		return false, why("android.not-applicable.identity-scep")
	}
	return true, fleet.Reason{}
}

// identity puts key and certificate into the configuration as a Client certificate (Open Network Configuration, Certificates): a PKCS #12 file in
// the old encryption, without a password. Anything newer is turned away by the device.
func (r *rendering) identity(p *fleet.Profile) (tree, error) {
	x, ok := r.packed[p.ID]
	if !ok {
		return nil, errors.New("no packed identity")
	}
	return tree{"openNetworkConfiguration": map[string]any{"Certificates": map[string]any{
		alias(p.ID): map[string]any{"Type": "Client", "PKCS12": base64.StdEncoding.EncodeToString(x.PKCS12)}}}}, nil
}

// mayUse lets one app have the key of an identity without asking the person (ChoosePrivateKeyRule). Each app has a rule of its own.
func mayUse(p fleet.ProfileID, pkg string) map[string]any {
	return map[string]any{alias(p) + " " + pkg: map[string]any{"privateKeyAlias": alias(p), "packageNames": []any{pkg}}}
}

// needsIdentity says whether a profile is an identity, or signs in with one.
func needsIdentity(p *fleet.Profile) bool {
	v := p.Values()
	switch p.Type {
	case fleet.TypeIdentity:
		return true
	case fleet.TypeEmail:
		return v.String("sign_in") == "certificate"
	case fleet.TypeWiFi:
		return v.String("security") == "enterprise" && v.String("eap") == "tls"
	}
	return false
}

// certificates are the fingerprints of the identities of a policy.
func (r *rendering) certificates(profiles []*fleet.Profile) []string {
	var out []string
	for _, p := range profiles {
		if x, ok := r.packed[p.ID]; ok && p.Type == fleet.TypeIdentity {
			out = append(out, x.Fingerprint)
		}
	}
	slices.Sort(out)
	return out
}

// certificatesOf are those of a policy in force. Android tells of no certificate by name: it complains of the configuration where it could not
// take one, and then none is counted as there.
func certificatesOf(d *device, sent []string) []string {
	for _, n := range d.NonCompliance {
		if fieldOf(firstOf(n.Setting, n.Path)) == "openNetworkConfiguration" && !strings.Contains(n.Path, "NetworkConfigurations") {
			return nil
		}
	}
	return sent
}

// Notes say what a profile does on Androids that has to be known before it is saved.
func (a *Android) Notes(p *fleet.Profile) []fleet.Reason {
	if p.Type == fleet.TypeIdentity {
		return []fleet.Reason{why("android.identity-passes-google")}
	}
	return nil
}
