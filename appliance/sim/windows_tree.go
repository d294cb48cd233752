package sim

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// pcNode is a node that exists on the PC.
type pcNode struct {
	segs         []string
	format, data string
}

// pcTree holds what the configuration service providers of a PC keep. It is guarded by Windows.mu.
type pcTree struct {
	hw       pcHardware
	provider string // the server's, while enrolled
	uid      string // of its account under ./SyncML/DMAcc
	nodes    map[string]pcNode
	ids      map[string]*identity // by the key of the account that they came with
}

// copy is what a failed Atomic goes back to.
func (t *pcTree) copy() *pcTree {
	c := *t
	c.nodes, c.ids = maps.Clone(t.nodes), maps.Clone(t.ids)
	return &c
}

// newPCTree returns the tree of a PC that nobody manages: facts only.
func newPCTree(hw pcHardware) *pcTree {
	t := &pcTree{hw: hw, nodes: map[string]pcNode{}, ids: map[string]*identity{}}
	for uri, v := range map[string]string{
		"./DevInfo/DevId": hw.deviceID, "./DevInfo/Man": hw.maker, "./DevInfo/Mod": hw.model, "./DevInfo/DmV": "1.3", "./DevInfo/Lang": "en-US",
		"./DevDetail/DevTyp": "Laptop", "./DevDetail/OEM": hw.maker, "./DevDetail/FwV": hw.firmware, "./DevDetail/HwV": "1.0", "./DevDetail/SwV": hw.version(), "./DevDetail/LrgObj": "false",
		"./DevDetail/URI/MaxDepth": "0", "./DevDetail/URI/MaxTotLen": "0", "./DevDetail/URI/MaxSegLen": "0",
		"./DevDetail/Ext/Microsoft/DeviceName": hw.name, "./DevDetail/Ext/Microsoft/DNSComputerName": hw.name, "./DevDetail/Ext/Microsoft/OSPlatform": "Windows 10 " + hw.editionName(),
		"./DevDetail/Ext/Microsoft/ProcessorArchitecture": "9", "./DevDetail/Ext/Microsoft/ProcessorType": "8664", "./DevDetail/Ext/Microsoft/Resolution": "1920x1080",
		"./DevDetail/Ext/Microsoft/TotalRAM": strconv.Itoa(hw.ram), "./DevDetail/Ext/Microsoft/FreeStorage": strconv.Itoa(hw.free), "./DevDetail/Ext/Microsoft/SMBIOSSerialNumber": hw.serial,
		"./DevDetail/Ext/Microsoft/SMBIOSVersion": hw.smbios, "./DevDetail/Ext/Microsoft/SystemSKU": strconv.Itoa(hw.edition),
		"./DevDetail/Ext/WLANMACAddress": strings.ToLower(hw.macs[0]), "./DevDetail/Ext/WlanIPv4Address": hw.ip, "./DevDetail/Ext/WlanSubnetMask": "255.255.255.0",
		"./DevDetail/Ext/DeviceHardwareData":    base64.StdEncoding.EncodeToString([]byte(hw.hwID)),
		"./Vendor/MSFT/DeviceStatus/OS/Edition": strconv.Itoa(hw.edition), "./Vendor/MSFT/DeviceStatus/OS/Mode": "0", "./Vendor/MSFT/DeviceStatus/SecureBootState": "1",
		"./Vendor/MSFT/DeviceStatus/Compliance/EncryptionCompliance": "true", "./Vendor/MSFT/DeviceStatus/TPM/SpecificationVersion": "2.0, 0, 1.59",
		"./Vendor/MSFT/DeviceStatus/Antivirus/Status": "0", "./Vendor/MSFT/DeviceStatus/Antivirus/SignatureStatus": "1", "./Vendor/MSFT/DeviceStatus/Antispyware/Status": "0",
		"./Vendor/MSFT/DeviceStatus/Antispyware/SignatureStatus": "1", "./Vendor/MSFT/DeviceStatus/Firewall/Status": "0", "./Vendor/MSFT/DeviceStatus/UAC/Status": "0",
		"./Vendor/MSFT/DeviceStatus/Battery/Status": "1", "./Vendor/MSFT/DeviceStatus/Battery/EstimatedChargeRemaining": "80", "./Vendor/MSFT/DeviceStatus/Battery/EstimatedRuntime": "240",
		"./Vendor/MSFT/DeviceStatus/DomainName": "", "./Vendor/MSFT/DeviceStatus/DMA/BootDMAProtectionStatus": "1",
		"./Vendor/MSFT/DeviceStatus/DeviceGuard/VirtualizationBasedSecurityStatus": "0", "./Vendor/MSFT/DeviceStatus/DeviceGuard/LsaCfgCredGuardStatus": "3",
		"./Device/Vendor/MSFT/DMClient/HWDevID": hw.hwID, "./Device/Vendor/MSFT/BitLocker/Status/DeviceEncryptionStatus": "0",
		"./Device/Vendor/MSFT/RemoteWipe/AutomaticRedeployment/LastError": "0", "./Device/Vendor/MSFT/RemoteWipe/AutomaticRedeployment/Status": "0",
		"./Device/Vendor/MSFT/DeviceManageability/Capabilities/CSPVersions": cspVersions(hw),
	} {
		t.put(uri, v)
	}
	for i, mac := range hw.macs {
		at := "./Vendor/MSFT/DeviceStatus/NetworkIdentifiers/" + mac + "/"
		kind, ip := "2", hw.ip
		if i > 0 {
			kind, ip = "1", ""
		}
		t.put(at+"Type", kind)
		t.put(at+"IPAddressV4", ip)
		t.put(at+"IsConnected", strconv.FormatBool(i == 0))
	}
	t.bornWithApps()
	return t
}

