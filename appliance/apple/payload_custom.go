package apple

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

const roleCustom = "custom"

// forbiddenPayloads cannot come in by a custom payload, with the reason: they would go round what Muster itself answers for.
var forbiddenPayloads = map[string]string{
	"com.apple.mdm":                         "apple.custom.management",
	"com.apple.profileRemovalPassword":      "apple.custom.management", // would keep the profile on the device
	"com.apple.declarations":                "apple.custom.management",
	"com.apple.security.scep":               "apple.custom.identity", // certificates come from our own authority, and are revoked with it
	"com.apple.security.acme":               "apple.custom.identity",
	"com.apple.security.pkcs12":             "apple.custom.identity", // and no private key lies in a profile
	"com.apple.security.wapi-identity":      "apple.custom.identity",
	"com.apple.ADCertificate.managed":       "apple.custom.identity",
	"com.apple.mobiledevice.passwordpolicy": "apple.custom.own-type", // rules that a type of its own checks and shows
}

// personalPayloads are what a custom payload may bring to a device that belongs to a person: what only adds something for work. It rules nothing
// and looks at nothing.
var personalPayloads = []string{"com.apple.airprint", "com.apple.caldav.account", "com.apple.carddav.account", "com.apple.domains", "com.apple.font",
	"com.apple.ldap.account", "com.apple.security.pem", "com.apple.security.pkcs1", "com.apple.security.root", "com.apple.subscribedcalendar.account",
	"com.apple.webClip.managed", "com.apple.wifi.managed"}

// goesRound looks for what may not be in a payload at any depth: a forbidden type inside another, as the preferences of a Mac's
// com.apple.ManagedClient.preferences hold them by name, and secrets. What is written here is read again by everybody who may see profiles, and
// stands in the log: a secret belongs into the field of a type that seals it, or is asked of the person.
func goesRound(path string, v any) *payloadFault {
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			if fault := goesRound(path+"["+strconv.Itoa(i)+"]", x); fault != nil {
				return fault
			}
		}
	case dict:
		for _, key := range sortedNames(v) {
			for _, name := range []string{key, v.text(key)} {
				if code := forbiddenPayloads[name]; code != "" && (name == key || key == "PayloadType") {
					return &payloadFault{code, path + key, name}
				}
			}
			if lower := strings.ToLower(key); (strings.HasSuffix(lower, "password") || strings.HasSuffix(lower, "secret")) && (v.text(key) != "" || len(v.data(key)) > 0) {
				return &payloadFault{"apple.custom.secret", path + key, ""}
			}
			if fault := goesRound(path+key+".", v[key]); fault != nil {
				return fault
			}
		}
	}
	return nil
}

// commonKeys are the keys that every payload has; ours take the place of those that must be ours.
var commonKeys = []string{"PayloadType", "PayloadVersion", "PayloadIdentifier", "PayloadUUID", "PayloadDisplayName", "PayloadDescription", "PayloadOrganization"}

var errNoPayload = errors.New("neither a payload nor a profile with payloads")

// customPayloads reads what somebody wrote: one payload, or a whole configuration profile, of which the payloads count.
func customPayloads(text string) ([]dict, error) {
	top, err := readPlist([]byte(text))
	if err != nil {
		return nil, err
	}
	if top.text("PayloadType") != "Configuration" {
		if top.text("PayloadType") == "" {
			return nil, errNoPayload
		}
		return []dict{top}, nil
	}
	var out []dict
	for _, x := range top.list("PayloadContent") {
		p, ok := x.(dict)
		if !ok || p.text("PayloadType") == "" {
			return nil, errNoPayload
		}
		out = append(out, p)
	}
	if len(out) == 0 || len(out) > 20 {
		return nil, errNoPayload
	}
	return out, nil
}

var _ fleet.SettingsChecker = (*Apple)(nil)

