package sim

import (
	"context"
	"slices"
	"strings"
)

func (d *Apple) deviceInformation(_ context.Context, m *management, ch *channel, c dict) answer {
	all := d.facts(m, ch)
	out := dict{}
	if _, there := c["Queries"]; !there {
		for name, f := range all {
			if m.rights&f.right == f.right {
				out[name] = f.value
			}
		}
	} else if queries, ok := c["Queries"].([]any); !ok {
		return answer{status: "CommandFormatError", chain: refuse(domainMDM, 12008, "Queries is %s, not an array.", typeName(c["Queries"]))}
	} else {
		for _, q := range queries {
			name, _ := q.(string)
			if f, known := all[name]; known && m.rights&f.right == f.right {
				out[name] = f.value
			}
		}
	}
	return acknowledged(dict{"QueryResponses": out})
}

// fact is the answer to one query with the right that it needs.
type fact struct {
	value any
	right int
}

// facts lists what this device can answer about itself; what it cannot is missing.
func (d *Apple) facts(m *management, ch *channel) map[string]fact {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := &d.hw
	f := map[string]fact{"UDID": {h.udid, 0}, "AwaitingConfiguration": {false, 0}, "iTunesStoreAccountIsActive": {h.kind != Mac, rightManage}}
	add := func(right int, kv dict) {
		for k, v := range kv {
			f[k] = fact{v, right}
		}
	}
	add(rightDevice, dict{
		"DeviceName": h.name, "OSVersion": h.os, "BuildVersion": h.build, "ModelName": h.model.marketing, "Model": h.model.number + "LL",
		"ModelNumber": h.model.number + "LL/A", "ProductName": h.model.product, "SerialNumber": h.serial,
		"DeviceCapacity": h.model.capacity, "AvailableDeviceCapacity": h.available, "BatteryLevel": h.battery, "IsSupervised": d.supervised(),
		"SupplementalBuildVersion": h.build,
	})
	add(rightNetwork, dict{"WiFiMAC": h.wifi, "BluetoothMAC": h.bt})
	if h.kind == Mac {
		add(0, dict{"ProvisioningUDID": h.udid})
		add(rightDevice, dict{
			"HostName": h.hostName, "LocalHostName": h.hostName, "IsAppleSilicon": h.appleSilicon, "HasBattery": strings.Contains(h.model.marketing, "Book"),
			"SystemIntegrityProtectionEnabled": true, "PINRequiredForEraseDevice": !h.appleSilicon, "PINRequiredForDeviceLock": true,
			"EACSPreflight": "success", "IsActivationLockSupported": true, "SupportsiOSAppInstalls": h.appleSilicon, "SupportsLOMDevice": false,
			"ActiveManagedUsers": d.managedUsers(m), "AutoSetupAdminAccounts": []any{},
		})
		add(rightNetwork, dict{"EthernetMAC": h.eth})
		if ch.user {
			add(rightDevice, dict{"PushToken": ch.token})
		}
		return f
	}
	add(rightDevice, dict{
		"EASDeviceIdentifier": h.easID, "IsDeviceLocatorServiceEnabled": true, "IsActivationLockEnabled": true, "IsMDMLostModeEnabled": false,
		"IsMultiUser": false, "IsCloudBackupEnabled": true, "IsDoNotDisturbInEffect": false, "TimeZone": "Europe/Amsterdam",
		"DiagnosticSubmissionEnabled": false, "AppAnalyticsEnabled": false, "CellularTechnology": 0,
	})
	add(rightNetwork, dict{"IsNetworkTethered": false, "PersonalHotspotEnabled": false})
	if h.kind == IPhone {
		add(rightDevice, dict{"CellularTechnology": 3, "ModemFirmwareVersion": "3.10.01", "IMEI": h.imei})
		add(rightNetwork, dict{"DataRoamingEnabled": false, "IsRoaming": false, "ServiceSubscriptions": []any{dict{
			"Slot": "CTSubscriptionSlotOne", "Label": "Primary", "LabelID": "1", "IMEI": h.imei, "PhoneNumber": h.phoneNumber, "CurrentCarrierNetwork": "Example Mobile",
			"SubscriberCarrierNetwork": "Example Mobile", "CurrentMCC": "204", "CurrentMNC": "00", "IsDataPreferred": true, "IsVoicePreferred": true, "IsRoaming": false,
		}}})
	}
	return f
}

// managedUsers lists the accounts with a user channel.
func (d *Apple) managedUsers(m *management) []any {
	if m.user == nil {
		return []any{}
	}
	return []any{d.hw.userID}
}

