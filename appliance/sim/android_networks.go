package sim

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// applyNetworks reads the open network configuration. d.mu is held.
func (d *Android) applyNetworks(p dict) {
	s := &d.work
	s.roots, s.ids, s.wifi = nil, map[string]*identity{}, nil
	onc, _ := p["openNetworkConfiguration"].(dict)
	if onc == nil {
		return
	}
	bad := func(path, specific string) {
		more := dict{}
		if specific != "" {
			more["specificNonComplianceReason"] = specific
		}
		if guid := str(entryAt(onc, path), "GUID"); guid != "" && oneOf(specific, "ONC_WIFI_INVALID_VALUE", "ONC_WIFI_API_LEVEL") {
			more["specificNonComplianceContext"] = dict{"oncWifiContext": dict{"wifiGuid": guid}}
		}
		s.wrong("openNetworkConfiguration", path, "", "INVALID_VALUE", more)
	}
	if t := str(onc, "Type"); t != "" && t != "UnencryptedConfiguration" {
		bad("onc.Type", "")
		return
	}
	guids := map[string]bool{}
	for i, v := range listOf(onc, "Certificates") {
		c, _ := v.(dict)
		path := fmt.Sprintf("onc.Certificates[%d]", i)
		guid := str(c, "GUID")
		if guid == "" || guids[guid] {
			bad(path, "")
			continue
		}
		guids[guid] = true
		switch str(c, "Type") {
		case "Authority":
			der, err := base64.StdEncoding.DecodeString(str(c, "X509"))
			cert, err2 := x509.ParseCertificate(der)
			if err != nil || err2 != nil {
				bad(path, "")
				continue
			}
			s.roots = append(s.roots, cert)
		case "Client":
			b, err := base64.StdEncoding.DecodeString(str(c, "PKCS12"))
			pbes2 := []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d} // OID 1.2.840.113549.1.5.13
			key, cert, _, err2 := pkcs12.DecodeChain(b, "")
			if err != nil || err2 != nil || bytes.Contains(b, pbes2) {
				bad(path, "") // only the old encryption and an empty passphrase are taken
				continue
			}
			s.ids[guid] = &identity{cert: cert, key: key}
		default:
			bad(path, "")
		}
	}
	for i, v := range listOf(onc, "NetworkConfigurations") {
		n, _ := v.(dict)
		path := fmt.Sprintf("onc.NetworkConfigurations[%d]", i)
		w, _ := n["WiFi"].(dict)
		if str(n, "GUID") == "" || str(n, "Name") == "" || str(n, "Type") != "WiFi" || w == nil || str(w, "SSID") == "" && str(w, "HexSSID") == "" {
			bad(path, "ONC_WIFI_INVALID_VALUE")
			continue
		}
		security := str(w, "Security")
		switch {
		case !oneOf(security, "None", "WEP-PSK", "WPA-PSK", "WPA-EAP", "WEP-8021X", "WPA3-Enterprise_192"):
			bad(path, "ONC_WIFI_INVALID_VALUE")
			continue
		case oneOf(security, "WEP-PSK", "WPA-PSK") && str(w, "Passphrase") == "":
			bad(path, "ONC_WIFI_INVALID_VALUE")
			continue
		case oneOf(security, "WPA-EAP", "WEP-8021X", "WPA3-Enterprise_192"):
			eap, _ := w["EAP"].(dict)
			if reason := d.checkEAP(eap, guids); reason != "" {
				bad(path+".WiFi.EAP", reason)
				continue
			}
		}
		s.wifi = append(s.wifi, str(w, "SSID"))
	}
}

// entryAt is the network that a complaint's path is about; nil when it is about something else.
func entryAt(onc dict, path string) dict {
	for i, v := range listOf(onc, "NetworkConfigurations") {
		if at := fmt.Sprintf("onc.NetworkConfigurations[%d]", i); path == at || strings.HasPrefix(path, at+".") {
			n, _ := v.(dict)
			return n
		}
	}
	return nil
}

// checkEAP holds the settings of an enterprise network against what Android takes.
func (d *Android) checkEAP(eap dict, guids map[string]bool) string {
	if !oneOf(str(eap, "Outer"), "EAP-AKA", "EAP-TLS", "EAP-TTLS", "EAP-SIM", "PEAP") {
		return "ONC_WIFI_INVALID_VALUE"
	}
	refs := stringList(eap, "ServerCARefs")
	if r := str(eap, "ServerCARef"); r != "" {
		refs = append(refs, r)
	}
	if len(stringList(eap, "DomainSuffixMatch")) == 0 || len(refs) == 0 {
		return "ONC_WIFI_INVALID_ENTERPRISE_CONFIG"
	}
	for _, r := range refs {
		if !guids[r] {
			return "ONC_WIFI_INVALID_VALUE"
		}
	}
	switch str(eap, "ClientCertType") {
	case "Ref":
		if d.work.ids[str(eap, "ClientCertRef")] == nil {
			return "ONC_WIFI_INVALID_VALUE"
		}
	case "KeyPairAlias":
		if d.hw.api < 31 {
			return "ONC_WIFI_API_LEVEL"
		}
		if d.work.ids[str(eap, "ClientCertKeyPairAlias")] == nil {
			return "ONC_WIFI_KEY_PAIR_ALIAS_NOT_CORRESPONDING_TO_EXISTING_KEY"
		}
	}
	return ""
}
