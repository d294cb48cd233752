package apple

import (
	"math"
	"slices"
	"strings"

	"muster/appliance/fleet"
)

// factSource says by which DeviceInformation query a fact is obtained and how its value is read. Queries that
// are answered under another key than asked do not exist.
type factSource struct {
	fact    fleet.FactKey
	query   string // DeviceInformation query; "" = none
	ios     bool   // asked of iPhones and iPads
	mac     bool
	checkIn bool // also a key of Authenticate
	read    func(d dict, key string) any
}

// factSources is the one table between Apple's names and the register (information.device.yaml, apple's tables of rights).
// Several sources may yield one fact: the first that answers counts.
var factSources = []factSource{
	{"serial", "SerialNumber", true, true, true, asText},
	{"hardware-id", "UDID", true, true, true, asText},
	{"enterprise-id", "", true, true, false, nil}, // EnrollmentID, in check-ins of user enrolments
	{"model", "ModelNumber", true, true, false, asText},
	{"model", "Model", true, true, true, asText},
	{"model-name", "ModelName", true, true, true, asText},
	{"product", "ProductName", true, true, true, asText},
	{"device-name", "DeviceName", true, true, true, asText},
	{"host-name", "HostName", false, true, false, asText},
	{"host-name", "LocalHostName", false, true, false, asText},
	{"os-version", "OSVersion", true, true, true, asText},
	{"build", "BuildVersion", true, true, true, asText},
	{"supplemental-build", "SupplementalBuildVersion", true, true, false, asText},
	{"supplemental-version", "SupplementalOSVersionExtra", true, true, false, asText},
	{"baseband", "ModemFirmwareVersion", true, false, false, asText},
	{"storage-total", "DeviceCapacity", true, true, false, asGigabytes},
	{"storage-free", "AvailableDeviceCapacity", true, true, false, asGigabytes},
	{"wifi-mac", "WiFiMAC", true, true, false, asText},
	{"ethernet-mac", "EthernetMAC", false, true, false, asText},
	{"bluetooth-mac", "BluetoothMAC", true, true, false, asText},
	{"eas-id", "EASDeviceIdentifier", true, false, false, asText},
	{"apple-account", "iTunesStoreAccountIsActive", true, true, false, asFlag},
	{"supervised", "IsSupervised", true, true, false, asFlag},
	{"awaiting-config", "AwaitingConfiguration", true, true, false, asFlag},
	{"activation-lock", "IsActivationLockEnabled", true, true, false, asFlag},
	{"phone-number", "PhoneNumber", true, false, false, asText},
	{"phone-number", simQuery, true, false, false, fromSIM("PhoneNumber")},
	{"carrier", "CurrentCarrierNetwork", true, false, false, asText},
	{"carrier", "SubscriberCarrierNetwork", true, false, false, asText},
	{"carrier", simQuery, true, false, false, fromSIM("CurrentCarrierNetwork", "SubscriberCarrierNetwork")},
	{"imei", simQuery, true, false, false, fromSIMs("IMEI")},
	{"imei", "", true, false, true, nil},
	{"meid", simQuery, true, false, false, fromSIM("MEID")},
	{"iccid", simQuery, true, false, false, fromSIMs("ICCID")},
}

// simQuery tells all about each SIM card at once, IMEI and ICCID included. It is asked only where those may be taken; elsewhere the older queries,
// each for one thing, are.
const simQuery = "ServiceSubscriptions"

// securitySource says how a fact is read from SecurityInfo.
type securitySource struct {
	fact     fleet.FactKey
	ios, mac bool
	read     func(info dict) any
}

var securitySources = []securitySource{
	{"passcode-present", true, false, func(i dict) any { return asFlag(i, "PasscodePresent") }},
	{"passcode-meets", true, false, func(i dict) any {
		if v := asFlag(i, "PasscodeCompliantWithProfiles"); v != nil {
			return v
		}
		return asFlag(i, "PasscodeCompliant")
	}},
	{"encrypted", true, true, encrypted},
	{"firewall", false, true, func(i dict) any { return asFlag(i.dict("FirewallSettings"), "FirewallEnabled") }},
	{"system-integrity", false, true, func(i dict) any { return asFlag(i, "SystemIntegrityProtectionEnabled") }},
}

// encrypted reads FileVault on a Mac; an iPhone is encrypted when both kinds of hardware encryption are there (3) and a passcode is set.
func encrypted(i dict) any {
	if v := asFlag(i, "FDE_Enabled"); v != nil {
		return v
	}
	caps, ok := i.number("HardwareEncryptionCaps")
	present, known := i.flag("PasscodePresent")
	if !ok || !known {
		return nil
	}
	return caps == 3 && present
}

