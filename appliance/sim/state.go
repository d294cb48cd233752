package sim

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"slices"
	"time"
)

// State is a copy of what a device knows and holds at one moment.
type State struct {
	Kind                                              Kind
	Name, Serial, UDID, OSVersion, Build, ProductName string

	Enrolled     bool // under management
	Supervised   bool
	UserChannel  bool
	Topic        string
	EnrolledAt   time.Time
	Rights       int
	Identity     Certificate // of the management; zero when not enrolled
	Profiles     []Profile
	Accounts     []Account
	Certificates []Certificate
	Declarations map[string]string // identifier → server token
	Networks     []Network
	VPNs         []VPN
	WebLinks     []WebLink
	Restrictions map[string]bool // Apple's key → what it is set to

	PasscodeSet       bool
	PasscodeCompliant bool // with the rules of all profiles
	Locked            bool
	LockPIN           string // Mac: what opens it
	Offline           bool
	Wiped             bool // erased by the server
	Erased            bool // erased by whomever, and not enrolled since
	Restarts          int

	Prompts      int      // how often the person was asked for a password
	PromptLog    []string // for what
	TermsRead    string   // text of the page that was accepted
	Commands     []Command
	Complaints   []string // what the server did that a device had better not meet
	LastError    string
	EndedBecause string // why management ended last
	TokenUpdates int    // sent since enrolment, both channels
	Connections  int    // connection runs begun
}

// Profile is an installed profile.
type Profile struct {
	Identifier, UUID, Name string
	PayloadTypes           []string
	User                   bool // installed on the user channel
	Enrolment, Managed     bool
	Signed, Verified       bool
	Ignored                []string // payload types that the device has never heard of
	Installs               int      // how often it was installed or replaced
}

// Account is a mail account.
type Account struct {
	Type, Address, Host, User string
	OAuth, ByCertificate      bool
	Managed                   bool
	Profile                   string // identifier of the profile it came with
	Since                     time.Time
	Updates                   int // how often it was updated in place
}

// Certificate is an installed certificate.
type Certificate struct {
	CommonName, Serial, SHA256 string // serial in decimal
	Issuer                     string
	Identity                   bool // with its private key
	Profile                    string
	NotAfter                   time.Time
}

// Command is one command that came in, and the answer.
type Command struct {
	UUID, Type, Status string
	User, Lost         bool   // came on the user channel; its acknowledgement never arrived
	Error              string // the chain, when the answer was Error
}

// history is what a device remembers of its past; bounded.
type history struct {
	prompts      []string
	terms        string
	commands     []Command
	complaints   []string
	lastError    string
	ended        string
	tokenUpdates int
	connections  int
	restarts     int
	wiped        bool
	erased       bool
	installs     map[string]int
}

// maxHistory bounds each list of a history.
const maxHistory = 500

func keepLast[T any](list []T, v T) []T {
	if len(list) >= maxHistory {
		list = slices.Delete(list, 0, len(list)-maxHistory+1)
	}
	return append(list, v)
}

func (h *history) complain(text string) { h.complaints = keepLast(h.complaints, text) }

// State returns a copy of the device's state.
func (d *Apple) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := State{
		Kind: d.hw.kind, Name: d.hw.name, Serial: d.hw.serial, UDID: d.hw.udid, OSVersion: d.hw.os, Build: d.hw.build, ProductName: d.hw.model.product,
		Supervised: d.supervised(), PasscodeSet: d.passcode != "", PasscodeCompliant: d.compliant(d.passcode) == nil,
		Locked: d.locked, LockPIN: d.lockPIN, Offline: d.offline, Wiped: d.seen.wiped, Erased: d.seen.erased, Restarts: d.seen.restarts,
		Prompts: len(d.seen.prompts), PromptLog: slices.Clone(d.seen.prompts), TermsRead: d.seen.terms,
		Commands: slices.Clone(d.seen.commands), Complaints: slices.Clone(d.seen.complaints), LastError: d.seen.lastError,
		EndedBecause: d.seen.ended, TokenUpdates: d.seen.tokenUpdates, Connections: d.seen.connections, Declarations: maps.Clone(d.ddm.held),
	}
	if m := d.mdm; m != nil {
		s.Enrolled, s.UserChannel, s.Topic, s.EnrolledAt, s.Rights = true, m.user != nil, m.topic, m.since, m.rights
		s.Identity = certificateOf(m.id.cert, true, m.profile)
	}
	for _, i := range d.profiles {
		p := Profile{Identifier: i.identifier, UUID: i.uuid, Name: i.name, User: i.user, Enrolment: i.enrolment, Managed: i.managed,
			Signed: i.signed, Verified: i.verified, Installs: d.seen.installs[i.key()]}
		for _, pl := range i.payloads {
			p.PayloadTypes = append(p.PayloadTypes, pl.kind)
			if !pl.known {
				p.Ignored = append(p.Ignored, pl.kind)
			}
		}
		s.Profiles = append(s.Profiles, p)
		for _, c := range i.certificates() {
			s.Certificates = append(s.Certificates, certificateOf(c.cert, c.key != nil, i.identifier))
		}
	}
	d.access(&s)
	for _, a := range d.accounts {
		s.Accounts = append(s.Accounts, a.Account)
	}
	return s
}

// certificateOf describes a certificate.
func certificateOf(c *x509.Certificate, hasKey bool, profile string) Certificate {
	sum := sha256.Sum256(c.Raw)
	return Certificate{CommonName: c.Subject.CommonName, Serial: c.SerialNumber.String(), SHA256: hex.EncodeToString(sum[:]),
		Issuer: c.Issuer.CommonName, Identity: hasKey, Profile: profile, NotAfter: c.NotAfter}
}

// supervised reports whether the device counts as supervised; d.mu is held.
func (d *Apple) supervised() bool {
	return d.o.Supervised || d.hw.kind == Mac && d.mdm != nil
}
