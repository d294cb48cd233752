package apple

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"muster/appliance/fleet"
)

// The files under testdata/schema are Apple's published schema (MIT, see LICENSE.txt there), unmodified: those of the payloads,
// commands and messages that this package renders or reads.

type schemaFile struct {
	Payload struct {
		PayloadType string                 `yaml:"payloadtype"`
		RequestType string                 `yaml:"requesttype"`
		SupportedOS map[string]schemaLimit `yaml:"supportedOS"`
	} `yaml:"payload"`
	PayloadKeys []schemaKey `yaml:"payloadkeys"`
}

type schemaLimit struct {
	Introduced    string `yaml:"introduced"`
	AccessRights  string `yaml:"accessrights"`
	Supervised    bool   `yaml:"supervised"`
	DeviceChannel *bool  `yaml:"devicechannel"`
	UserChannel   *bool  `yaml:"userchannel"`
}

type schemaKey struct {
	Key         string                       `yaml:"key"`
	Type        string                       `yaml:"type"`
	Presence    string                       `yaml:"presence"`
	Format      string                       `yaml:"format"`
	RangeList   []any                        `yaml:"rangelist"`
	Range       *struct{ Min, Max *float64 } `yaml:"range"`
	SupportedOS map[string]schemaLimit       `yaml:"supportedOS"`
	SubKeys     []schemaKey                  `yaml:"subkeys"`
}

// accessRights are the bits behind the schema's names of them.
var accessRights = map[string]int{
	"AllowInspection": 1, "AllowInstallationRemoval": 2, "AllowPasscodeRemovalAndLock": 4, "DeviceLockAndRemovePasscode": 4,
	"AllowDeviceErase": 8, "AllowQueryDeviceInformation": 16, "AllowQueryNetworkInformation": 32, "AllowQueryApplications": 256,
	"QueryInstalledApps": 256, "AllowQuerySecurity": 1024, "AllowAppInstallation": 4096,
	"": 0, "None": 0, "n/a": 0, "Special Case": 0,
}

type schema struct {
	payloads, commands, checkins map[string]*schemaFile
	other                        map[string]*schemaFile
}

