package windows

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// customField is the setting of a custom profile that is Windows'.
const customField = "windows_nodes"

// customMost is how many nodes one profile may set.
const customMost = 40

// customNode is one line of a custom profile: a LocURI, the format of its value, and the value up to the end of the line.
type customNode struct {
	uri, format, value string
	csp                *cspNode
}

// customFormats are those that a value can be written in. A time is text to the session.
var customFormats = []string{"chr", "int", "bool", "b64", "bin", "xml", "float", "time"}

// forbiddenNodes cannot be set by a custom profile: they take the PC out of our hands, or go round what a profile type of its own watches over.
// Commands that are carried out (Exec) have no place in a profile at all.
var forbiddenNodes = []string{"RemoteWipe", "RemoteLock", "Reboot", "DMClient", "DMAcc", "CertificateStore", "ClientCertificateInstall", "RootCATrustedCertificates",
	"EnterpriseDesktopAppManagement"}

// personalNodes are what a custom profile may set on a person's own PC: networks and rules, nothing that looks into it or changes what is theirs.
var personalNodes = []string{"WiFi/Profile", "VPNv2", "Policy/Config/DeviceLock", "Policy/Config/Update", "Policy/Config/WiFi"}

// customNodes reads the lines of a custom profile. Blank ones and those that begin with # do not count. A Reason says what is wrong with a line.
func customNodes(text string) ([]customNode, fleet.Reason) {
	var out []customNode
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		bad := func(code string, pairs ...string) ([]customNode, fleet.Reason) {
			return nil, why(code, append([]string{"line", strconv.Itoa(n)}, pairs...)...)
		}
		uri, rest, _ := strings.Cut(line, " ")
		format, value, ok := strings.Cut(strings.TrimSpace(rest), " ")
		format, value = strings.ToLower(format), strings.TrimSpace(value)
		if !ok || value == "" || !slices.Contains(customFormats, format) {
			return bad("windows.custom.form")
		}
		uri = scoped(uri)
		c := cspOf(uri)
		node := customNode{uri: uri, format: format, value: value, csp: c}
		switch {
		case forbidden(uri):
			return bad("windows.custom.forbidden", "node", clip(uri))
		case c == nil, c.least() > newestBuild, provider(uri) == "":
			return bad("windows.custom.no-node", "node", clip(uri))
		case ownedBy(uri) != "":
			return bad("windows.custom.other-type", "node", clip(uri), "type", string(ownedBy(uri)))
		case secretIn(uri, value):
			return bad("windows.custom.secret", "node", clip(uri))
		case c.format == "node" || !c.allows(verbReplace) && !c.allows(verbAdd):
			return bad("windows.custom.verb", "node", clip(uri))
		case c.format != format && c.name != "{PolicyName}" && (c.format != "bin" || format != "chr"):
			return bad("windows.custom.format", "node", clip(uri), "format", c.format)
		case !c.takes(value), c.name == "{PolicyName}" && !(&cspNode{format: format}).takes(value):
			return bad("windows.custom.value", "node", clip(uri), "values", c.values)
		case slices.ContainsFunc(out, func(x customNode) bool { return sameNode(x.uri, uri) }):
			return bad("windows.custom.twice", "node", clip(uri))
		case len(out) == customMost:
			return bad("windows.custom.too-many", "most", strconv.Itoa(customMost))
		}
		out = append(out, node)
	}
	return out, fleet.Reason{}
}

// newestBuild is above every release: nodes of previews have a higher one.
const newestBuild = 99998

// scopes are how the LocURIs begin that a profile may set.
var scopes = []string{"./Device/Vendor/MSFT/", "./User/Vendor/MSFT/"}

// scoped writes the beginning of a LocURI as scopes do: ./Vendor is ./Device/Vendor, and no capitals count.
func scoped(uri string) string {
	if len(uri) > 9 && strings.EqualFold(uri[:9], "./Vendor/") {
		uri = "./Device" + uri[1:]
	}
	for _, s := range scopes {
		if len(uri) > len(s) && strings.EqualFold(uri[:len(s)], s) {
			return s + uri[len(s):]
		}
	}
	return uri
}

// provider is the part of a LocURI behind its scope, decoded, in small letters: "wifi/profile/office/wlanxml". "" for one of no scope.
func provider(uri string) string {
	for _, s := range scopes {
		if rest, is := strings.CutPrefix(uri, s); is {
			parts := strings.Split(rest, "/")
			for i, p := range parts {
				if d, err := url.PathUnescape(p); err == nil {
					parts[i] = strings.ToLower(strings.ReplaceAll(d, "/", "_"))
				}
			}
			return strings.Join(parts, "/")
		}
	}
	return ""
}

// under says whether a LocURI lies under one of these nodes of providers.
func under(uri string, list []string) bool {
	p := provider(uri) + "/"
	return slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(p, strings.ToLower(s)+"/") })
}

// sameNode says whether two LocURIs name one node, however they are encoded.
func sameNode(a, b string) bool {
	return a[:min(len(a), 7)] == b[:min(len(b), 7)] && provider(a) == provider(b)
}

// secretIn says whether a line holds a secret: by the node's name, or in XML by that of an element or attribute (keyMaterial of WLAN_profile,
// presharedKey of ProfileXML). Lines are read again by everybody who may see profiles, and stand in the log: a secret belongs into the field of a type
// that seals it.
func secretIn(uri, value string) bool {
	if name := provider(uri); strings.HasSuffix(name, "password") && strings.HasPrefix(name, "vpnv2/") {
		return true
	}
	return slices.ContainsFunc(secretElements, func(s string) bool { return strings.Contains(strings.ToLower(value), s) })
}

