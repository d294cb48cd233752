package apple

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// enrolmentIdentifier is the PayloadIdentifier of the enrolment profile. It is in every enrolled device and can never change: a
// renewal under another one would be refused.
const enrolmentIdentifier = "muster.enrolment"

// challengeLife is how long a fetched enrolment profile can be installed: a phone discards a downloaded profile after
// eight minutes, a Mac keeps it.
const challengeLife = time.Hour

// enrolmentData is what an enrolment profile was rendered from. A renewal must repeat all of it: a device refuses a changed address,
// topic, right or capability.
type enrolmentData struct {
	Enrolment    fleet.EnrolmentID `json:"enrolment"`
	Platform     fleet.Platform    `json:"platform"`
	Ownership    fleet.Ownership   `json:"ownership"`
	Organisation string            `json:"organisation"`
	BaseURL      string            `json:"base_url"`
	Topic        string            `json:"topic"`
	Rights       int               `json:"rights"`
	Capabilities []string          `json:"capabilities"`
	SignMessage  bool              `json:"sign_message"`
	SCEPName     string            `json:"scep_name"`       // what GetCACert asks for
	Roots        [][]byte          `json:"roots,omitempty"` // DER
}

var enrolmentRecords = store.Define("xa", func(e *enrolmentData) string { return string(e.Enrolment) })

// EnrolmentProfile makes the profile that a person installs (.mobileconfig), for a ticket. It may be fetched again while the ticket
// is good; each time it holds a new challenge. Errors: those of Redeem, and fleet.ErrNotApplicable while there is no push
// certificate or no https address, for a device enrolled without them could never be reached.
func (a *Apple) EnrolmentProfile(ctx context.Context, ticket string) ([]byte, error) {
	enrolment, opened, err := a.fleet.Redeem(ctx, ticket)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(a.Platforms(), enrolment.Platform) {
		return nil, fleet.Refuse(fleet.ErrGone, "ticket.gone")
	}
	push, err := a.fleet.PushCertificate(ctx)
	if err != nil {
		return nil, err
	}
	if push == nil || push.Topic == "" {
		return nil, fleet.Refuse(fleet.ErrNotApplicable, codeNoPush)
	}
	s, err := a.fleet.Settings(ctx)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(deviceURL(s), "https://") {
		return nil, fleet.Refuse(fleet.ErrNotApplicable, codeNoAddress)
	}
	data := a.newEnrolmentData(enrolment.ID, enrolment.Platform, enrolment.Ownership, s, push.Topic)
	person := ""
	if opened != nil && opened.Person != nil {
		person = string(opened.Person.ID)
	}
	var challenge string
	err = a.db.Update(ctx, func(tx store.Tx) error {
		var err error
		challenge, err = a.pki.NewChallenge(tx, managementBinding(enrolment.ID, person, s.Organisation), challengeLife)
		if err != nil {
			return err
		}
		return enrolmentRecords.Put(tx, data)
	})
	if err != nil {
		return nil, fmt.Errorf("enrolment profile: %w", err)
	}
	profile, err := data.render(challenge)
	if err != nil {
		return nil, err
	}
	return a.sign(profile, s.SignProfiles)
}

// newEnrolmentData is what a profile made now is rendered from.
func (a *Apple) newEnrolmentData(e fleet.EnrolmentID, p fleet.Platform, o fleet.Ownership, s *fleet.Settings, topic string) *enrolmentData {
	data := &enrolmentData{
		Enrolment: e, Platform: p, Ownership: o, Organisation: s.Organisation, BaseURL: deviceURL(s),
		Topic: topic, Rights: rightsFor(o), Capabilities: capabilitiesFor(o), SignMessage: s.SignMessages, SCEPName: scepName(s),
	}
	if a.roots != nil {
		data.Roots = a.roots()
	}
	return data
}

// managementBinding is what a device's management identity says: the enrolment, known before the device is.
func managementBinding(e fleet.EnrolmentID, person, organisation string) pki.Binding {
	subject := pkix.Name{CommonName: string(e)}
	if organisation != "" {
		subject.Organization = []string{organisation}
	}
	return pki.Binding{Purpose: pki.Management, Enrolment: string(e), Person: person, Generation: 1, Subject: subject}
}

// deviceURL is the address that devices call, without a slash at its end.
func deviceURL(s *fleet.Settings) string {
	u := s.DeviceURL
	if u == "" {
		u = s.URL
	}
	return strings.TrimRight(u, "/")
}

// enrolmentData is what an enrolment's profile was made from; store.ErrNotFound when it was made elsewhere.
func (a *Apple) enrolmentData(ctx context.Context, e fleet.EnrolmentID) (data *enrolmentData, err error) {
	err = a.db.View(ctx, func(tx store.Tx) error {
		data, err = enrolmentRecords.Get(tx, string(e))
		return err
	})
	return data, err
}

// render makes the profile: the identity first, then management, then the roots. Everything but the challenge is the same each time.
func (e *enrolmentData) render(challenge string) ([]byte, error) {
	id := string(e.Enrolment)
	uuid := func(role string) string { return payloadUUID("enrolment", id, role) }
	scep := newSCEP(newHeader("com.apple.security.scep", enrolmentIdentifier+".scep", uuid("scep"), "SCEP"),
		e.BaseURL+scepPath, e.SCEPName, id, challenge, e.Platform)
	mdm := mdmPayload{
		header:                  newHeader("com.apple.mdm", enrolmentIdentifier+".mdm", uuid("mdm"), "MDM"),
		IdentityCertificateUUID: scep.PayloadUUID,
		Topic:                   e.Topic,
		ServerURL:               e.BaseURL + ConnectPath,
		CheckInURL:              e.BaseURL + CheckInPath,
		SignMessage:             e.SignMessage,
		AccessRights:            e.Rights,
		CheckOutWhenRemoved:     true,
		ServerCapabilities:      e.Capabilities,
	}
	top := configuration{
		header:         newHeader("Configuration", enrolmentIdentifier, uuid("profile"), e.Organisation),
		PayloadContent: []any{scep, mdm},
	}
	top.PayloadOrganization = e.Organisation
	if top.PayloadDisplayName == "" {
		top.PayloadDisplayName = "Muster"
	}
	if e.Platform == fleet.MacOS {
		top.PayloadScope = "System"
	}
	for i, der := range e.Roots {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("root of the enrolment profile: %w", err)
		}
		role := fmt.Sprintf("root%d", i+1)
		top.PayloadContent = append(top.PayloadContent,
			newRoot(newHeader("com.apple.security.root", enrolmentIdentifier+"."+role, uuid(role), cert.Subject.CommonName), cert))
	}
	return writePlist(top)
}

// renew sends the enrolment profile again with a fresh challenge: the device makes a new key and goes over to its
// certificate. It never does that by itself.
func (a *Apple) renew(ctx context.Context, o *fleet.Order) (any, error) {
	if o.Renewal == "" {
		return nil, ours(errors.New("renewal without a challenge"))
	}
	data, err := a.enrolmentData(ctx, o.Device.Enrolment)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &unrenderable{fleet.Failed, fleet.Why(codeNoEnrolment), err}
	}
	if err != nil {
		return nil, err
	}
	profile, err := data.render(o.Renewal)
	if err != nil {
		return nil, ours(err)
	}
	s, err := a.fleet.Settings(ctx)
	if err != nil {
		return nil, err
	}
	if profile, err = a.sign(profile, s.SignProfiles); err != nil {
		return nil, err
	}
	return installProfile{"InstallProfile", profile}, nil
}