func loadSchema(t testing.TB) *schema {
	t.Helper()
	read := func(dir string) map[string]*schemaFile {
		out := map[string]*schemaFile{}
		files, err := filepath.Glob(filepath.Join("testdata", "schema", dir, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("schema %s: %v, %d files", dir, err, len(files))
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var f schemaFile
			if err := yaml.Unmarshal(b, &f); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			id := f.Payload.PayloadType
			if f.Payload.RequestType != "" {
				id = f.Payload.RequestType
			}
			if id == "" {
				id = strings.TrimSuffix(filepath.Base(name), ".yaml")
			}
			out[id] = &f
		}
		return out
	}
	return &schema{payloads: read("profiles"), commands: read("commands"), checkins: read("checkin"), other: read("errors")}
}

// target is what something is rendered for.
type target struct {
	os   string // the schema's name: iOS, macOS
	user bool   // in the user channel
}

func targetOf(p fleet.Platform, ch fleet.Channel) target {
	if p == fleet.MacOS {
		return target{"macOS", ch != fleet.DeviceChannel}
	}
	return target{"iOS", false} // the schema counts iPads as iOS
}

// checker gathers what breaks the schema.
type checker struct {
	target
	faults []string
}

func (c *checker) fault(where, format string, args ...any) {
	c.faults = append(c.faults, where+": "+fmt.Sprintf(format, args...))
}

func (c *checker) supported(where string, os map[string]schemaLimit) {
	limit, ok := os[c.os]
	if ok && limit.Introduced == "n/a" {
		c.fault(where, "does not exist on %s", c.os)
	}
	if ok && c.os == "macOS" {
		if c.user && limit.UserChannel != nil && !*limit.UserChannel {
			c.fault(where, "not in the user channel")
		}
		if !c.user && limit.DeviceChannel != nil && !*limit.DeviceChannel {
			c.fault(where, "not in the device channel")
		}
	}
}

// dictionary checks the keys of a dictionary, as strictly as iOS does; what the schema does not know is a fault, for we send nothing by chance.
func (c *checker) dictionary(where string, d dict, keys []schemaKey) {
	known := map[string]*schemaKey{}
	for i := range keys {
		known[keys[i].Key] = &keys[i]
	}
	for k, v := range d {
		def := known[k]
		if def == nil {
			def = known["ANY"]
		}
		if def == nil {
			c.fault(where, "unknown key %q", k)
			continue
		}
		c.value(where+"."+k, v, def)
	}
	for _, k := range keys {
		limit, limited := k.SupportedOS[c.os]
		if k.Presence == "required" && k.Key != "ANY" && !(limited && limit.Introduced == "n/a") {
			if _, ok := d[k.Key]; !ok {
				c.fault(where, "required key %q is missing", k.Key)
			}
		}
	}
}

func (c *checker) value(where string, v any, def *schemaKey) {
	c.supported(where, def.SupportedOS)
	switch def.Type {
	case "<string>":
		s, ok := v.(string)
		if !ok {
			c.fault(where, "is %T, not a string", v)
			return
		}
		if def.Format != "" && !regexp.MustCompile(def.Format).MatchString(s) {
			c.fault(where, "%q does not match %s", s, def.Format)
		}
	case "<integer>":
		n, ok := v.(int64)
		if !ok {
			c.fault(where, "is %T, not an integer", v)
			return
		}
		c.inRange(where, float64(n), def)
	case "<boolean>":
		if _, ok := v.(bool); !ok {
			c.fault(where, "is %T, not a boolean", v)
		}
	case "<data>":
		if b, ok := v.([]byte); !ok || len(b) == 0 {
			c.fault(where, "is %T, or empty data", v)
		}
	case "<date>":
		if _, ok := v.(time.Time); !ok {
			c.fault(where, "is %T, not a date", v)
		}
	case "<dictionary>":
		d, ok := v.(dict)
		if !ok {
			c.fault(where, "is %T, not a dictionary", v)
			return
		}
		if len(def.SubKeys) > 0 {
			c.dictionary(where, d, def.SubKeys)
		}
	case "<array>":
		a, ok := v.([]any)
		if !ok {
			c.fault(where, "is %T, not an array", v)
			return
		}
		for i, item := range a {
			if len(def.SubKeys) > 0 {
				c.item(fmt.Sprintf("%s[%d]", where, i), item, &def.SubKeys[0])
			}
		}
	case "<any>":
	default:
		c.fault(where, "schema type %s", def.Type)
	}
	c.inList(where, v, def.RangeList)
}

// item checks an array's element. A scalar element with subkeys lists the permitted values, each with its own limits.
func (c *checker) item(where string, v any, def *schemaKey) {
	s, scalar := v.(string)
	if !scalar || len(def.SubKeys) == 0 {
		c.value(where, v, def)
		return
	}
	for _, k := range def.SubKeys {
		if k.Key == s {
			c.supported(where+" "+s, k.SupportedOS)
			return
		}
	}
	c.fault(where, "%q is not among the permitted values", s)
}

func (c *checker) inRange(where string, n float64, def *schemaKey) {
	if def.Range == nil {
		return
	}
	most := def.Range.Max
	if def.Key == "maxInactivity" && c.os == "macOS" {
		sixty := 60.0 // said in prose only
		most = &sixty
	}
	if def.Range.Min != nil && n < *def.Range.Min || most != nil && n > *most {
		c.fault(where, "%v is out of range", n)
	}
}

func (c *checker) inList(where string, v any, list []any) {
	if len(list) == 0 {
		return
	}
	if items, ok := v.([]any); ok {
		for _, x := range items {
			c.inList(where, x, list)
		}
		return
	}
	for _, x := range list {
		if fmt.Sprint(x) == fmt.Sprint(v) {
			return
		}
	}
	c.fault(where, "%v is not one of %v", v, list)
}

// checkProfile holds a configuration profile against the schema: the top level, each payload, and the rules that are only in prose.
func (s *schema) checkProfile(xml []byte, tg target) []string {
	c := &checker{target: tg}
	top, err := readPlist(xml)
	if err != nil {
		return []string{err.Error()}
	}
	c.dictionary("profile", top, s.payloads["TopLevel"].PayloadKeys)
	ids, uuids := map[string]bool{}, map[string]bool{top.text("PayloadUUID"): true}
	types := map[string]int{}
	content := top.list("PayloadContent")
	if len(content) == 0 {
		c.fault("profile", "is empty")
	}
	for _, v := range content {
		p, _ := v.(dict)
		kind := p.text("PayloadType")
		def := s.payloads[kind]
		if def == nil {
			c.fault("profile", "payload type %q", kind)
			continue
		}
		types[kind]++
		c.supported(kind, def.Payload.SupportedOS)
		c.dictionary(kind, p, append(append([]schemaKey{}, s.payloads["CommonPayloadKeys"].PayloadKeys...), def.PayloadKeys...))
		if n, _ := p["PayloadVersion"].(int64); n != 1 {
			c.fault(kind, "PayloadVersion is %v", p["PayloadVersion"])
		}
		if ids[p.text("PayloadIdentifier")] {
			c.fault(kind, "identifier repeats: %s", p.text("PayloadIdentifier"))
		}
		if uuids[p.text("PayloadUUID")] {
			c.fault(kind, "UUID repeats: %s", p.text("PayloadUUID"))
		}
		ids[p.text("PayloadIdentifier")], uuids[p.text("PayloadUUID")] = true, true
	}
	for _, v := range content {
		p, _ := v.(dict)
		for _, k := range []string{"IdentityCertificateUUID", "PayloadCertificateUUID"} {
			if u := p.dict("IKEv2").text(k); u != "" && !uuids[u] {
				c.fault(p.text("PayloadType"), "IKEv2.%s points outside the profile", k)
			}
			if u := p.text(k); u != "" && !uuids[u] {
				c.fault(p.text("PayloadType"), "%s points outside the profile", k)
			}
		}
		for _, u := range p.dict("EAPClientConfiguration").list("PayloadCertificateAnchorUUID") {
			if !uuids[fmt.Sprint(u)] {
				c.fault(p.text("PayloadType"), "an anchor points outside the profile")
			}
		}
		s.prose(c, p)
	}
	if types["com.apple.mdm"] > 1 {
		c.fault("profile", "two MDM payloads")
	}
	return c.faults
}

// prose holds the rules that Apple states in words only.
func (s *schema) prose(c *checker, p dict) {
	kind := p.text("PayloadType")
	for k := range p {
		network := kind == "com.apple.wifi.managed" && p["EAPClientConfiguration"] == nil // the key of the network, no person's password
		if kind == "com.apple.security.pkcs12" {
			continue // that of the file beside it
		}
		if strings.Contains(k, "Password") && !network && k != "OutgoingPasswordSameAsIncomingPassword" {
			c.fault(kind, "holds a password key: %s", k)
		}
	}
	isTrue := func(k string) bool { v, _ := p[k].(bool); return v }
	switch kind {
	case "com.apple.eas.account":
		if !isTrue("SSL") || p.text("EmailAddress") == "" || p.text("UserName") == "" || p.text("Host") == "" {
			c.fault(kind, "an account through MDM needs SSL, address, user name and host")
		}
		if !isTrue("EnableMail") && !isTrue("EnableContacts") && !isTrue("EnableCalendars") && !isTrue("EnableReminders") && !isTrue("EnableNotes") {
			c.fault(kind, "no service enabled")
		}
		if p.text("OAuthSignInURL") != "" && !isTrue("OAuth") {
			c.fault(kind, "OAuthSignInURL without OAuth")
		}
	case "com.apple.ews.account":
		if !isTrue("SSL") || p.text("EmailAddress") == "" || p.text("UserName") == "" {
			c.fault(kind, "an account through MDM needs SSL, address and user name")
		}
	case "com.apple.mail.managed":
		if !isTrue("IncomingMailServerUseSSL") || !isTrue("OutgoingMailServerUseSSL") {
			c.fault(kind, "not encrypted")
		}
	case "com.apple.wifi.managed":
		if n := len(p.text("SSID_STR")); n == 0 || n > 32 {
			c.fault(kind, "a name of %d octets", n)
		}
		if eap := p.dict("EAPClientConfiguration"); eap != nil && (eap["UserPassword"] != nil || len(eap.list("TLSTrustedServerNames")) == 0) {
			c.fault(kind, "holds a person's password, or trusts any server")
		}
	case "com.apple.vpn.managed":
		k := p.dict("IKEv2")
		if k["AuthPassword"] != nil || k.text("AuthenticationMethod") == "None" && k["ExtendedAuthEnabled"] != int64(1) {
			c.fault(kind, "holds a person's password, or lets nobody sign in")
		}
	case "com.apple.applicationaccess":
		if len(p) <= len(commonKeys)-2 {
			c.fault(kind, "restricts nothing")
		}
	case "com.apple.mdm":
		if n, _ := p["AccessRights"].(int64); n <= 0 || n > rightsAll {
			c.fault(kind, "AccessRights %v", p["AccessRights"])
		}
		if !strings.HasPrefix(p.text("Topic"), "com.apple.mgmt.") {
			c.fault(kind, "Topic %q", p.text("Topic"))
		}
	case "com.apple.security.scep":
		in := p.dict("PayloadContent")
		if n, _ := in["Keysize"].(int64); n != 2048 && n != 4096 {
			c.fault(kind, "Keysize %v", in["Keysize"])
		}
		if in.text("Key Type") != "RSA" || in.text("Challenge") == "" {
			c.fault(kind, "key type or challenge")
		}
		// Three levels: an array of RDNs, each an array of pairs.
		for _, rdn := range in.list("Subject") {
			for _, pair := range rdn.([]any) {
				if len(pair.([]any)) != 2 {
					c.fault(kind, "Subject is not nested three levels")
				}
			}
		}
	}
}

// checkCommand holds a command against the schema and against the rights and the supervision of the device that is to obey it.
func (s *schema) checkCommand(xml []byte, tg target, rights int, supervised bool) []string {
	c := &checker{target: tg}
	env, err := readPlist(xml)
	if err != nil {
		return []string{err.Error()}
	}
	cmd := env.dict("Command")
	kind := cmd.text("RequestType")
	def := s.commands[kind]
	if env.text("CommandUUID") == "" || def == nil {
		return []string{fmt.Sprintf("command %q with UUID %q", kind, env.text("CommandUUID"))}
	}
	c.supported(kind, def.Payload.SupportedOS)
	rest := dict{}
	for k, v := range cmd {
		if k != "RequestType" {
			rest[k] = v
		}
	}
	c.dictionary(kind, rest, def.PayloadKeys)
	limit := def.Payload.SupportedOS[c.os]
	bit, known := accessRights[limit.AccessRights]
	if !known {
		c.fault(kind, "access right %q", limit.AccessRights)
	}
	if bit != 0 && rights&bit == 0 {
		c.fault(kind, "needs the right %s, which the enrolment does not carry", limit.AccessRights)
	}
	if limit.Supervised && !supervised {
		c.fault(kind, "needs supervision")
	}
	if kind == "DeviceLock" && c.os == "macOS" && !sixDigits(cmd.text("PIN")) {
		c.fault(kind, "a Mac is locked with a PIN of six digits")
	}
	return c.faults
}
