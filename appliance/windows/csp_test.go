package windows

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// offeredFrom is the lowest build at which a document can be sent, where that is not the lowest that may enrol.
var offeredFrom = map[string]int{
	"wipe-protected": build1703, "wipe-kept": build1709, "lost-contact": build1709, "wipe-cloud": build11H2, "wipe-cloud-kept": build11H2,
	"custom": anyBuild, "custom-user": anyBuild, // held against the build of the PC when it is rendered
	"facts": anyBuild, // what a build does not have it answers with 404, which is no error there
}

const anyBuild = 99998 // nothing in the table is newer that was released

// checkNode holds one command against the table of configuration service providers.
func checkNode(t testing.TB, name string, c command, build int) {
	t.Helper()
	if c.Verb == verbAtomic {
		for _, k := range c.Kids {
			if k.Verb == verbGet || k.Verb == verbAtomic {
				t.Errorf("%s: %s inside an Atomic", name, k.Verb)
			}
			checkNode(t, name, k, build)
		}
		return
	}
	n := cspOf(c.URI)
	if n == nil {
		t.Errorf("%s: %s is no node", name, c.URI)
		return
	}
	if !n.allows(c.Verb) {
		t.Errorf("%s: %s on %s, which allows %s", name, c.Verb, c.URI, n.access)
	}
	if least := n.least(); least > build {
		t.Errorf("%s: %s is there from build %d, and may be sent to %d", name, c.URI, least, build)
	}
	if c.Format == "" {
		return
	}
	// Unenroll is null in the table, and Microsoft's own sample gives it the provider as text. A PKCS #12 is bin and sent as text. A policy of
	// any name is null, and has the format of its value.
	switch {
	case n.format == "null" && c.Format != "null" && (strings.HasSuffix(c.URI, "/Unenroll") || n.name == "{PolicyName}"):
	case n.format == "bin" && c.Format == "chr":
	case c.Format != n.format:
		t.Errorf("%s: %s as %s, want %s", name, c.URI, c.Format, n.format)
	}
	if c.Format != "null" && c.Data != "" && !n.takes(c.Data) {
		t.Errorf("%s: %s of %q, which takes %s", name, c.URI, c.Data, n.values)
	}
}

// TestNodesStandInTheTable holds every LocURI, verb, format, value and least build of all that renderers and orders can send, of its
// read-back and of its removal.
func TestNodesStandInTheTable(t *testing.T) {
	checked := 0
	for name, d := range everything(t) {
		build := max(offeredFrom[name], oldestBuild)
		one := func(c command) {
			checked += 1 + len(c.Kids)
			checkNode(t, name, c, build)
		}
		for _, b := range d.job.Batches {
			scopes := map[bool]bool{}
			for _, c := range b.Commands {
				one(c)
				for _, k := range append(c.Kids, c) {
					if k.URI != "" {
						scopes[strings.HasPrefix(k.URI, "./User/")] = true
					}
				}
			}
			if len(scopes) > 1 {
				t.Errorf("%s mixes ./User and ./Device in one message", name)
			}
		}
		if d.unit == nil {
			continue
		}
		for _, c := range (&delivery{Checks: d.unit.checks, SCEP: d.unit.scep, MSI: d.unit.msi}).reads() {
			one(c)
		}
		for _, n := range d.unit.nodes {
			one(del(n))
			if strings.Contains(n, "/ClientCertificateInstall/") {
				one(get(certificateAt(n)))
			}
		}
	}
	if checked < 120 {
		t.Errorf("only %d commands looked at", checked)
	}
}

// TestSourcesNameRealNodes finds a LocURI that no document of everything holds: each text that begins with "./" leads to a node.
func TestSourcesNameRealNodes(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		ast.Inspect(f, func(x ast.Node) bool {
			lit, is := x.(*ast.BasicLit)
			if !is || lit.Kind != token.STRING {
				return true
			}
			s, err := strconv.Unquote(lit.Value)
			if err != nil || !strings.HasPrefix(s, "./") || len(s) < 4 {
				return true
			}
			found++
			if cspOf(strings.TrimRight(s, "/")) == nil && s != "./Device/" && s != "./User/" && s != "./Vendor/" {
				t.Errorf("%s names %s, which is no node", name, s)
			}
			return true
		})
	}
	if found < 20 {
		t.Errorf("only %d LocURIs found in the sources", found)
	}
}

