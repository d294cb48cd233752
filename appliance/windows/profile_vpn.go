package windows

import (
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

const vpnNode = "./User/Vendor/MSFT/VPNv2/"

// vpnProfile is ProfileXML; its schema prescribes the order.
const vpnProfile = `<VPNProfile><RememberCredentials>true</RememberCredentials><AlwaysOn>{{always}}</AlwaysOn>{{{home}}}` +
	`<NativeProfile><Servers>{{server}}</Servers><RoutingPolicyType>{{routing}}</RoutingPolicyType><NativeProtocolType>IKEv2</NativeProtocolType>` +
	`{{{routes}}}<CryptographySuite><AuthenticationTransformConstants>{{transform}}</AuthenticationTransformConstants>` +
	`<CipherTransformConstants>{{cipher}}</CipherTransformConstants><PfsGroup>{{pfs}}</PfsGroup><DHGroup>{{group}}</DHGroup>` +
	`<IntegrityCheckMethod>{{integrity}}</IntegrityCheckMethod><EncryptionMethod>{{encryption}}</EncryptionMethod></CryptographySuite>` +
	`<Authentication><UserMethod>Eap</UserMethod><Eap><Configuration>{{{eap}}}</Configuration></Eap></Authentication></NativeProfile></VPNProfile>`

// build2004 is the first that makes routes of what an IKEv2 server offers.
const build2004 = 19041

const eapPassword = `<Eap xmlns="http://www.microsoft.com/provisioning/BaseEapConnectionPropertiesV1"><Type>26</Type>` +
	`<EapType xmlns="http://www.microsoft.com/provisioning/MsChapV2ConnectionPropertiesV1"><UseWinLogonCredentials>false</UseWinLogonCredentials></EapType></Eap>`

// Groups of Diffie-Hellman (IKEv2 numbers) as Windows calls them, for the first exchange and for perfect forward secrecy.
var vpnGroups = map[string][2]string{"14": {"Group14", "PFS2048"}, "19": {"ECP256", "ECP256"}, "20": {"ECP384", "ECP384"}}

// vpnApplies says what of a connection Windows cannot be told: its IKEv2 signs in by EAP alone.
func vpnApplies(v fleet.Values) (bool, fleet.Reason) {
	if v.String("sign_in") == "secret" {
		return false, why("windows.not-applicable.vpn-secret")
	}
	return true, fleet.Reason{}
}

// vpn renders a connection of the person by IKEv2 (VPNv2, ProfileXML). It signs in with a certificate of the person's store, or asks for the
// password. Its name in Windows is the profile's.
func (r *rendering) vpn(p *fleet.Profile) (*rendered, error) {
	v, err := fleet.Fill(p, r.order.Person)
	if err != nil {
		return nil, err
	}
	config := fillRaw(string(fill(eapMethod, "type", "26", "author", "0")), "config", eapPassword)
	if v.String("sign_in") == "certificate" {
		root, err := r.rootOf(v.String("root"))
		if err != nil {
			return nil, err
		}
		if config, err = r.eapConfig(eap{method: "tls", names: v.String("server"), root: root}); err != nil {
			return nil, err
		}
	}
	home, routing, routes := "", "ForceTunnel", ""
	if v.String("home_domains") != "" {
		home = string(fill(`<TrustedNetworkDetection>{{domains}}</TrustedNetworkDetection>`, "domains", strings.Join(strings.Fields(v.String("home_domains")), ",")))
	}
	if v.String("traffic") != "all" {
		routing = "SplitTunnel"
		if buildOf(r.order.Device.OSVersion) >= build2004 { // what the server says goes through it becomes routes; before, the class of our address does
			routes = "<DisableClassBasedDefaultRoute>true</DisableClassBasedDefaultRoute><PlumbIKEv2TSAsRoutes>true</PlumbIKEv2TSAsRoutes>"
		}
	}
	cipher, transform, encryption := "GCMAES256", "GCMAES256", "AES_GCM_256"
	if v.String("encryption") == "aes-256-cbc" {
		cipher, transform, encryption = "AES256", "SHA256128", "AES256"
	}
	integrity := "SHA256"
	if v.String("integrity") == "sha2-384" {
		integrity = "SHA384"
	}
	group := vpnGroups[v.String("dh_group")]
	pfs := "None"
	if v.Bool("pfs") {
		pfs = group[1]
	}
	xml := string(fill(vpnProfile, "always", strconv.FormatBool(v.String("connect") == "always"), "server", v.String("server"), "routing", routing, "transform", transform,
		"cipher", cipher, "pfs", pfs, "group", group[0], "integrity", integrity, "encryption", encryption))
	xml = fillRaw(fillRaw(fillRaw(xml, "home", home), "routes", routes), "eap", config)
	base := vpnNode + segment(strings.ReplaceAll(p.Name, "/", "\u2215")) // a name must not hold a slash, encoded or not
	return &rendered{batches: put(base+"/ProfileXML", "chr", xml, 0), checks: []check{{URI: base + "/ProfileXML", Want: xml, Kind: "xml"}}, nodes: []string{base}}, nil
}
