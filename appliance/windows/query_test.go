package windows

import (
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

func TestWhatAPCMayBeAsked(t *testing.T) {
	for uri, want := range map[string]bool{
		"./Device/Vendor/MSFT/DeviceStatus/OS/Edition":                          true,
		"./Device/Vendor/MSFT/DeviceStatus/TPM/SpecificationVersion":            true,
		"./Device/Vendor/MSFT/BitLocker/Status/DeviceEncryptionStatus":          true,
		"./DevDetail/Ext/Microsoft/SMBIOSVersion":                               true,
		"./DevDetail/Ext/Microsoft/FreeStorage":                                 true,
		"./Device/Vendor/MSFT/Policy/Result/DeviceLock/MinDevicePasswordLength": true,

		// A folder tells the names of what is below it, no value.
		"./Device/Vendor/MSFT/DeviceStatus": false, "./Device/Vendor/MSFT/DeviceStatus/OS": false, "./DevDetail/Ext/Microsoft": false,
		// What only acts.
		"./Device/Vendor/MSFT/BitLocker/RotateRecoveryPasswords": false, "./Device/Vendor/MSFT/Reboot/RebootNow": false, "./Device/Vendor/MSFT/RemoteWipe/doWipe": false,
		// Secrets, accounts, certificates, networks.
		"./Device/Vendor/MSFT/CertificateStore/MY/SCEP/Muster/Install/ServerURL":                                    false,
		"./Device/Vendor/MSFT/CertificateStore/MY/User/0011223344556677889900112233445566778899/EncodedCertificate": false,
		"./Device/Vendor/MSFT/ClientCertificateInstall/SCEP/x/CertThumbprint":                                       false,
		"./SyncML/DMAcc/Muster/AppAuth/x/AAuthSecret":                                                               false,
		"./Device/Vendor/MSFT/DMClient/Provider/Muster/EntDMID":                                                     false,
		"./Device/Vendor/MSFT/WiFi/Profile/Office/WlanXml":                                                          false,
		"./Device/Vendor/MSFT/VPNv2/Office/ProfileXML":                                                              false,
		"./User/Vendor/MSFT/ActiveSync/Accounts/%7B1%7D/Password":                                                   false,
		"./User/Vendor/MSFT/EMAIL2/%7B1%7D/AUTHSECRET":                                                              false,
		"./Device/Vendor/MSFT/Policy/Result/Accounts/DomainNamesForEmailSync":                                       false,
		"./Device/Vendor/MSFT/EnterpriseModernAppManagement/AppManagement/AppInventoryResults":                      false,
		// Numbers of contracts, and what proves the PC to others.
		"./DevInfo/Ext/ICCID": false, "./DevDetail/Ext/Microsoft/MobileID": false, "./DevDetail/Ext/DeviceHardwareData": false,
		"./Device/Vendor/MSFT/DeviceStatus/CellularIdentities/490154203237518/PhoneNumber": false,
		"./Device/Vendor/MSFT/DeviceStatus/CertAttestation/MDMClientCertAttestation":       false,
		// Ways around.
		"./Device/Vendor/MSFT/DeviceStatus/../CertificateStore/MY": false, "./Device/Vendor/MSFT/DeviceStatus/OS/Edition?list=StructData": false,
		"./device/vendor/msft/devicestatus/os/edition": false, "./DevDetail/%2e%2e/DevInfo/Ext/ICCID": false, "./DevDetail/Ext/Microsoft/%4DobileID": false, "": false, ".": false,
	} {
		if got := mayAsk(uri); got != want {
			t.Errorf("%q may be asked: %v, want %v", uri, got, want)
		}
		if listed := slices.ContainsFunc(questions(), func(q question) bool { return q.uri == uri }); listed != want {
			t.Errorf("%q is listed: %v, want %v", uri, listed, want)
		}
		c, err := actionFor(&fleet.Order{Action: &fleet.Action{Type: fleet.ActQuery, Options: fleet.ActionOptions{Node: uri}}})
		if (err == nil) != want || want && (c.Verb != verbGet || c.URI != uri) {
			t.Errorf("%q as a command: %+v, %v", uri, c, err)
		}
	}
	for _, q := range questions() {
		checkNode(t, "question", get(q.uri), anyBuild)
		for _, no := range []string{"Secret", "PrivateKey", "Token", "EncodedCertificate", "Thumbprint"} {
			if strings.Contains(q.uri, no) {
				t.Errorf("%s may be asked", q.uri)
			}
		}
	}
	if old, all := len(questionsFor(oldestBuild)), len(questionsFor(0)); old == 0 || old >= all {
		t.Errorf("an old build has %d of %d nodes", old, all)
	}
}