func asText(d dict, key string) any {
	if s := strings.TrimSpace(d.text(key)); s != "" {
		return clip(s)
	}
	return nil
}

// clip bounds a text that a device sent. No name or number that a device gives is longer.
func clip(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

func asFlag(d dict, key string) any {
	if v, ok := d.flag(key); ok {
		return v
	}
	return nil
}

// asGigabytes reads a capacity in units of 10^9 bytes (macOS up to 11 counts in 2^30: seven per cent less, which is let be).
func asGigabytes(d dict, key string) any {
	v, ok := d.number(key)
	if !ok || math.IsNaN(v) || v < 0 || v > 1e9 {
		return nil
	}
	return int64(v * 1e9)
}

// fromSIM reads the first value that any SIM card has under one of the keys.
func fromSIM(keys ...string) func(dict, string) any {
	return func(d dict, query string) any {
		for _, key := range keys {
			for _, sim := range d.list(query) {
				if s, ok := sim.(dict); ok {
					if v := asText(s, key); v != nil {
						return v
					}
				}
			}
		}
		return nil
	}
}

// fromSIMs reads the values of all SIM cards under a key.
func fromSIMs(key string) func(dict, string) any {
	return func(d dict, query string) any {
		var out []string
		for _, sim := range d.list(query) {
			if s, ok := sim.(dict); ok {
				if v, ok := asText(s, key).(string); ok && !slices.Contains(out, v) && len(out) < 4 {
					out = append(out, v)
				}
			}
		}
		if out == nil {
			return nil
		}
		return out
	}
}

// checkInFacts reads what Authenticate tells. Fleet keeps of it what the register allows.
func checkInFacts(msg dict) map[fleet.FactKey]any {
	out := map[fleet.FactKey]any{"manufacturer": "Apple", "os": string(platformOf(msg))}
	for _, s := range factSources {
		if s.checkIn && s.read != nil && out[s.fact] == nil {
			if v := s.read(msg, s.query); v != nil {
				out[s.fact] = v
			}
		}
	}
	if v := asText(msg, "IMEI"); v != nil {
		out["imei"] = []string{v.(string)}
	}
	if v := asText(msg, "MEID"); v != nil {
		out["meid"] = v
	}
	if v := asText(msg, "EnrollmentID"); v != nil {
		out["enterprise-id"] = v
	}
	return out
}

// queriesFor lists the DeviceInformation queries that obtain exactly the facts that may be taken.
func queriesFor(p fleet.Platform, facts []fleet.FactKey) []string {
	out := []string{}
	for _, s := range factSources {
		if s.query == "" || !s.on(p) || !slices.Contains(facts, s.fact) || slices.Contains(out, s.query) {
			continue
		}
		if s.query == simQuery && !(slices.Contains(facts, "imei") && slices.Contains(facts, "iccid") && slices.Contains(facts, "meid")) {
			continue
		}
		out = append(out, s.query)
	}
	return out
}

func (s factSource) on(p fleet.Platform) bool {
	if p == fleet.MacOS {
		return s.mac
	}
	return s.ios
}

// deviceFacts reads QueryResponses. A fact whose key is missing is not in the result: that is no error, but an old value is no
// longer known to be true.
func deviceFacts(responses dict) map[fleet.FactKey]any {
	out := map[fleet.FactKey]any{}
	for _, s := range factSources {
		if s.query == "" || s.read == nil || out[s.fact] != nil {
			continue
		}
		if v := s.read(responses, s.query); v != nil {
			out[s.fact] = v
		}
	}
	return out
}

// securityFacts reads SecurityInfo.
func securityFacts(info dict) map[fleet.FactKey]any {
	out := map[fleet.FactKey]any{}
	for _, s := range securitySources {
		if v := s.read(info); v != nil {
			out[s.fact] = v
		}
	}
	return out
}

// FactsOf says which facts a query can yield on a device; fleet strikes out what the register does not allow.
func (a *Apple) FactsOf(q fleet.QueryKind, d *fleet.Device) []fleet.FactKey {
	var out []fleet.FactKey
	add := func(k fleet.FactKey) {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	switch q {
	case fleet.QueryDevice:
		for _, s := range factSources {
			if s.query != "" && s.on(d.Platform) {
				add(s.fact)
			}
		}
	case fleet.QuerySecurity:
		for _, s := range securitySources {
			if d.Platform == fleet.MacOS && s.mac || d.Platform != fleet.MacOS && s.ios {
				add(s.fact)
			}
		}
	case fleet.QueryProfiles:
		add("managed-profiles")
	case fleet.QueryCertificates:
		add("managed-certs")
	case fleet.QueryApps:
		add("apps")
	case fleet.QueryManagedApps:
		add("managed-apps")
	}
	return out
}