func (h pcHardware) editionName() string {
	switch h.edition {
	case 4:
		return "Enterprise"
	case 121:
		return "Education"
	case 101:
		return "Home"
	}
	return "Pro"
}

// cspVersions lists the providers of a build, as DeviceManageability reports them.
func cspVersions(hw pcHardware) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?><DeviceManageability Version="1.0"><Capabilities><CSPVersions>`)
	t := pcTree{hw: hw}
	for _, scope := range []string{"Device", "User"} {
		loc, _ := locate("./" + scope + "/Vendor/MSFT")
		for _, k := range loc.spec().kids {
			if at, ok := loc.child(k.name); ok && t.has(at) {
				b.WriteString(`<CSP Node="` + at.uri() + `" Version="1.0"/>`)
			}
		}
	}
	b.WriteString(`</CSPVersions></Capabilities></DeviceManageability>`)
	return b.String()
}

// has reports whether build and edition know a place at all.
func (t *pcTree) has(l pcLoc) bool {
	for _, s := range l.specs {
		if !since(s.builds, t.hw.build, t.hw.revision) {
			return false
		}
	}
	if t.hw.home() {
		switch l.csp() {
		case "BitLocker", "Reboot", "EnterpriseDesktopAppManagement":
			return false
		}
	}
	return true
}

// put sets a leaf by its LocURI, whatever its rights; a place that build or edition lack is skipped.
func (t *pcTree) put(uri, data string) {
	if loc, code := locate(uri); code == 200 && t.has(loc) {
		t.set(loc, loc.spec().format, data)
	}
}

// set stores a node and the interior nodes above it.
func (t *pcTree) set(l pcLoc, format, data string) {
	for p := l.parent(); len(p.segs) > 0; p = p.parent() {
		if _, there := t.nodes[p.key()]; there {
			break
		}
		t.nodes[p.key()] = pcNode{segs: p.segs, format: "node"}
	}
	t.nodes[l.key()] = pcNode{segs: l.segs, format: format, data: data}
}

// get returns a node that exists.
func (t *pcTree) get(l pcLoc) (pcNode, bool) {
	n, there := t.nodes[l.key()]
	return n, there
}

// value returns the data of the leaf at uri; "" when there is none.
func (t *pcTree) value(uri string) string {
	loc, code := locate(uri)
	if code != 200 {
		return ""
	}
	return t.nodes[loc.key()].data
}

// exists reports whether a place is there: fixed interior nodes always are.
func (t *pcTree) exists(l pcLoc) bool {
	if _, there := t.nodes[l.key()]; there {
		return true
	}
	if !l.spec().interior() {
		return false
	}
	for _, s := range l.specs {
		if s.dynamic() {
			return false
		}
	}
	return true
}

// children lists the names below a place, sorted.
func (t *pcTree) children(l pcLoc) []string {
	prefix, depth := l.key()+"\x1f", len(l.segs)
	seen := map[string]string{}
	for key, n := range t.nodes {
		if strings.HasPrefix(key, prefix) {
			seen[strings.ToLower(n.segs[depth])] = n.segs[depth]
		}
	}
	for _, s := range l.spec().kids {
		if child, ok := l.child(s.name); ok && !s.dynamic() && s.interior() && t.has(child) && t.exists(child) {
			seen[strings.ToLower(s.name)] = s.name
		}
	}
	return slices.Sorted(maps.Values(seen))
}

// remove deletes a place with everything below.
func (t *pcTree) remove(l pcLoc) {
	prefix := l.key() + "\x1f"
	maps.DeleteFunc(t.nodes, func(key string, _ pcNode) bool { return key == l.key() || strings.HasPrefix(key, prefix) })
}

// leaves lists the leaves below a place in order.
func (t *pcTree) leaves(l pcLoc) []pcNode {
	prefix := l.key() + "\x1f"
	var out []pcNode
	for key, n := range t.nodes {
		if strings.HasPrefix(key, prefix) && n.format != "node" {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b pcNode) int { return strings.Compare(keyOf(a.segs), keyOf(b.segs)) })
	return out
}

// accountUID is the name of a server's account under ./SyncML/DMAcc.
func accountUID(provider string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(provider)) {
		b = append(b, byte(u), byte(u>>8))
	}
	sum := sha256.Sum256(b)
	return "0x0000800c" + strings.ToUpper(hex.EncodeToString(sum[:]))
}

// own is where the server's settings are in DMClient, with a slash at the end.
func (t *pcTree) own() string {
	return "./Device/Vendor/MSFT/DMClient/Provider/" + escapeSegment(t.provider) + "/"
}

// joined writes what a provisioning document set up.
func (t *pcTree) joined(m *pcManagement, p *provisioning) {
	t.provider, t.uid = m.provider, accountUID(m.provider)
	own := t.own()
	t.put(own+"EnrollmentType", m.kind)
	t.put(own+"HWDevID", t.hw.hwID)
	t.put(own+"ManagementServiceAddress", m.addr)
	t.put(own+"ManagementServerAddressList", m.addr)
	t.put(own+"MaxSyncApplicationVersion", "5.0")
	t.put(own+"SyncApplicationVersion", "1.0")
	t.put(own+"Push/Status", "4")
	for name, v := range p.client {
		t.put(own+name, v)
	}
	for name, v := range p.poll {
		t.put(own+"Poll/"+name, v)
	}
	renew := "./Device/Vendor/MSFT/CertificateStore/MY/WSTEP/Renew/"
	for name, v := range p.renew {
		t.put(renew+name, v)
	}
	t.put(renew+"Status", "0")
	t.put(renew+"ErrorCode", "0")
	account := "./SyncML/DMAcc/" + t.uid + "/"
	t.put(account+"AppID", "w7")
	t.put(account+"ServerID", m.provider)
	t.put(account+"Name", m.name)
	t.put(account+"AppAddr/SrvAddr/Addr", m.addr)
	t.put(account+"AppAddr/SrvAddr/AddrType", "URI")
	t.put(account+"AppAuth/CLCRED/AAuthLevel", "CLCRED")
	t.put(account+"AppAuth/CLCRED/AAuthType", p.device.kind)
	t.put(account+"AppAuth/CLCRED/AAuthName", p.device.name)
	t.put(account+"AppAuth/SRVCRED/AAuthLevel", "SRVCRED")
	t.put(account+"AppAuth/SRVCRED/AAuthType", p.server.kind)
	for _, c := range m.roots {
		t.putCertificate("./Device/Vendor/MSFT/CertificateStore/ROOT/System/", c)
	}
}

// renewed writes how a renewal went.
func (t *pcTree) renewed(status, code string, at time.Time) {
	renew := "./Device/Vendor/MSFT/CertificateStore/MY/WSTEP/Renew/"
	t.put(renew+"Status", status)
	t.put(renew+"ErrorCode", code)
	t.put(renew+"LastRenewalAttemptTime", at.UTC().Format(time.RFC3339))
}

// putCertificate writes a certificate with the facts beside it.
func (t *pcTree) putCertificate(store string, c *x509.Certificate) {
	at := store + thumbprint(c.Raw) + "/"
	t.put(at+"EncodedCertificate", base64.StdEncoding.EncodeToString(c.Raw))
	t.put(at+"IssuedBy", c.Issuer.CommonName)
	t.put(at+"IssuedTo", c.Subject.CommonName)
	t.put(at+"ValidFrom", c.NotBefore.UTC().Format(time.RFC3339))
	t.put(at+"ValidTo", c.NotAfter.UTC().Format(time.RFC3339))
	t.put(at+"TemplateName", "")
}

// trusted lists the roots that management installed.
func (t *pcTree) trusted() []*x509.Certificate {
	loc, _ := locate("./Device/Vendor/MSFT/RootCATrustedCertificates/Root")
	var out []*x509.Certificate
	for _, n := range t.leaves(loc) {
		if n.segs[len(n.segs)-1] != "EncodedCertificate" {
			continue
		}
		if c, err := parseCertificate(n.data); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// parseCertificate reads base64 DER without line breaks.
func parseCertificate(data string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// left is the tree after management has ended: the facts stay, and apps that were
// installed from MSI packages.
func (t *pcTree) left() *pcTree {
	n := newPCTree(t.hw)
	for key, v := range t.nodes {
		if len(v.segs) > 3 && (v.segs[3] == "EnterpriseDesktopAppManagement" || v.segs[3] == "EnterpriseModernAppManagement") {
			n.nodes[key] = v
		}
	}
	return n
}

// apps that every PC comes with: family name, version, publisher.
func (t *pcTree) bornWithApps() {
	type app struct{ family, full, name, version, publisher string }
	for _, a := range []app{
		{"Microsoft.WindowsCalculator_8wekyb3d8bbwe", "Microsoft.WindowsCalculator_11.2411.1.0_x64__8wekyb3d8bbwe", "Microsoft.WindowsCalculator", "11.2411.1.0", "CN=Microsoft Corporation"},
		{"Microsoft.Paint_8wekyb3d8bbwe", "Microsoft.Paint_11.2408.30.0_x64__8wekyb3d8bbwe", "Microsoft.Paint", "11.2408.30.0", "CN=Microsoft Corporation"},
	} {
		at := "./Device/Vendor/MSFT/EnterpriseModernAppManagement/AppManagement/AppStore/" + a.family + "/" + a.full + "/"
		t.put(at+"Name", a.name)
		t.put(at+"Version", a.version)
		t.put(at+"Publisher", a.publisher)
		t.put(at+"Architecture", "x64")
		t.put(at+"IsFramework", "0")
		t.put(at+"IsBundle", "0")
		t.put(at+"PackageStatus", "0")
	}
	if t.hw.home() {
		return // documented without editions and unproven on Home
	}
	for i, a := range []app{{name: "7-Zip 24.08 (x64)", version: "24.08", publisher: "Igor Pavlov"}, {name: "Mozilla Firefox (x64 en-US)", version: "133.0", publisher: "Mozilla"}} {
		at := "./Vendor/MSFT/Win32AppInventory/Win32InstalledProgram/" + strconv.Itoa(i) + "/"
		t.put(at+"Name", a.name)
		t.put(at+"Version", a.version)
		t.put(at+"Publisher", a.publisher)
		t.put(at+"Source", "Registry")
	}
}

// inventory renders the packages that AppInventoryQuery asked for.
func (t *pcTree) inventory() string {
	loc, _ := locate("./Device/Vendor/MSFT/EnterpriseModernAppManagement/AppManagement/AppStore")
	var b strings.Builder
	b.WriteString("<Results>")
	for _, family := range t.children(loc) {
		at, _ := loc.child(family)
		for _, full := range t.children(at) {
			pkg, _ := at.child(full)
			field := func(name string) string {
				l, ok := pkg.child(name)
				if !ok {
					return ""
				}
				return esc(t.nodes[l.key()].data)
			}
			b.WriteString(`<Package Name="` + field("Name") + `" PackageFamilyName="` + esc(family) + `" PackageFullName="` + esc(full) + `" Version="` + field("Version") +
				`" Publisher="` + field("Publisher") + `" Architecture="` + field("Architecture") + `"/>`)
		}
	}
	b.WriteString("</Results>")
	return b.String()
}
