package android

import (
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"

	"muster/appliance/fleet"
)

// alias is the name under which apps find the key of an identity profile: the GUID of its entry in the configuration. One profile has one, so that
// a renewed certificate takes the place of the one before it.
func alias(p fleet.ProfileID) string { return "muster-" + strings.ToLower(string(p)) }

// identityApplies: Android asks no SCEP server by itself. Only an app of one's own that holds CERT_INSTALL could make the key on the device.
func identityApplies(v fleet.Values) (bool, fleet.Reason) {
	if v.String("delivery") == fleet.DeliverSCEP {
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
func (r *rendering) certificates(profiles []*fleet.Profile) map[fleet.ProfileID]string {
	out := map[fleet.ProfileID]string{}
	for _, p := range profiles {
		if x, ok := r.packed[p.ID]; ok && p.Type == fleet.TypeIdentity {
			out[p.ID] = x.Fingerprint
		}
	}
	return out
}

// certificatesOf are those of a policy in force. Android tells of no certificate by name: it complains of the configuration where it could not
// take one. Then those are not counted as there that the complaint can concern.
func certificatesOf(d *device, sent *sentPolicy) []string {
	there := maps.Clone(sent.Certificates)
	for i, n := range d.NonCompliance {
		if i == complaintsMost {
			break
		}
		if f := fieldOf(firstOf(n.Setting, n.Path)); f != onc && f != "onc" {
			continue
		}
		if strings.HasPrefix(n.Specific, "ONC_WIFI_") || strings.Contains(n.Path, "NetworkConfigurations") {
			continue // of a network
		}
		for _, id := range sent.Owners[oncConcerns(&n, sent.Owners)] {
			delete(there, id)
		}
	}
	return slices.Sorted(maps.Values(there))
}

// Notes say what a profile does on Androids that has to be known before it is saved.
func (a *Android) Notes(p *fleet.Profile) []fleet.Reason {
	switch p.Type {
	case fleet.TypeIdentity:
		return []fleet.Reason{why("android.identity-passes-google")}
	case fleet.TypeWebLink:
		return []fleet.Reason{why("android.web-link")}
	case fleet.TypeApp:
		var asked []string
		grants, _ := fleet.PermissionGrants(p.Values())
		for _, g := range grants {
			if g.Rule == "grant" && !mayGrant(g.Permission) {
				asked = append(asked, g.Permission)
			}
		}
		if len(asked) > 0 {
			return []fleet.Reason{why("android.permissions-asked", "permissions", strings.Join(asked, ", "))}
		}
	}
	return nil
}