func (d *Apple) securityInfo(_ context.Context, _ *management, ch *channel, _ dict) answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hw.kind != Mac {
		return acknowledged(dict{"SecurityInfo": dict{
			"HardwareEncryptionCaps": 3, "PasscodePresent": d.passcode != "", "PasscodeCompliant": d.compliant(d.passcode) == nil,
			"PasscodeCompliantWithProfiles": d.compliant(d.passcode) == nil, "PasscodeLockGracePeriod": 0, "PasscodeLockGracePeriodEnforced": 0,
			"ManagementStatus": dict{"IsUserEnrollment": false},
		}})
	}
	if ch.user {
		return acknowledged(dict{"SecurityInfo": dict{}})
	}
	level := "full"
	if !d.hw.appleSilicon {
		level = "medium"
	}
	return acknowledged(dict{"SecurityInfo": dict{
		"FDE_Enabled": d.o.Seed%4 != 3, "FDE_HasPersonalRecoveryKey": d.o.Seed%4 != 3, "FDE_HasInstitutionalRecoveryKey": false,
		"SystemIntegrityProtectionEnabled": true, "RemoteDesktopEnabled": false, "AuthenticatedRootVolumeEnabled": true, "IsRecoveryLockEnabled": false,
		"FirewallSettings":                       dict{"FirewallEnabled": true, "BlockAllIncoming": false, "StealthMode": false, "LoggingEnabled": false, "Applications": []any{}},
		"FirmwarePasswordStatus":                 dict{"PasswordExists": false, "ChangePending": false, "AllowOroms": false},
		"ManagementStatus":                       dict{"EnrolledViaDEP": false, "UserApprovedEnrollment": true, "IsUserEnrollment": false, "IsActivationLockManageable": false},
		"SecureBoot":                             dict{"SecureBootLevel": level, "ExternalBootLevel": "disallowed"},
		"BootstrapTokenAllowedForAuthentication": "not supported", "BootstrapTokenRequiredForSoftwareUpdate": d.hw.appleSilicon,
		"BootstrapTokenRequiredForKernelExtensionApproval": d.hw.appleSilicon, "PasscodePresent": true,
	}})
}

func (d *Apple) profileList(_ context.Context, _ *management, ch *channel, c dict) answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []any{}
	for _, i := range d.profiles {
		if i.user != ch.user || flag(c, "ManagedOnly") && !i.managed && !i.enrolment {
			continue
		}
		content := []any{}
		for _, pl := range i.payloads {
			content = append(content, dict{"PayloadType": pl.kind, "PayloadIdentifier": pl.identifier, "PayloadUUID": pl.uuid, "PayloadVersion": 1,
				"PayloadDisplayName": str(pl.body, "PayloadDisplayName")})
		}
		p := dict{"PayloadIdentifier": i.identifier, "PayloadUUID": i.uuid, "PayloadVersion": 1, "PayloadDisplayName": i.name, "PayloadOrganization": i.org,
			"PayloadRemovalDisallowed": i.managed, "HasRemovalPasscode": false, "IsEncrypted": false, "PayloadContent": content}
		if d.hw.kind != Mac {
			p["IsManaged"] = i.managed || i.enrolment
		}
		if len(i.signers) > 0 {
			chain := []any{}
			for _, s := range i.signers {
				chain = append(chain, s.Raw)
			}
			p["SignerCertificates"] = chain
		}
		list = append(list, p)
	}
	return acknowledged(dict{"ProfileList": list})
}

func (d *Apple) certificateList(_ context.Context, _ *management, ch *channel, c dict) answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []any{}
	for _, i := range d.profiles {
		if i.user != ch.user || flag(c, "ManagedOnly") && !i.managed && !i.enrolment {
			continue
		}
		for _, id := range i.certificates() {
			list = append(list, dict{"CommonName": id.cert.Subject.CommonName, "IsIdentity": id.key != nil, "Data": id.cert.Raw})
		}
	}
	return acknowledged(dict{"CertificateList": list})
}

// ownApps lists what the person has put on the device: names that no server needs to
// know about a personal device.
func (d *Apple) ownApps() []dict {
	names := []string{"Bank", "Chess", "Health Diary", "Radio", "Weather", "Trains"}
	var out []dict
	for i, n := range names {
		if (d.o.Seed>>i)&1 == 0 {
			out = append(out, dict{"Identifier": "com.example." + strings.ToLower(strings.ReplaceAll(n, " ", "")), "Name": n, "Version": "1." + string(rune('0'+i)),
				"ShortVersion": "1." + string(rune('0'+i)), "BundleSize": 1_000_000 * (i + 3), "DynamicSize": 2_000_000 * (i + 1), "IsValidated": true,
				"Installing": false, "AppStoreVendable": true})
		}
	}
	return out
}

func (d *Apple) installedApplicationList(_ context.Context, _ *management, _ *channel, c dict) answer {
	list := []any{}
	items, wanted := stringList(c, "Items"), stringList(c, "Identifiers")
	if !flag(c, "ManagedAppsOnly") { // no app on these devices is managed
		for _, app := range d.ownApps() {
			if len(wanted) > 0 && !slices.Contains(wanted, app["Identifier"].(string)) {
				continue
			}
			if len(items) > 0 && d.hw.kind != Mac {
				for key := range app {
					if !slices.Contains(items, key) {
						delete(app, key)
					}
				}
			}
			list = append(list, app)
		}
	}
	return acknowledged(dict{"InstalledApplicationList": list})
}

func (d *Apple) managedApplicationList(context.Context, *management, *channel, dict) answer {
	return acknowledged(dict{"ManagedApplicationList": dict{}})
}
