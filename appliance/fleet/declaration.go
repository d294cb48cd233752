package fleet

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Kinds of fields.
const (
	KindText        = "text"
	KindHost        = "host"   // DNS name or IP address: no scheme, no port
	KindMail        = "mail"   // an e-mail address
	KindURL         = "url"    // https
	KindPort        = "port"   // 1 to 65535
	KindNumber      = "number" // whole number within Min and Max
	KindDays        = "days"   // as number; with Options only those
	KindHour        = "hour"   // of the day by the device's clock: as number, 0 to 23
	KindBool        = "bool"
	KindChoice      = "choice"
	KindCertificate = "certificate" // text: PEM, or DER in base64; kept as PEM
	KindProfile     = "profile"     // id of another profile, of type RefType
	KindSecret      = "secret"      // sealed at rest and never shown again: see secret_field.go
	KindJSON        = "json"        // an object; templates may stand in its texts
	KindPicture     = "picture"     // PNG in base64, square
	KindDocument    = "document"    // text of several lines, Max bytes
	KindHosts       = "hosts"       // host names, with * for a label, kept with one blank between them
)

// textMost is the longest text of a field, in runes, where Max says nothing else.
const textMost = 500

// declarations of all types, in the order of the UI.
var declarations = []Declaration{
	emailDeclaration(),
	wifiDeclaration(),
	vpnDeclaration(),
	webLinkDeclaration(),
	trustedRootDeclaration(),
	identityDeclaration(),
	passcodeDeclaration(),
	restrictionsDeclaration(),
	appDeclaration(),
	workSharingDeclaration(),
	personalUseDeclaration(),
	kioskDeclaration(),
	customDeclaration(),
}

// ProfileTypes returns all declarations in the order of the UI.
func ProfileTypes() []Declaration {
	out := slices.Clone(declarations)
	for i := range out {
		out[i].Fields = slices.Clone(out[i].Fields)
	}
	return out
}

// declarationOf returns the declaration of a type; of an unknown one, a declaration without fields and targets.
func declarationOf(t ProfileType) Declaration {
	for _, d := range declarations {
		if d.Type == t {
			return d
		}
	}
	return Declaration{Type: t}
}

// typeRank is the order of delivery: what is referred to comes before what refers to it.
func typeRank(t ProfileType) int {
	if i := slices.Index([]ProfileType{TypeTrustedRoot, TypeIdentity}, t); i >= 0 {
		return i
	}
	return 2 + slices.IndexFunc(declarations, func(d Declaration) bool { return d.Type == t })
}

// field finds a field by key.
func (d Declaration) field(key string) (Field, bool) {
	for _, fd := range d.Fields {
		if fd.Key == key {
			return fd, true
		}
	}
	return Field{}, false
}

// deviceTargets are platforms under device enrolment, of either ownership.
func deviceTargets(platforms ...Platform) []Target {
	var out []Target
	for _, p := range platforms {
		for _, o := range []Ownership{Personal, Corporate} {
			out = append(out, Target{Platform: p, Mode: ModeDevice, Ownership: o})
		}
	}
	return out
}

// platforms that the type can go to.
func (d Declaration) platforms() []Platform {
	var out []Platform
	for _, t := range d.Targets {
		if !slices.Contains(out, t.Platform) {
			out = append(out, t.Platform)
		}
	}
	return out
}

