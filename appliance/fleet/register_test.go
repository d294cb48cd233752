package fleet

import (
	"slices"
	"testing"
)

func TestAllowed(t *testing.T) {
	phone := func(o Ownership) Target { return Target{IOS, ModeDevice, o} }
	mac := func(o Ownership) Target { return Target{MacOS, ModeDevice, o} }
	on := func(s ...string) map[string]bool {
		m := map[string]bool{}
		for _, x := range s {
			m[x] = true
		}
		return m
	}
	all := on(SwitchPhoneNumber, SwitchCarrier, SwitchMAC, SwitchManagedApps, SwitchLostMode)
	tests := []struct {
		name     string
		fact     FactKey
		target   Target
		switches map[string]bool
		want     bool
	}{
		{"serial of a personal phone", FactSerial, phone(Personal), nil, true},
		{"IMEI of a company phone", FactIMEI, phone(Corporate), nil, true},
		{"IMEI of a personal phone, whatever is on", FactIMEI, phone(Personal), all, false},
		{"MEID of a personal phone", FactMEID, phone(Personal), all, false},
		{"ICCID of a personal phone", FactICCID, phone(Personal), all, false},
		{"location of a personal phone", FactLocation, phone(Personal), all, false},
		{"location of a company phone outside lost mode", FactLocation, phone(Corporate), nil, false},
		{"location of a company phone in lost mode", FactLocation, phone(Corporate), on(SwitchLostMode), true},
		{"phone number of a company phone needs no switch", FactPhoneNumber, phone(Corporate), nil, true},
		{"phone number of a personal phone, switch off", FactPhoneNumber, phone(Personal), nil, false},
		{"phone number of a personal phone, another switch on", FactPhoneNumber, phone(Personal), on(SwitchCarrier), false},
		{"phone number of a personal phone, switch on", FactPhoneNumber, phone(Personal), on(SwitchPhoneNumber), true},
		{"carrier of a personal phone, switch on", FactCarrier, phone(Personal), on(SwitchCarrier), true},
		{"MAC of a personal phone, switch off", FactWiFiMAC, phone(Personal), nil, false},
		{"MAC of a personal Mac, switch on", FactEthernetMAC, mac(Personal), on(SwitchMAC), true},
		{"Ethernet address of a phone", FactEthernetMAC, phone(Corporate), nil, false},
		{"Bluetooth address of a personal phone", FactBluetoothMAC, phone(Personal), all, false},
		{"network address of a personal phone", FactIP, phone(Personal), all, false},
		{"device name of a personal phone", FactDeviceName, phone(Personal), all, false},
		{"all apps of a personal phone", FactApps, phone(Personal), all, false},
		{"all apps of a company phone", FactApps, phone(Corporate), nil, true},
		{"managed apps of a personal phone, switch off", FactManagedApps, phone(Personal), nil, false},
		{"managed apps of a personal phone, switch on", FactManagedApps, phone(Personal), on(SwitchManagedApps), true},
		{"unlock token of a personal phone", FactUnlockToken, phone(Personal), all, false},
		{"all profiles of a personal phone", FactProfiles, phone(Personal), all, false},
		{"our profiles on a personal phone", FactManagedProfiles, phone(Personal), nil, true},
		{"our certificates on a personal phone", FactManagedCerts, phone(Personal), nil, true},
		{"a fact nobody declared", "battery-health", phone(Corporate), all, false},
		{"a fact about people is not taken from a device", "person.mail", phone(Corporate), all, false},
		{"an unknown ownership", FactSerial, phone("shared"), all, false},
		{"another platform", FactSerial, Target{"tizen", ModeDevice, Corporate}, all, false},
		{"IMEI of a phone with a work profile", FactIMEI, Target{Android, ModeWorkProfile, Personal}, all, false},
		{"IMEI of a company Android", FactIMEI, Target{Android, ModeCompanyWorkProfile, Corporate}, nil, true},
		{"network address of an Android, which never calls us", FactIP, Target{Android, ModeFullyManaged, Corporate}, all, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Allowed(tt.fact, tt.target, tt.switches); got != tt.want {
				t.Errorf("Allowed(%s, %v, %v) = %v, want %v", tt.fact, tt.target, tt.switches, got, tt.want)
			}
		})
	}
}

