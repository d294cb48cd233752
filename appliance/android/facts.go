package android

import (
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// factSource says where a fact stands in Google's device resource.
type factSource struct {
	fact  fleet.FactKey
	query fleet.QueryKind
	read  func(*device) any // nil when it says nothing
}

var factSources = []factSource{
	{fleet.FactHardwareID, fleet.QueryDevice, func(d *device) any { return some(hardwareOf(d)) }},
	{fleet.FactEnterpriseID, fleet.QueryDevice, func(d *device) any { return some(d.Hardware.EnterpriseID) }},
	{fleet.FactSerial, fleet.QueryDevice, func(d *device) any { return some(d.Hardware.Serial) }},
	{fleet.FactManufacturer, fleet.QueryDevice, func(d *device) any { return some(d.Hardware.Manufacturer) }},
	{fleet.FactModel, fleet.QueryDevice, func(d *device) any { return some(modelOf(d)) }},
	{fleet.FactOS, fleet.QueryDevice, func(*device) any { return "Android" }},
	{fleet.FactOSVersion, fleet.QueryDevice, func(d *device) any { return some(versionOf(d)) }},
	{fleet.FactBuild, fleet.QueryDevice, func(d *device) any { return some(d.Software.Build) }},
	{fleet.FactSecurityPatch, fleet.QueryDevice, func(d *device) any { return some(d.Software.Patch) }},
	{fleet.FactKernel, fleet.QueryDevice, func(d *device) any { return some(d.Software.Kernel) }},
	{fleet.FactBaseband, fleet.QueryDevice, func(d *device) any { return some(d.Hardware.Baseband) }},
	{fleet.FactLanguage, fleet.QueryDevice, func(d *device) any { return some(d.Software.Language) }},
	{fleet.FactStorageTotal, fleet.QueryDevice, func(d *device) any { return number(int64(d.Memory.Storage)) }},
	{fleet.FactStorageFree, fleet.QueryDevice, storageFree},
	{fleet.FactPhoneNumber, fleet.QueryDevice, func(d *device) any { return some(sims(d, 0)...) }},
	{fleet.FactCarrier, fleet.QueryDevice, func(d *device) any { return some(sims(d, 1)...) }},
	{fleet.FactICCID, fleet.QueryDevice, func(d *device) any { return list(sims(d, 2)) }},
	{fleet.FactIMEI, fleet.QueryDevice, func(d *device) any { return list([]string{d.Network.IMEI}) }},
	{fleet.FactMEID, fleet.QueryDevice, func(d *device) any { return some(d.Network.MEID) }},
	{fleet.FactWiFiMAC, fleet.QueryDevice, func(d *device) any { return some(strings.ToUpper(d.Network.WiFiMAC)) }},

	{fleet.FactPasscodePresent, fleet.QuerySecurity, func(d *device) any {
		if d.Settings == nil {
			return nil
		}
		return d.Settings.Secure
	}},
	{fleet.FactPasscodeCompliant, fleet.QuerySecurity, func(d *device) any {
		if d.AppliedPolicyVersion == 0 {
			return nil
		}
		return !slices.ContainsFunc(d.NonCompliance, func(n nonCompliance) bool { return n.Setting == "passwordPolicies" })
	}},
	{fleet.FactEncrypted, fleet.QuerySecurity, func(d *device) any {
		if d.Settings == nil || d.Settings.Encryption == "" {
			return nil
		}
		return strings.HasPrefix(d.Settings.Encryption, "ACTIVE")
	}},
	{fleet.FactPosture, fleet.QuerySecurity, func(d *device) any {
		return some(map[string]string{"SECURE": "secure", "AT_RISK": "at-risk", "POTENTIALLY_COMPROMISED": "compromised"}[d.Posture.Posture])
	}},
}

func some(list ...string) any {
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			return clip(s, 300)
		}
	}
	return nil
}

