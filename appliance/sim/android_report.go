package sim

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"time"
)

// facts is what a phone tells of itself whatever its policy says. What a personal phone withholds depends on its version. d.mu is held.
func (d *Android) facts(in *enrolled) dict {
	hw := d.hw
	hardware := dict{"brand": hw.brand, "manufacturer": strings.ToUpper(hw.brand[:1]) + hw.brand[1:], "model": hw.model, "hardware": "sim", "deviceBasebandVersion": hw.baseband, "serialNumber": hw.serial}
	v := dict{"apiLevel": hw.api, "hardwareInfo": hardware, "managementMode": "DEVICE_OWNER", "ownership": "COMPANY_OWNED",
		"userName": in.e.name + "/users/" + strconv.Itoa(1000+len(in.name)), "securityPosture": dict{"devicePosture": "SECURE"}}
	if d.mode.profile() {
		v["managementMode"] = "PROFILE_OWNER"
	}
	if d.mode == AndroidWorkProfile {
		v["ownership"] = "PERSONALLY_OWNED"
		if hw.api >= 31 {
			id := hw.enterpriseID(in.e.name)
			hardware["enterpriseSpecificId"], hardware["serialNumber"] = id, id
		}
	} else if hw.api >= 33 {
		hardware["euiccChipInfo"] = []any{dict{"eid": "8904900" + strings.Repeat("1", 25)}}
	}
	return v
}

// report is a status report: what the policy's statusReportingSettings ask for, as far as the phone's ownership allows. d.mu is held.
func (d *Android) report(in *enrolled, o phoneOrders) dict {
	v := d.facts(in)
	s := &d.work
	v["lastPolicySyncTime"] = stamp(o.now)
	v["appliedState"] = "ACTIVE"
	switch {
	case o.policy == nil:
		v["appliedState"] = "PROVISIONING"
		return v
	case s.isOff:
		v["appliedState"] = "DISABLED"
	case s.lost:
		v["appliedState"] = "LOST"
	}
	v["appliedPolicyName"], v["appliedPolicyVersion"] = s.name, strconv.FormatInt(s.version, 10)
	if len(s.bad) == 0 {
		v["policyCompliant"] = true
	} else {
		list := make([]any, len(s.bad))
		for i, b := range s.bad {
			list[i] = maps.Clone(b)
		}
		v["nonComplianceDetails"] = list
	}
	ask, _ := o.policy["statusReportingSettings"].(dict)
	hw, full := d.hw, !d.mode.profile()
	if ask["softwareInfoEnabled"] == true {
		v["softwareInfo"] = dict{"androidVersion": hw.os, "androidBuildNumber": hw.build, "deviceKernelVersion": "6.1.75-android14", "bootloaderVersion": "sim-1.0", "securityPatchLevel": "2026-10-05",
			"primaryLanguageCode": "nl-NL", "androidDevicePolicyVersionCode": 12870500, "androidDevicePolicyVersionName": "128.70.5", "systemUpdateInfo": dict{"updateStatus": "UP_TO_DATE"}}
	}
	if ask["networkInfoEnabled"] == true {
		n := dict{}
		if d.mode.company() {
			n["imei"], n["wifiMacAddress"] = hw.imei, hw.mac
		}
		if d.mode == AndroidWorkProfile && hw.api < 31 {
			n["imei"] = hw.imei
		}
		if full {
			n["telephonyInfos"] = []any{dict{"phoneNumber": hw.phone, "carrierName": hw.carrier, "iccId": hw.iccid}}
		}
		if len(n) > 0 {
			v["networkInfo"] = n
		}
	}
	if ask["memoryInfoEnabled"] == true {
		v["memoryInfo"] = dict{"totalRam": strconv.FormatInt(hw.ram, 10), "totalInternalStorage": strconv.FormatInt(hw.storage, 10)}
		v["memoryEvents"] = []any{dict{"eventType": "INTERNAL_STORAGE_MEASURED", "byteCount": strconv.FormatInt(hw.storage/3, 10), "createTime": stamp(o.now)}}
	}
	if ask["deviceSettingsEnabled"] == true {
		settings := dict{"isEncrypted": true, "encryptionStatus": "ACTIVE_PER_USER", "verifyAppsEnabled": true}
		if s.password != "" {
			settings["isDeviceSecure"] = true
		}
		v["deviceSettings"] = settings
	}
	if ask["applicationReportsEnabled"] == true {
		v["applicationReports"] = d.appReports(o.now)
	}
	if ask["displayInfoEnabled"] == true && d.mode.company() {
		v["displays"] = []any{dict{"name": "Built-in Screen", "width": 1080, "height": 2400, "density": 420, "state": "ON"}}
	}
	return v
}

// appReports lists the apps of the managed space.
func (d *Android) appReports(now time.Time) []any {
	var out []any
	for _, pkg := range slices.Sorted(maps.Keys(d.work.apps)) {
		a := d.work.apps[pkg]
		r := dict{"packageName": pkg, "displayName": a.Title, "versionName": a.Version, "versionCode": 1, "state": "INSTALLED", "applicationSource": "INSTALLED_FROM_PLAY_STORE", "installerPackageName": "com.android.vending"}
		if a.System {
			r["applicationSource"] = "SYSTEM_APP_UPDATED_VERSION"
		}
		var states []any
		for _, f := range a.Feedback {
			states = append(states, dict{"key": f.Key, "severity": f.Severity, "message": f.Message, "createTime": stamp(now), "lastUpdateTime": stamp(now)})
		}
		if states != nil {
			r["keyedAppStates"] = states
		}
		out = append(out, r)
	}
	return out
}
