package windows

import (
	"slices"
	"strings"
	"sync"

	"muster/appliance/fleet"
)

// A question (D8) is one Get of one node. What may be asked is an allow-list of providers that tell how a PC is doing, without the nodes below
// that are a secret or speak of a person; everything else, above all what holds accounts, certificates, networks and passwords, is out of reach.

// askable are the places below which nodes may be read.
var askable = []string{"./DevDetail/", "./DevInfo/", statusNode, "./Device/Vendor/MSFT/BitLocker/", policyResult, "./Device/Vendor/MSFT/DeviceManageability/Capabilities/"}

const (
	statusNode   = "./Device/Vendor/MSFT/DeviceStatus/"
	policyResult = "./Device/Vendor/MSFT/Policy/Result/" // what is in force, whoever set it (Policy CSP)
	policyConfig = "./Device/Vendor/MSFT/Policy/Config/"
)

// unaskable are names that no address may hold, wherever they stand: numbers of people's contracts, what proves the PC to others, and recovery
// passwords. The providers that keep secrets are named too, though none of them is askable.
var unaskable = []string{"ICCID", "IMSI", "MobileID", "PhoneNumber", "CellularIdentities", "NetworkIdentifiers", "DeviceHardwareData", "CertAttestation",
	"RotateRecoveryPasswords", "RotateRecoveryPasswordsRequestID", "RotateRecoveryPasswordsStatus", "Accounts",
	"CertificateStore", "ClientCertificateInstall", "RootCATrustedCertificates", "DMAcc", "DMClient", "ActiveSync", "EMAIL2", "WiFi", "VPNv2", "PassportForWork"}

// mayAsk says whether a node may be read by a question. It is asked for the list that is offered, and again when a question is put into a command.
func mayAsk(uri string) bool {
	if strings.Contains(uri, "%") { // an escaped name would be another text for a node that is named here
		return false
	}
	if !slices.ContainsFunc(askable, func(p string) bool { return strings.HasPrefix(uri, p) }) {
		return false
	}
	for name := range strings.SplitSeq(uri, "/") {
		if slices.ContainsFunc(unaskable, func(no string) bool { return strings.EqualFold(no, name) }) {
			return false
		}
	}
	n := cspOf(uri)
	return n != nil && n.format != "node" && n.allows(verbGet)
}

// question is a node with the build it came with.
type question struct {
	uri   string
	build int
}

// questions are all nodes that may be asked, in order.
var questions = sync.OnceValue(func() []question {
	var out []question
	var walk func(n *cspNode, at string)
	walk = func(n *cspNode, at string) {
		for _, k := range n.kids {
			if !strings.HasPrefix(k.name, "{") {
				walk(k, at+"/"+k.name)
			}
		}
		uri := at
		if rest, ok := strings.CutPrefix(at, policyConfig); ok { // Result has the same areas and names as Config
			uri = policyResult + rest
		}
		if len(n.kids) == 0 && n.format != "node" && n.allows(verbGet) && mayAsk(uri) {
			out = append(out, question{uri, n.least()})
		}
	}
	walk(cspRoot(), ".")
	slices.SortFunc(out, func(a, b question) int { return strings.Compare(a.uri, b.uri) })
	return out
})

// questionsFor are the nodes that a build has; of an unknown one all.
func questionsFor(build int) []string {
	var out []string
	for _, q := range questions() {
		if build == 0 || q.build <= build {
			out = append(out, q.uri)
		}
	}
	return out
}

// queryChoice says whether a PC can be asked, and what.
func queryChoice(d *fleet.Device, build int) fleet.ActionChoice {
	if d.Ownership == fleet.Personal {
		return fleet.ActionChoice{Type: fleet.ActQuery, Reason: why("windows.query.personal")}
	}
	return fleet.ActionChoice{Type: fleet.ActQuery, Offered: true, Reason: why("windows.query"), Options: []string{"node"}, Nodes: questionsFor(build)}
}

// replyIn is what a PC answered to a question; nil when the job was none.
func replyIn(j *job) *string {
	var text *string
	j.each(func(c *command) {
		if c.Verb != verbGet || !c.good() {
			return
		}
		v := ""
		if c.Value != nil {
			v = *c.Value
		}
		text = &v
	})
	return text
}
