package apple

import (
	"crypto/sha256"
	"encoding/hex"
	"sort"
	"strings"

	"muster/appliance/fleet"
)

// readAnswer reads a command result; nil when the device only calls (Status Idle).
func readAnswer(msg dict) (*fleet.Answer, error) {
	status, order := msg.text("Status"), msg.text("CommandUUID")
	if status == "Idle" {
		return nil, nil
	}
	if order == "" || len(order) > 200 {
		return nil, bad("result without a command", nil)
	}
	order, removal := strings.CutSuffix(order, removalMark)
	ans := &fleet.Answer{Order: fleet.OrderID(order)}
	switch status {
	case "Acknowledged":
		ans.Outcome = fleet.Done
		readResult(ans, msg)
	case "Error":
		ans.Outcome = fleet.Failed
		readFailure(ans, msg, removal)
	case "CommandFormatError":
		ans.Outcome = fleet.Malformed
		ans.Reason = explain(msg.list("ErrorChain"))
		if ans.Reason.Code == codeError {
			ans.Reason.Code = codeFormat
		}
	case "NotNow":
		ans.Outcome = fleet.Postponed
		ans.Reason = fleet.Why(codeNotNow)
	default:
		return nil, bad("unknown status "+label(status), nil)
	}
	return ans, nil
}

// readResult reads what an acknowledged query brought. What kind of query it was shows by the key of its result; fleet holds it against
// the order.
func readResult(ans *fleet.Answer, msg dict) {
	if msg.text("MessageResult") == "NoPasscodeSet" { // of DeviceLock: the screen is off, and anybody can switch it on
		ans.Reason = fleet.Why(codeNoPasscode)
	}
	if _, ok := msg["QueryResponses"]; ok {
		ans.Facts = deviceFacts(msg.dict("QueryResponses"))
	}
	if _, ok := msg["SecurityInfo"]; ok {
		ans.Facts = securityFacts(msg.dict("SecurityInfo"))
	}
	if _, ok := msg["ProfileList"]; ok {
		ans.Markers = markersIn(msg.list("ProfileList"))
	}
	if _, ok := msg["CertificateList"]; ok {
		ans.Certificates = fingerprintsIn(msg.list("CertificateList"))
	}
	if _, ok := msg["InstalledApplicationList"]; ok {
		ans.Apps = installedApps(msg.list("InstalledApplicationList"))
	}
	if _, ok := msg["ManagedApplicationList"]; ok {
		ans.Apps = managedApps(msg.dict("ManagedApplicationList"))
	}
}

// markersIn finds the versions of our units that are on the device.
func markersIn(list []any) map[string]string {
	out := map[string]string{}
	for _, v := range list {
		p, _ := v.(dict)
		if key, ours := unitOf(p.text("PayloadIdentifier")); ours {
			out[key] = strings.ToUpper(p.text("PayloadUUID"))
		}
	}
	return out
}

// fingerprintsIn are the SHA-256 fingerprints of the certificates listed.
func fingerprintsIn(list []any) []string {
	out := []string{}
	for _, v := range list {
		c, _ := v.(dict)
		if der := c.data("Data"); len(der) > 0 {
			sum := sha256.Sum256(der)
			out = append(out, hex.EncodeToString(sum[:]))
		}
	}
	return out
}

func installedApps(list []any) []fleet.App {
	out := []fleet.App{}
	for _, v := range list {
		d, _ := v.(dict)
		app := fleet.App{ID: clip(d.text("Identifier")), Name: clip(d.text("Name")), Version: clip(d.text("ShortVersion"))}
		if app.Version == "" {
			app.Version = clip(d.text("Version"))
		}
		if app.ID != "" || app.Name != "" { // a Mac may leave out the identifier
			out = append(out, app)
		}
	}
	return out
}

// managedApps reads the apps that management has installed. Names are not told.
func managedApps(d dict) []fleet.App {
	out := []fleet.App{}
	for id, v := range d {
		state, _ := v.(dict)
		if state.text("Status") == "Managed" {
			out = append(out, fleet.App{ID: clip(id), Managed: true})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// readFailure reads an error chain: what is at fault, whether it can be mended by the person, and, of a removal, whether there was nothing
// to remove: 12075 not installed, 12013 not ours.
func readFailure(ans *fleet.Answer, msg dict, removal bool) {
	ans.Reason = explain(msg.list("ErrorChain"))
	if removal && (ans.Reason.Code == "apple.profile-not-there" || ans.Reason.Code == "apple.profile-not-ours") {
		ans.Outcome = fleet.Absent
	}
	ans.Account = ans.Reason.Code == codeAccount
	if appleDomain(ans.Reason.Args["domain"]) {
		ans.Blames = blamed(ans.Reason.Args["number"])
	}
}

// blamed is the type of profile that an error number speaks of; numbers come in thousands by subject.
func blamed(number string) fleet.ProfileType {
	if len(number) < 4 {
		return ""
	}
	switch number[:len(number)-3] {
	case "21", "7", "18":
		return fleet.TypeEmail
	case "22":
		return fleet.TypeIdentity
	case "9":
		return fleet.TypeTrustedRoot
	case "8":
		return fleet.TypeWebLink
	case "15":
		return fleet.TypeVPN
	case "13":
		return fleet.TypeWiFi
	case "5":
		return fleet.TypePasscode
	}
	return ""
}