func list(in []string) any {
	var out []string
	for _, s := range in {
		if s = strings.TrimSpace(s); s != "" && len(out) < 8 {
			out = append(out, clip(s, 60))
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func number(n int64) any {
	if n <= 0 {
		return nil
	}
	return n
}

// sims are phone numbers (0), carriers (1) or serial numbers (2) of the SIM cards.
func sims(d *device, what int) []string {
	var out []string
	for i, s := range d.Network.SIMs {
		if i == 8 {
			break
		}
		out = append(out, []string{s.Number, s.Carrier, s.ICCID}[what])
	}
	return out
}

// storageFree is the newest measurement of free storage.
func storageFree(d *device) any {
	var best int64
	var at moment
	for _, e := range d.MemoryEvents {
		if e.Type == "INTERNAL_STORAGE_MEASURED" && !e.At.Before(at.Time) {
			best, at = int64(e.Bytes), e.At
		}
	}
	return number(best)
}

// modelOf puts the maker before the model where that does not say it itself.
func modelOf(d *device) string {
	maker, model := strings.TrimSpace(firstOf(d.Hardware.Manufacturer, d.Hardware.Brand)), strings.TrimSpace(d.Hardware.Model)
	if model == "" || maker == "" || strings.HasPrefix(strings.ToLower(model), strings.ToLower(maker)) {
		return model
	}
	return strings.ToUpper(maker[:1]) + maker[1:] + " " + model
}

// versions are the names of API levels, for devices that do not tell the one of their system.
var versions = map[int]string{23: "6", 24: "7", 25: "7.1", 26: "8", 27: "8.1", 28: "9", 29: "10", 30: "11", 31: "12", 32: "12L", 33: "13", 34: "14", 35: "15", 36: "16", 37: "17"}

func versionOf(d *device) string { return firstOf(d.Software.Version, versions[d.APILevel]) }

// FactsOf says which facts a query can yield; fleet strikes out what the register does not allow.
func (a *Android) FactsOf(q fleet.QueryKind, d *fleet.Device) []fleet.FactKey {
	switch q {
	case fleet.QueryApps:
		return []fleet.FactKey{fleet.FactApps}
	case fleet.QueryManagedApps:
		return []fleet.FactKey{fleet.FactManagedApps}
	}
	var out []fleet.FactKey
	for _, s := range factSources {
		if s.query == q {
			out = append(out, s.fact)
		}
	}
	return out
}

// Queries that a device should have answered lately. All are answered from one look at Google's record of it.
func (a *Android) Queries(d *fleet.Device) []fleet.QueryKind {
	out := []fleet.QueryKind{fleet.QueryProfiles, fleet.QueryDevice, fleet.QuerySecurity, fleet.QueryCertificates}
	if d.Ownership == fleet.Corporate {
		return append(out, fleet.QueryApps)
	}
	return append(out, fleet.QueryManagedApps)
}

// factsOf reads the facts of a query that may be taken.
func factsOf(q fleet.QueryKind, d *device, allowed []fleet.FactKey) map[fleet.FactKey]any {
	out := map[fleet.FactKey]any{}
	for _, s := range factSources {
		if s.query != q || !slices.Contains(allowed, s.fact) {
			continue
		}
		if v := s.read(d); v != nil {
			out[s.fact] = v
		}
	}
	return out
}

// firstFacts are told with the enrolment; fleet strikes out what the register does not allow.
func firstFacts(d *device) map[fleet.FactKey]any {
	out := map[fleet.FactKey]any{}
	for _, s := range factSources {
		switch s.fact {
		case fleet.FactModel, fleet.FactSerial, fleet.FactOS, fleet.FactOSVersion, fleet.FactEnterpriseID:
			if v := s.read(d); v != nil {
				out[s.fact] = v
			}
		}
	}
	return out
}

// appsOf lists the apps that are installed. In a work profile Google tells of work apps only; of those, the ones that a profile of ours asked
// for, and the ones that came from the managed Play store, are managed.
func appsOf(d *device, m fleet.Mode, owners map[string][]fleet.ProfileID) []fleet.App {
	var out []fleet.App
	for i, x := range d.Apps {
		if i == 2000 {
			break
		}
		if x.State == "REMOVED" || x.Package == "" {
			continue
		}
		_, ours := owners["app/"+x.Package]
		out = append(out, fleet.App{ID: clip(x.Package, 300), Name: clip(x.Name, 300), Version: clip(x.Version, 100), Managed: ours || x.Source == "INSTALLED_FROM_PLAY_STORE"})
	}
	return out
}

// Gaps says why Google does not tell a fact of a device (android.md's table by ownership and version: hardware and network identifiers of personal devices
// ended with Android 12, and SIM cards are told of fully managed devices only).
func (a *Android) Gaps(d *fleet.Device, facts map[fleet.FactKey]fleet.Fact) map[fleet.FactKey]fleet.Reason {
	out := map[fleet.FactKey]fleet.Reason{}
	put := func(code string, keys ...fleet.FactKey) {
		for _, k := range keys {
			out[k] = why(code)
		}
	}
	switch d.Mode {
	case fleet.ModeWorkProfile:
		code := "android.gap.personal"
		if major(d.OSVersion) >= 12 {
			code = "android.gap.personal-12"
		}
		put("android.gap.personal", fleet.FactPhoneNumber, fleet.FactCarrier, fleet.FactICCID, fleet.FactMEID)
		put(code, fleet.FactIMEI, fleet.FactWiFiMAC)
	case fleet.ModeCompanyWorkProfile:
		put("android.gap.mode", fleet.FactPhoneNumber, fleet.FactCarrier, fleet.FactICCID)
	}
	if d.Ownership == fleet.Corporate {
		put("android.gap.company", fleet.FactEnterpriseID)
	}
	return out
}

// major is the first number of a version; 0 when there is none.
func major(version string) int {
	digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(version)
	}
	n, _ := strconv.Atoi(version[:digits])
	return n
}
