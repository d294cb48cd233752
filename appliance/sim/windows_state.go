package sim

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"time"
)

// WindowsState is a copy of what a PC knows and holds at one moment.
type WindowsState struct {
	Name, Serial, DeviceID, OSVersion string
	EditionSKU                        int

	Enrolled     bool
	EnrolledAt   time.Time
	Provider     string // PROVIDER-ID of the server
	Account      string // its name in Settings
	UPN          string
	Address      string            // where sessions go
	Identity     Certificate       // of the management; zero when not enrolled
	Poll         time.Duration     // pause until the next session by the schedule; 0: none
	Channel      string            // push channel; "" none
	MailAccounts []string          // display names of EMAIL2 accounts and addresses of Exchange accounts
	WiFi, VPN    []string          // names of profiles
	Policies     map[string]string // LocURI → value of everything under Policy/Config
	Roots        []Certificate
	Certificates []Certificate // identities by SCEP and PFX
	Apps         []string      // product codes of installed MSI packages

	SignedIn           string // LoginStatus
	MustChangePassword bool   // what length and complexity rules bring about
	Offline            bool
	Wiped              string   // the RemoteWipe node that ended management; "" otherwise
	Resets             []string // every RemoteWipe carried out
	Restarts           int

	TermsRead    string // text of the last page that was accepted
	Commands     []WindowsCommand
	Complaints   []string // what a real client would silently dislike
	LastError    string
	EndedBecause string
	Sessions     int // that ended well
	Messages     int // sent
	Renewals     int
}

// WindowsCommand is one command that came in, and the status that it got.
type WindowsCommand struct {
	Verb, LocURI     string // several items' LocURIs with a blank between
	Status           int
	Session, Message string
}

// pcHistory is what a PC remembers of its past; bounded.
type pcHistory struct {
	terms              string
	commands           []WindowsCommand
	complaints         []string
	lastError, ended   string
	wiped              string
	resets             []string
	restarts           int
	sessions, messages int
	renewals           int
	mustChangePassword bool
}

func (h *pcHistory) complain(text string) { h.complaints = keepLast(h.complaints, text) }

func (h *pcHistory) command(c WindowsCommand) { h.commands = keepLast(h.commands, c) }

// State returns a copy of the PC's state.
func (d *Windows) State() WindowsState {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := WindowsState{
		Name: d.hw.name, Serial: d.hw.serial, DeviceID: d.hw.deviceID, OSVersion: d.hw.version(), EditionSKU: d.hw.edition,
		SignedIn: d.login, MustChangePassword: d.seen.mustChangePassword, Offline: d.offline, Wiped: d.seen.wiped, Resets: slices.Clone(d.seen.resets), Restarts: d.seen.restarts,
		TermsRead: d.seen.terms, Commands: slices.Clone(d.seen.commands), Complaints: slices.Clone(d.seen.complaints), LastError: d.seen.lastError, EndedBecause: d.seen.ended,
		Sessions: d.seen.sessions, Messages: d.seen.messages, Renewals: d.seen.renewals, Policies: map[string]string{},
	}
	t := d.tree
	if m := d.mdm; m != nil {
		s.Enrolled, s.EnrolledAt, s.Provider, s.Account, s.UPN, s.Address = true, m.since, m.provider, m.name, m.upn, m.addr
		s.Identity = certificateOf(m.id.cert, true, m.provider)
		s.Channel = t.value(t.own() + "Push/ChannelURI")
		s.Poll = d.pause(0)
	}
	for _, account := range t.children(mustLocate("./User/Vendor/MSFT/EMAIL2")) {
		s.MailAccounts = append(s.MailAccounts, t.value("./User/Vendor/MSFT/EMAIL2/"+escapeSegment(account)+"/SERVICENAME"))
	}
	for _, account := range t.children(mustLocate("./User/Vendor/MSFT/ActiveSync/Accounts")) {
		s.MailAccounts = append(s.MailAccounts, t.value("./User/Vendor/MSFT/ActiveSync/Accounts/"+escapeSegment(account)+"/EmailAddress"))
	}
	for _, scope := range []string{"./Device", "./User"} {
		s.WiFi = append(s.WiFi, t.children(mustLocate(scope+"/Vendor/MSFT/WiFi/Profile"))...)
		s.VPN = append(s.VPN, t.children(mustLocate(scope+"/Vendor/MSFT/VPNv2"))...)
		for _, n := range t.leaves(mustLocate(scope + "/Vendor/MSFT/Policy/Config")) {
			s.Policies[uriOf(n.segs)] = n.data
		}
		for _, code := range t.children(mustLocate(scope + "/Vendor/MSFT/EnterpriseDesktopAppManagement/MSI")) {
			if t.value(scope+"/Vendor/MSFT/EnterpriseDesktopAppManagement/MSI/"+escapeSegment(code)+"/Status") == msiInstalled {
				s.Apps = append(s.Apps, code)
			}
		}
	}
	for _, c := range t.trusted() {
		s.Roots = append(s.Roots, certificateOf(c, false, ""))
	}
	for _, key := range slices.Sorted(maps.Keys(t.ids)) {
		s.Certificates = append(s.Certificates, certificateOf(t.ids[key].cert, true, t.nodes[key].uri()))
	}
	return s
}

// Node returns the value of a leaf of the management tree.
func (d *Windows) Node(uri string) (value string, there bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	loc, code := locate(uri)
	if code != 200 {
		return "", false
	}
	n, there := d.tree.get(loc)
	return n.data, there
}

// Identity returns the certificate of the management, or nil.
func (d *Windows) Identity() *x509.Certificate {
	if m := d.managed(); m != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		return m.id.cert
	}
	return nil
}

// ClientCertificate is the identity that the PC shows in sessions, with its key; the zero
// value when it is not enrolled.
func (d *Windows) ClientCertificate() tls.Certificate {
	if m := d.managed(); m != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		return tls.Certificate{Certificate: [][]byte{m.id.cert.Raw}, PrivateKey: m.id.key}
	}
	return tls.Certificate{}
}

// uri writes a node's place; "" for one that is not there.
func (n pcNode) uri() string {
	if len(n.segs) == 0 {
		return ""
	}
	return strings.TrimSuffix(uriOf(n.segs), "/")
}
