package android

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// tree is a policy while it is put together: as Policy in the discovery document, but lists of things that have a name are objects by that name,
// so that two profiles may each add to one of them.
type tree map[string]any

// named lists become lists again at the end: path in the tree → the field that holds the name.
var named = map[string]string{
	"applications":                                   "packageName",
	"passwordPolicies":                               "passwordScope",
	"policyEnforcementRules":                         "settingName",
	"choosePrivateKeyRules":                          "privateKeyAlias",
	"openNetworkConfiguration/NetworkConfigurations": "GUID",
	"openNetworkConfiguration/Certificates":          "GUID",
	"personalUsagePolicies/personalApplications":     "packageName",
}

// rendering puts a device's policy together. It depends on nothing but these values, so that the same wishes give the same bytes.
type rendering struct {
	mode      fleet.Mode
	ownership fleet.Ownership
	person    *fleet.Person
	frame     fleet.Frame
	root      *x509.Certificate
	profiles  map[fleet.ProfileID]*fleet.Profile // those that may be referred to
	packed    map[fleet.ProfileID]fleet.PackedIdentity
	webApps   map[fleet.ProfileID]string // packages of web links
	early     bool                       // before there is a device: nothing that needs a certificate, or is made at Google first, can be said yet
}

// workProfile says whether there are two sides to the device.
func (r *rendering) workProfile() bool {
	return r.mode == fleet.ModeWorkProfile || r.mode == fleet.ModeCompanyWorkProfile
}

func (r *rendering) may(keys ...fleet.FactKey) bool {
	return slices.ContainsFunc(keys, func(k fleet.FactKey) bool { return slices.Contains(r.frame.Facts, k) })
}

// renderers say what each type of profile adds to a policy.
var renderers map[fleet.ProfileType]func(*rendering, *fleet.Profile) (tree, error)

func init() {
	renderers = map[fleet.ProfileType]func(*rendering, *fleet.Profile) (tree, error){
		fleet.TypeTrustedRoot:  (*rendering).trustedRoot,
		fleet.TypeIdentity:     (*rendering).identity,
		fleet.TypePasscode:     (*rendering).passcode,
		fleet.TypeEmail:        (*rendering).email,
		fleet.TypeWiFi:         (*rendering).wifi,
		fleet.TypeApp:          (*rendering).app,
		fleet.TypeWorkSharing:  (*rendering).workSharing,
		fleet.TypePersonalUse:  (*rendering).personalUse,
		fleet.TypeKiosk:        (*rendering).kiosk,
		fleet.TypeCustom:       (*rendering).custom,
		fleet.TypeRestrictions: (*rendering).restrictions,
		fleet.TypeWebLink:      (*rendering).webLink,
	}
}

// base is what every policy of a mode says. Whatever Google would assume when it is left out, and that could surprise, is said.
func (r *rendering) base() tree {
	reports := map[string]any{
		"softwareInfoEnabled":       true,
		"deviceSettingsEnabled":     r.may(fleet.FactPasscodePresent, fleet.FactEncrypted),
		"networkInfoEnabled":        r.may(fleet.FactIMEI, fleet.FactMEID, fleet.FactICCID, fleet.FactPhoneNumber, fleet.FactCarrier, fleet.FactWiFiMAC),
		"memoryInfoEnabled":         r.may(fleet.FactStorageTotal, fleet.FactStorageFree),
		"applicationReportsEnabled": r.may(fleet.FactApps, fleet.FactManagedApps),
	}
	t := tree{
		"statusReportingSettings": reports,
		"playStoreMode":           "WHITELIST", // apps that are wanted no longer are taken off the device by Google
	}
	if r.logsNetwork() {
		t["usageLog"] = map[string]any{"enabledLogTypes": []any{"NETWORK_ACTIVITY_LOGS"}}
	}
	switch r.mode {
	case fleet.ModeWorkProfile: // left out, unknown sources would be forbidden on the person's side too
		t["advancedSecurityOverrides"] = map[string]any{"untrustedAppsPolicy": "ALLOW_INSTALL_IN_PERSONAL_PROFILE_ONLY", "developerSettings": "DEVELOPER_SETTINGS_ALLOWED"}
	case fleet.ModeKiosk: // without a way into the settings, a wrong network would be the end
		t["networkEscapeHatchEnabled"] = true
	}
	return t
}

// policy renders what is wanted of a device. Profiles that contradict each other were found before (see Conflicts); should any be left, the later
// one in the order of delivery counts.
func (r *rendering) policy(profiles []*fleet.Profile) (map[string]any, error) {
	r.know(profiles)
	t := r.base()
	for _, p := range profiles {
		if r.early && (needsIdentity(p) || p.Type == fleet.TypeWebLink) {
			continue
		}
		part, err := r.part(p)
		if err != nil {
			return nil, &unrenderable{profile: p.ID, cause: err}
		}
		overlay(t, part)
	}
	r.enforce(t)
	t.finish()
	return t, nil
}