// D2 names what may be taken from personal devices; nothing else may stand in the register for them.
func TestPersonalFactsAreThoseOfTheList(t *testing.T) {
	free := []FactKey{FactHardwareID, FactEnterpriseID, FactSerial, FactModel, FactModelName, FactProduct, FactOwnership, FactOS, FactOSVersion, FactBuild, FactSecurityPatch, FactPosture,
		FactSupplementalBuild, FactSupplementalOS, FactKernel, FactBaseband, FactLanguage, FactPush, FactLastContact, FactEnrolmentState, FactCompliance,
		FactPasscodePresent, FactPasscodeCompliant, FactIdentity, FactReports, FactTimeline, FactReceipts, FactDeviceTags, FactManagedProfiles, FactManagedCerts}
	switched := []FactKey{FactPhoneNumber, FactCarrier, FactWiFiMAC, FactEthernetMAC, FactManagedApps}
	for _, d := range Declarations() {
		if !slices.Contains(d.Ownership, Personal) {
			continue
		}
		switch {
		case d.needsSwitch(Personal) && !slices.Contains(switched, d.Key):
			t.Errorf("%s is offered by a switch on personal devices", d.Key)
		case !d.needsSwitch(Personal) && !slices.Contains(free, d.Key):
			t.Errorf("%s is taken from personal devices without a switch", d.Key)
		}
	}
}

func TestDeclarationsAreWhole(t *testing.T) {
	categories := []Category{CategoryAccess, CategoryAdmin, CategoryAdminMade, CategoryApps, CategoryAudit, CategoryDevice, CategoryHardware,
		CategoryManaged, CategorySupport, CategoryTenant, CategoryUser}
	kinds := []string{"text", "number", "bytes", "bool", "time", "list"}
	used := map[Category]bool{}
	for _, d := range Declarations() {
		used[d.Category] = true
		if !slices.Contains(categories, d.Category) || !slices.Contains(kinds, d.Kind) || d.Why == "" {
			t.Errorf("%s: category %q, kind %q, why %q", d.Key, d.Category, d.Kind, d.Why)
		}
		if (len(d.Platforms) == 0) != (len(d.Ownership) == 0) {
			t.Errorf("%s: platforms %v but ownership %v", d.Key, d.Platforms, d.Ownership)
		}
	}
	for _, c := range []Category{CategoryUser, CategoryAdmin, CategoryAudit, CategoryTenant, CategoryAccess} {
		if !used[c] {
			t.Errorf("nothing declared in category %s", c)
		}
	}
}

func TestSwitchesNeedAcceptanceOnPersonalDevices(t *testing.T) {
	s := &Settings{Switches: map[string]bool{SwitchMAC: true, SwitchPhoneNumber: true}}
	tests := []struct {
		name      string
		accepted  []FactKey
		ownership Ownership
		want      map[string]bool
	}{
		{"nothing accepted", nil, Personal, map[string]bool{}},
		{"phone number accepted", []FactKey{FactPhoneNumber}, Personal, map[string]bool{SwitchPhoneNumber: true}},
		{"one of two addresses accepted", []FactKey{FactWiFiMAC}, Personal, map[string]bool{}},
		{"both addresses accepted", []FactKey{FactWiFiMAC, FactEthernetMAC}, Personal, map[string]bool{SwitchMAC: true}},
		{"accepted but switched off since", []FactKey{FactCarrier}, Personal, map[string]bool{}},
		{"lost mode is no setting", []FactKey{FactLocation}, Corporate, map[string]bool{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := switchesFor(s, tt.accepted, tt.ownership)
			for _, sw := range append(settingSwitches(), SwitchLostMode) {
				if got[sw] != tt.want[sw] {
					t.Errorf("switch %s = %v, want %v", sw, got[sw], tt.want[sw])
				}
			}
		})
	}
}
