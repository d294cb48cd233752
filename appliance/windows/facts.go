package windows

import (
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// factSource says at which node a fact is read, and how. Several sources may yield one fact: the first that answers counts.
type factSource struct {
	fact  fleet.FactKey
	query fleet.QueryKind
	node  string
	read  func(value string) any // nil when the value says nothing
}

var factSources = []factSource{
	{fleet.FactHardwareID, fleet.QueryDevice, "./DevInfo/DevId", asText},
	{fleet.FactManufacturer, fleet.QueryDevice, "./DevInfo/Man", asText},
	{fleet.FactModel, fleet.QueryDevice, "./DevInfo/Mod", asText},
	{fleet.FactLanguage, fleet.QueryDevice, "./DevInfo/Lang", asText},
	{fleet.FactSerial, fleet.QueryDevice, "./DevDetail/Ext/Microsoft/SMBIOSSerialNumber", asSerial},
	{fleet.FactOSVersion, fleet.QueryDevice, "./DevDetail/SwV", asText},
	{fleet.FactOS, fleet.QueryDevice, "./DevDetail/SwV", func(v string) any { return osName(v) }},
	{fleet.FactBuild, fleet.QueryDevice, "./DevDetail/SwV", func(v string) any { return some(buildText(v)) }},
	{fleet.FactEdition, fleet.QueryDevice, "./Vendor/MSFT/DeviceStatus/OS/Edition", asEdition},
	{fleet.FactDeviceName, fleet.QueryDevice, "./DevDetail/Ext/Microsoft/DNSComputerName", asText},
	{fleet.FactDeviceName, fleet.QueryDevice, "./DevDetail/Ext/Microsoft/DeviceName", asText},
	{fleet.FactStorageTotal, fleet.QueryDevice, "./DevDetail/Ext/Microsoft/TotalStorage", asMegabytes},
	{fleet.FactStorageFree, fleet.QueryDevice, "./DevDetail/Ext/Microsoft/FreeStorage", asMegabytes},
	{fleet.FactWiFiMAC, fleet.QueryDevice, "./DevDetail/Ext/WLANMACAddress", asMAC},
	{fleet.FactEncrypted, fleet.QuerySecurity, "./Vendor/MSFT/DeviceStatus/Compliance/EncryptionCompliance", asFlag},
	{fleet.FactFirewall, fleet.QuerySecurity, "./Vendor/MSFT/DeviceStatus/Firewall/Status", asFirewall},
}

func some(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func asText(v string) any { return some(clip(strings.TrimSpace(v))) }

// asSerial leaves out what makers of mainboards write where they have nothing to say.
func asSerial(v string) any {
	v = strings.TrimSpace(v)
	switch strings.ToLower(v) {
	case "", "0", "none", "default string", "to be filled by o.e.m.", "system serial number", "not specified":
		return nil
	}
	return clip(v)
}

func asNumberText(v string) any {
	if _, err := strconv.Atoi(strings.TrimSpace(v)); err != nil {
		return nil
	}
	return strings.TrimSpace(v)
}

func asMegabytes(v string) any {
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil || n <= 0 || n > 1<<40 {
		return nil
	}
	return n << 20
}

// asMAC writes an address with colons.
func asMAC(v string) any {
	v = strings.ToUpper(strings.NewReplacer(":", "", "-", "", " ", "").Replace(v))
	if len(v) != 12 || strings.Trim(v, "0123456789ABCDEF") != "" || v == "000000000000" {
		return nil
	}
	var out []string
	for i := 0; i < 12; i += 2 {
		out = append(out, v[i:i+2])
	}
	return strings.Join(out, ":")
}

func asFlag(v string) any {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "1", "true":
		return true
	case "0", "false":
		return false
	}
	return nil
}

// asFirewall: 0 on; 1 off, 2 partly, 3 not everywhere for now; 4 does not apply.
func asFirewall(v string) any {
	switch strings.TrimSpace(v) {
	case "0":
		return true
	case "1", "2", "3":
		return false
	}
	return nil
}

// osName tells Windows 11 by its build: it calls itself 10.
func osName(version string) string {
	if buildOf(version) >= 22000 {
		return "Windows 11"
	}
	return "Windows 10"
}

// buildText is build and revision, of 10.0.26100.1742 "26100.1742".
func buildText(version string) string {
	if buildOf(version) == 0 {
		return ""
	}
	return clip(strings.Join(strings.Split(strings.TrimSpace(version), ".")[2:], "."))
}

// FactsOf says which facts a query can yield; fleet strikes out what the register does not allow.
func (w *Windows) FactsOf(q fleet.QueryKind, _ *fleet.Device) []fleet.FactKey {
	switch q {
	case fleet.QueryProfiles:
		return []fleet.FactKey{fleet.FactManagedProfiles}
	case fleet.QueryCertificates:
		return []fleet.FactKey{fleet.FactManagedCerts}
	}
	var out []fleet.FactKey
	for _, s := range factSources {
		if s.query == q && !slices.Contains(out, s.fact) {
			out = append(out, s.fact)
		}
	}
	return out
}

// Queries that a PC should have answered lately.
func (w *Windows) Queries(*fleet.Device) []fleet.QueryKind {
	return []fleet.QueryKind{fleet.QueryDevice, fleet.QuerySecurity, fleet.QueryProfiles, fleet.QueryCertificates}
}

// factGets asks for exactly the facts that may be taken, one node a command: of several, one that is missing would fail all.
func factGets(q fleet.QueryKind, allowed []fleet.FactKey) []command {
	var out []command
	for _, s := range factSources {
		if s.query == q && slices.Contains(allowed, s.fact) && !slices.ContainsFunc(out, func(c command) bool { return c.URI == s.node }) {
			out = append(out, get(s.node))
		}
	}
	return out
}

// factsIn reads what a query brought. A node that this edition or build does not have is no error.
func factsIn(j *job) map[fleet.FactKey]any {
	out := map[fleet.FactKey]any{}
	values := map[string]string{}
	j.each(func(c *command) {
		if c.good() && c.Value != nil {
			values[c.URI] = *c.Value
		}
	})
	for _, s := range factSources {
		v, ok := values[s.node]
		if !ok || out[s.fact] != nil || s.query != j.Query || !slices.Contains(j.Facts, s.fact) {
			continue
		}
		if x := s.read(v); x != nil {
			out[s.fact] = x
		}
	}
	return out
}