var secretElements = []string{"keymaterial>", "keymaterial ", "presharedkey>", "presharedkey "}

func forbidden(uri string) bool {
	return under(uri, forbiddenNodes) || strings.Contains(strings.ToLower(uri), "/dmacc")
}

// ownedBy is the type of profile that sets a node for the whole PC: two would take turns.
func ownedBy(uri string) fleet.ProfileType {
	if strings.HasPrefix(uri, "./User/") {
		return ""
	}
	p := provider(uri)
	is := func(node string) bool { return p == strings.ToLower("Policy/Config/"+node) }
	for _, s := range passcodeNodes {
		if is("DeviceLock/" + s) {
			return fleet.TypePasscode
		}
	}
	for _, n := range restrictionNodes {
		if is(n.node) {
			return fleet.TypeRestrictions
		}
	}
	for _, n := range restrictionDays {
		if is(n.node) {
			return fleet.TypeRestrictions
		}
	}
	return ""
}

var _ fleet.SettingsChecker = (*Windows)(nil)

// CheckSettings holds the lines of a custom profile against the table of configuration service providers.
func (w *Windows) CheckSettings(p *fleet.Profile) map[string]fleet.Reason {
	text := p.Values().String(customField)
	if p.Type != fleet.TypeCustom || text == "" {
		return nil
	}
	if _, bad := customNodes(text); bad.Code != "" {
		return map[string]fleet.Reason{customField: bad}
	}
	return nil
}

var _ fleet.Claimer = (*Windows)(nil)

// Claims are the nodes that a custom profile sets: of two profiles with one node each would find the other's value.
func (w *Windows) Claims(p *fleet.Profile) []string {
	list, _ := customNodes(p.Values().String(customField))
	var out []string
	for _, n := range list {
		out = append(out, "node\x00"+strings.ToLower(n.uri))
	}
	return out
}

// customApplies says whether a profile may go to a target.
func customApplies(v fleet.Values, t fleet.Target) (bool, fleet.Reason) {
	list, bad := customNodes(v.String(customField))
	if bad.Code != "" {
		return false, bad
	}
	if len(list) == 0 {
		return false, why("windows.not-applicable.custom-empty")
	}
	if t.Ownership != fleet.Corporate {
		for _, n := range list {
			if !under(n.uri, personalNodes) {
				return false, why("windows.not-applicable.custom-personal", "node", clip(n.uri))
			}
		}
	}
	return true, fleet.Reason{}
}

// customScopes says through which channels the lines of a profile go.
func customScopes(p *fleet.Profile) (device, user bool) {
	list, _ := customNodes(p.Values().String(customField))
	for _, n := range list {
		if strings.HasPrefix(n.uri, "./User/") {
			user = true
		} else {
			device = true
		}
	}
	return device, user
}

// custom renders the lines of one scope, each by itself: what one of them fails of is said of that one. A node that cannot be deleted is left.
func (r *rendering) custom(p *fleet.Profile, user bool) (*rendered, error) {
	list, bad := customNodes(p.Values().String(customField))
	if bad.Code != "" {
		return nil, &unrenderable{outcome: fleet.Failed, reason: bad}
	}
	out := &rendered{}
	build := buildOf(r.order.Device.OSVersion)
	for _, n := range list {
		if strings.HasPrefix(n.uri, "./User/") != user {
			continue
		}
		if build > 0 && n.csp.least() > build {
			return nil, &unrenderable{outcome: fleet.Failed, unfit: true, reason: why("windows.custom.too-old", "node", clip(n.uri), "build", strconv.Itoa(n.csp.least()))}
		}
		switch {
		case n.csp.allows(verbReplace) && n.csp.allows(verbAdd):
			out.batches = append(out.batches, put(n.uri, n.format, n.value, len(out.batches))...)
		case n.csp.allows(verbReplace):
			out.batches = append(out.batches, batch{Commands: []command{set(verbReplace, n.uri, n.format, n.value)}})
		default:
			add := set(verbAdd, n.uri, n.format, n.value)
			add.OK = []int{418}
			out.batches = append(out.batches, batch{Commands: []command{add}})
		}
		if n.csp.allows(verbGet) {
			out.checks = append(out.checks, check{URI: n.uri, Want: n.want(), Kind: n.kind()})
		} else {
			out.sent = true
		}
		if node := n.removal(); node != "" && !slices.Contains(out.nodes, node) {
			out.nodes = append(out.nodes, node)
		}
	}
	return out, nil
}

// kind is how what is read back is compared.
func (n *customNode) kind() string {
	switch {
	case n.format == "int":
		return "int"
	case n.csp.format == "b64" || n.csp.format == "bin":
		return "b64"
	case strings.HasPrefix(n.value, "<"):
		if _, err := parseXML([]byte(n.value)); err == nil {
			return "xml"
		}
	}
	return ""
}

func (n *customNode) want() string { return withoutKey(n.value) }

// removal is the node that is deleted to take a setting away: of what has a name of its own (a network, a connection) the whole, of a policy its
// value. "" when nothing can be deleted: the setting stays (see Stays).
func (n *customNode) removal() string {
	up, uri := n.csp, n.uri
	for at, u := n.csp, n.uri; at != nil && at.parent != nil; at = at.parent {
		if strings.HasPrefix(at.name, "{") && at.allows(verbDelete) && !strings.HasPrefix(provider(n.uri), "policy/") {
			up, uri = at, u
		}
		if i := strings.LastIndex(u, "/"); i > 0 {
			u = u[:i]
		}
	}
	if !up.allows(verbDelete) {
		return ""
	}
	return uri
}