// know lets profiles be referred to.
func (r *rendering) know(list []*fleet.Profile) {
	r.profiles = make(map[fleet.ProfileID]*fleet.Profile, len(list))
	for _, p := range list {
		r.profiles[p.ID] = p
	}
}

// part is what one profile adds.
func (r *rendering) part(p *fleet.Profile) (tree, error) {
	f := renderers[p.Type]
	if f == nil {
		return nil, fmt.Errorf("profile type %q", p.Type)
	}
	return f(r, p)
}

// unrenderable is a profile that cannot be put into Android's form.
type unrenderable struct {
	profile fleet.ProfileID
	cause   error
}

func (e *unrenderable) Error() string { return "profile " + string(e.profile) + ": " + e.cause.Error() }
func (e *unrenderable) Unwrap() error { return e.cause }

// overlay puts what from says over into, object by object.
func overlay(into, from map[string]any) {
	for k, v := range from {
		x, isObject := asObject(v)
		y, wasObject := asObject(into[k])
		if isObject && wasObject {
			overlay(y, x)
			continue
		}
		if isObject {
			y = map[string]any{}
			overlay(y, x)
			into[k] = y
			continue
		}
		into[k] = v
	}
}

func asObject(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, v != nil
	case tree:
		return v, v != nil
	}
	return nil, false
}

// leaves are the values at the ends of a tree, by path.
func leaves(prefix string, t map[string]any, out map[string]any) {
	for k, v := range t {
		if o, ok := asObject(v); ok && len(o) > 0 {
			leaves(prefix+k+"/", o, out)
			continue
		}
		out[prefix+k] = v
	}
}

// clash is the first value that two parts set differently; "" when there is none.
func clash(a, b tree) string {
	x, y := map[string]any{}, map[string]any{}
	leaves("", a, x)
	leaves("", b, y)
	for _, path := range slices.Sorted(maps.Keys(x)) {
		other, both := y[path]
		if both && !reflect.DeepEqual(x[path], other) {
			return path
		}
	}
	return ""
}

// finish turns objects by name into lists, sorted by name.
func (t tree) finish() {
	for path, field := range named {
		at := map[string]any(t)
		parts := strings.Split(path, "/")
		for _, p := range parts[:len(parts)-1] {
			if at, _ = asObject(at[p]); at == nil {
				break
			}
		}
		last := parts[len(parts)-1]
		by, ok := asObject(at[last])
		if at == nil || !ok {
			continue
		}
		list := make([]any, 0, len(by))
		for _, name := range slices.Sorted(maps.Keys(by)) {
			one, ok := asObject(by[name])
			if !ok {
				continue
			}
			one = maps.Clone(one)
			if _, says := one[field]; !says {
				one[field] = strings.TrimPrefix(name, "#")
			}
			list = append(list, one)
		}
		at[last] = list
	}
	if onc, ok := asObject(t["openNetworkConfiguration"]); ok {
		onc["Type"] = "UnencryptedConfiguration"
	}
}

// digest of a policy, to see whether it has to be sent.
func digest(doc map[string]any) (string, error) {
	b, err := json.Marshal(doc) // keys come sorted
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// topKeys are the fields of a policy, for the next mask.
func topKeys(doc map[string]any) []string { return slices.Sorted(maps.Keys(doc)) }

// Conflicts says which profiles would set one thing differently: a device cannot follow both, and which it followed would be chance.
// None of them is delivered, and each names the other.
func (a *Android) Conflicts(d *fleet.Device, person *fleet.Person, wanted []*fleet.Profile) map[fleet.ProfileID]fleet.Reason {
	if len(wanted) < 2 {
		return nil
	}
	r := &rendering{mode: d.Mode, ownership: d.Ownership, person: person, root: a.rootCertificate()}
	r.know(wanted)
	parts := make([]tree, len(wanted))
	for i, p := range wanted {
		parts[i], _ = r.part(p) // what cannot be rendered is told when it is
	}
	out := map[fleet.ProfileID]fleet.Reason{}
	for i := range wanted {
		for j := range wanted {
			if i == j || parts[i] == nil || parts[j] == nil {
				continue
			}
			if path := clash(parts[i], parts[j]); path != "" {
				if _, said := out[wanted[i].ID]; !said {
					out[wanted[i].ID] = why("android.conflict", "other", wanted[j].Name, "setting", path)
				}
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// millis is a number of minutes as Google wants it: milliseconds, as text.
func millis(minutes int) string { return strconv.Itoa(minutes * 60_000) }

// seconds is a duration as Google wants it.
func seconds(n int) string { return strconv.Itoa(n) + "s" }

// firstOf is the first that is not empty.
func firstOf[T comparable](list ...T) T { return cmp.Or(list...) }