// check reads settings and returns them complete: defaults filled in, what does not count left out. What is wrong goes to bad, by
// "settings.<key>". Secrets are returned as they were given, or as known has them.
func (d Declaration) check(raw json.RawMessage, platforms []Platform, known *knownSecrets, bad faults) Values {
	given := Values{}
	if len(bytes.TrimSpace(raw)) > 0 {
		if len(raw) > maxSettings {
			bad.put("settings", "input.too-long", "most", strconv.Itoa(maxSettings))
			return nil
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if dec.Decode(&given) != nil || dec.More() || given == nil {
			bad.put("settings", "input.object")
			return nil
		}
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if _, ok := d.field(key); !ok {
			bad.put("settings."+clip(key, 60), "input.unknown", "value", clip(key, 60))
		}
	}
	// Defaults first: When looks at them too.
	full := Values{}
	for _, fd := range d.Fields {
		x := given[fd.Key]
		if fd.Kind == KindSecret {
			x = known.given(fd.Key, x, bad)
		}
		if x == nil {
			if x = fd.Default; x == nil {
				continue
			}
		}
		full[fd.Key] = x
	}
	out := Values{}
	for _, fd := range d.Fields {
		if !full.Counts(d, fd) {
			continue
		}
		x, ok := full[fd.Key]
		if !ok || x == "" {
			if fd.Required {
				bad.put("settings."+fd.Key, "input.required")
			}
			continue
		}
		if known.elsewhere(fd, given[fd.Key], out) {
			bad.put("settings."+fd.Key, "secret.other-place")
			continue
		}
		if x, ok = fd.check(x, platforms, bad); ok {
			out[fd.Key] = x
		}
	}
	if d.Check != nil {
		for key, r := range d.Check(out) {
			if _, there := bad["settings."+key]; !there {
				bad["settings."+key] = r
			}
		}
	}
	return out
}

// maxSettings is the longest JSON that settings may have, in bytes.
const maxSettings = 256 << 10

// check reads one value and returns it in the form that is kept.
func (fd Field) check(x any, platforms []Platform, bad faults) (any, bool) {
	name := "settings." + fd.Key
	switch fd.Kind {
	case KindBool:
		b, ok := x.(bool)
		if !ok {
			bad.put(name, "input.type", "want", "bool")
		}
		return b, ok
	case KindNumber, KindDays, KindHour, KindPort:
		n, ok := wholeNumber(x)
		if !ok {
			bad.put(name, "input.type", "want", "number")
			return nil, false
		}
		return n, fd.checkNumber(name, n, platforms, bad)
	}
	s, ok := x.(string)
	if !ok {
		bad.put(name, "input.type", "want", "text")
		return nil, false
	}
	if fd.Kind == KindCertificate {
		return fd.checkCertificate(name, s, bad)
	}
	switch fd.Kind {
	case KindJSON:
		return fd.checkJSON(name, s, bad)
	case KindSecret:
		return s, fd.checkSecret(name, s, bad)
	case KindPicture:
		return fd.checkPicture(name, s, bad)
	case KindDocument:
		s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
		return s, s != "" && bad.text(name, s, 0, fd.Max)
	}
	if s = strings.TrimSpace(s); s == "" {
		if fd.Required {
			bad.put(name, "input.required")
		}
		return nil, false
	}
	most := fd.Max
	if most == 0 {
		most = textMost
	}
	if !bad.line(name, s, fd.Min, most) {
		return nil, false
	}
	before := len(bad)
	plain := s
	if names, err := templateVariables(s); err != nil || len(names) > 0 && !fd.Template {
		bad.put(name, "input.template")
		return nil, false
	} else if len(names) > 0 {
		for _, n := range names {
			if variables[n] == nil {
				bad.put(name, "input.variable", "variable", clip(n, 60))
				return nil, false
			}
		}
		plain, _ = fillText(s, &Person{Name: "Ada Lovelace", Mail: "ada@example.org", UPN: "ada@example.org"})
	}
	switch fd.Kind {
	case KindHost:
		s = strings.ToLower(s)
		if !isHost(s) {
			bad.put(name, "input.host")
		}
	case KindHosts:
		s = hostList(s)
		for host := range strings.SplitSeq(s, " ") {
			if !isHostPattern(host) {
				bad.put(name, "input.hosts", "value", clip(host, 60))
			}
		}
	case KindMail:
		bad.mail(name, plain, fd.Required)
	case KindURL:
		if u, err := url.Parse(s); err != nil || u.Scheme != "https" || !isHost(strings.ToLower(u.Hostname())) || u.User != nil || u.Fragment != "" {
			bad.put(name, "input.https")
		}
	case KindChoice:
		bad.oneOf(name, s, fd.Options)
	}
	return s, len(bad) == before
}

func (fd Field) checkNumber(name string, n int, platforms []Platform, bad faults) bool {
	if fd.Kind == KindPort {
		if n < 1 || n > 65535 {
			bad.put(name, "input.range", "least", "1", "most", "65535")
			return false
		}
		return true
	}
	if len(fd.Options) > 0 {
		if !slices.Contains(fd.Options, strconv.Itoa(n)) {
			bad.put(name, "input.choice", "value", strconv.Itoa(n))
			return false
		}
		return true
	}
	if n < fd.Min || n > fd.Max {
		bad.put(name, "input.range", "least", strconv.Itoa(fd.Min), "most", strconv.Itoa(fd.Max))
		return false
	}
	for _, b := range fd.Bounds {
		if slices.Contains(platforms, b.Platform) && (n < b.Min || n > b.Max) {
			bad.put(name, "input.range-on-platform", "least", strconv.Itoa(b.Min), "most", strconv.Itoa(b.Max), "platform", string(b.Platform))
			return false
		}
	}
	return true
}

// isHost accepts DNS names (RFC 1123, in ASCII, at least one dot unless it is one label of an internal network) and IP addresses.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if s == "" || len(s) > 253 || net.ParseIP(s) != nil {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' {
				return false
			}
		}
	}
	return true
}

// hostList brings host names into the form that is kept.
func hostList(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return r == ' ' || r == ',' || r == ';' }), " ")
}

// isHostPattern accepts host names, of which any label may be a star.
func isHostPattern(s string) bool {
	labels := strings.Split(s, ".")
	for i, l := range labels {
		if l == "*" {
			labels[i] = "x"
		}
	}
	return s != "*" && isHost(strings.Join(labels, "."))
}

// Honours says whether a platform takes notice of a field.
func (fd Field) Honours(p Platform) bool {
	return len(fd.Platforms) == 0 || slices.Contains(fd.Platforms, p)
}