// CheckSettings holds a custom profile's payloads against Apple's published schema, for each of the platforms that the profile goes to.
func (a *Apple) CheckSettings(p *fleet.Profile) map[string]fleet.Reason {
	v := p.Values()
	text := v.String("apple_payload")
	if p.Type != fleet.TypeCustom || text == "" {
		return nil
	}
	refuse := func(code string, pairs ...string) map[string]fleet.Reason {
		return map[string]fleet.Reason{"apple_payload": fleet.Why(code, pairs...)}
	}
	payloads, err := customPayloads(text)
	if errors.Is(err, errNoPayload) {
		return refuse("apple.custom.no-payload")
	}
	if err != nil {
		return refuse("apple.custom.unreadable", "detail", clip(err.Error()))
	}
	for _, x := range payloads {
		kind := x.text("PayloadType")
		if code := forbiddenPayloads[kind]; code != "" {
			return refuse(code, "type", kind)
		}
		switch fault := goesRound("", x); {
		case fault != nil && fault.detail != "":
			return refuse(fault.code, "type", fault.detail)
		case fault != nil:
			return refuse(fault.code, "type", clip(kind), "key", clip(fault.key))
		}
		known, ok := payloadTable()[kind]
		if !ok {
			return refuse("apple.custom.type", "type", clip(kind))
		}
		if fault := known.check(x); fault != nil {
			return refuse(fault.code, "type", kind, "key", clip(fault.key), "detail", clip(fault.detail))
		}
		if slices.Contains(p.Platforms, fleet.MacOS) && known.on(fleet.MacOS) && !known.inChannel(v.String("apple_channel") == "person") {
			return map[string]fleet.Reason{"apple_channel": fleet.Why("apple.custom.channel", "type", kind)}
		}
	}
	return nil
}

// customApplies says whether every payload of a custom profile exists on a target and may go there.
func customApplies(v fleet.Values, t fleet.Target) (bool, fleet.Reason) {
	payloads, err := customPayloads(v.String("apple_payload"))
	if err != nil {
		return false, fleet.Why("apple.not-applicable.no-payload", "platform", string(t.Platform))
	}
	for _, x := range payloads {
		kind := x.text("PayloadType")
		switch known, ok := payloadTable()[kind]; {
		case !ok || !known.on(t.Platform):
			return false, fleet.Why("apple.not-applicable.payload", "type", clip(kind), "platform", string(t.Platform))
		case t.Ownership == fleet.Personal && !slices.Contains(personalPayloads, kind):
			return false, fleet.Why("apple.not-applicable.custom-personal", "type", clip(kind))
		}
	}
	return true, fleet.Reason{}
}

// custom renders the payloads as they were written, with our own header. Identifiers are ours so that the device's answer names the profile, and
// UUIDs so that nothing else on the device has them; where one payload names another by UUID, it goes on doing so.
func (r *rendering) custom(p *fleet.Profile) ([]any, error) {
	payloads, err := customPayloads(r.settings[p.ID].String("apple_payload"))
	if err != nil {
		return nil, err
	}
	renamed := map[string]string{}
	role := func(i int) string { return roleCustom + strconv.Itoa(i) }
	for i, x := range payloads {
		if old := strings.ToUpper(x.text("PayloadUUID")); old != "" {
			renamed[old] = innerUUID(r.unit, p.ID, role(i))
		}
	}
	var out []any
	for i, x := range payloads {
		h := headOf(r.head(x.text("PayloadType"), p, role(i)))
		for key, value := range x {
			if !slices.Contains(commonKeys, key) {
				h[key] = rename(value, renamed)
			}
		}
		if name := x.text("PayloadDisplayName"); name != "" {
			h["PayloadDisplayName"] = shorten(name)
		}
		out = append(out, h)
	}
	return out, nil
}

// rename is a value in which the UUIDs of payloads are replaced.
func rename(v any, by map[string]string) any {
	switch v := v.(type) {
	case string:
		if id, ok := by[strings.ToUpper(v)]; ok {
			return id
		}
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = rename(x, by)
		}
		return out
	case dict:
		out := dict{}
		for k, x := range v {
			out[k] = rename(x, by)
		}
		return out
	}
	return v
}