// TestProvisioningNamesRealNodes holds what an enrolment sets in DMClient against the table: its parameters are nodes of the same name.
func TestProvisioningNamesRealNodes(t *testing.T) {
	root, other := testCertificate(t, "root.pem"), testCertificate(t, "other.pem")
	p := &provision{root: root, issuing: other, own: other, store: "User", name: "Example", address: "https://mdm.example.org" + SessionPath, user: "ada@example.org", enrolment: "01ENROLMENT"}
	found := 0
	var walk func(n *node, uri string)
	walk = func(n *node, uri string) {
		for _, k := range n.kids {
			switch k.name {
			case "characteristic":
				walk(k, uri+"/"+k.attr("type"))
			case "parm":
				found++
				c := cspOf(uri + "/" + k.attr("name"))
				if c == nil || !c.takes(k.attr("value")) {
					t.Errorf("%s/%s of %q is no node, or does not take it", uri, k.attr("name"), k.attr("value"))
				}
			}
		}
	}
	for _, c := range at(mustParse(t, p.render())).all("characteristic") {
		if c.attr("type") == "DMClient" {
			walk(c, "./Device/Vendor/MSFT/DMClient")
		}
	}
	if found < 9 {
		t.Errorf("only %d settings of DMClient", found)
	}
}

func TestCSPTable(t *testing.T) {
	for _, c := range []struct {
		uri, format, access string
		least               int
	}{
		{"./Device/Vendor/MSFT/RemoteWipe/doWipePersistUserData", "chr", "E", 16299},
		{"./Vendor/MSFT/DeviceStatus/OS/Edition", "chr", "G", 15063},
		{"./device/vendor/msft/policy/config/devicelock/mindevicepasswordlength", "int", "ADGR", 10240},
		{"./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera", "int", "ADGR", 10240},
		{"./User/Vendor/MSFT/Policy/Config/Any/Thing", "null", "ADGR", 10240},
		{"./Device/Vendor/MSFT/WiFi/Profile/Caf%C3%A9%20%2F%201/WlanXml", "chr", "ADGR", 10586},
		{"./Device/Vendor/MSFT/Policy/Config/Update/MaintenanceWindowEnabled", "int", "ADGR", 99999},
		{"./Device/Vendor/MSFT/DeviceStatus/TPM/ManufacturerId", "chr", "G", 19041},
	} {
		n := cspOf(c.uri)
		if n == nil {
			t.Errorf("%s is not found", c.uri)
		} else if n.format != c.format || n.access != c.access || n.least() != c.least {
			t.Errorf("%s is %s %s from %d, want %s %s from %d", c.uri, n.format, n.access, n.least(), c.format, c.access, c.least)
		}
	}
	for _, uri := range []string{"", "/Device", "Device/Vendor", "./Nothing", "./Device/Vendor/MSFT/WiFi/Profile/{a}/WlanXml", "./Device/Vendor/MSFT/WiFi/Profile//WlanXml", "./Device/Vendor/MSFT/Reboot?list=StructData",
		"./Device/Vendor/MSFT/WiFi/Profile/%zz/WlanXml"} {
		if cspOf(uri) != nil {
			t.Errorf("%q is a node", uri)
		}
	}
	number := &cspNode{format: "int", values: "0,4-16"}
	for v, want := range map[string]bool{"0": true, "1": false, "4": true, "16": true, "17": false, "x": false, "": false} {
		if number.takes(v) != want {
			t.Errorf("0,4-16 takes %q: %t", v, !want)
		}
	}
	if low := (&cspNode{format: "int", values: "-1-30"}); !low.takes("-1") || !low.takes("0") || low.takes("-2") {
		t.Error("bounds below zero")
	}
}
