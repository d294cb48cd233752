package android

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// Entry is what a person needs to bring a device under management.
type Entry struct {
	Mode    fleet.Mode
	Link    string // to be opened on a personal device
	Token   string // to be typed
	QR      string // JSON text to be shown as a QR code: a new device reads it after six taps on its first screen
	Expires time.Time
}

// enrolLink opens the set-up of a work profile on a device in use.
const enrolLink = "https://enterprise.google.com/android/enroll?et="

// tokenData ties a token to its enrolment: Google gives it back with the device.
type tokenData struct {
	Enrolment fleet.EnrolmentID `json:"e"`
}

const (
	tokenLeast = 5 * time.Minute    // a person needs this long
	policyFor  = 5 * 24 * time.Hour // a policy that no device refers to is deleted after seven days
)

// usage says what a token may make of a device (EnrollmentToken.allowPersonalUsage). Left out, it would be anybody's guess.
var usage = map[fleet.Mode]string{
	fleet.ModeWorkProfile:        "PERSONAL_USAGE_ALLOWED",
	fleet.ModeCompanyWorkProfile: "PERSONAL_USAGE_ALLOWED",
	fleet.ModeFullyManaged:       "PERSONAL_USAGE_DISALLOWED",
	fleet.ModeKiosk:              "PERSONAL_USAGE_DISALLOWED_USERLESS",
}

// NewEntry turns the ticket of an accepted invitation into a way in. The policy, with the password rules that have to be met before a set-up is
// complete, is there first. Asked again, it gives the same token while that is good.
func (a *Android) NewEntry(ctx context.Context, ticket string) (*Entry, error) {
	e, _, err := a.fleet.Redeem(ctx, ticket)
	if err != nil {
		return nil, err
	}
	if e.Platform != fleet.Android {
		return nil, fleet.Refuse(fleet.ErrConflict, codeOther)
	}
	entry, err := a.newEntry(ctx, e)
	var refused *apiError
	switch t := troubled(err); {
	case t != nil:
		a.log.Error("no enrolment token", "err", err)
		return nil, &fleet.Refusal{Kind: fleet.ErrConflict, Reason: fleet.Reason{Code: t.Code}}
	case errors.As(err, &refused):
		a.log.Error("no enrolment token", "err", err)
		return nil, &fleet.Refusal{Kind: fleet.ErrConflict, Reason: fleet.Reason{Code: codeForbidden}}
	}
	return entry, err
}

func (a *Android) newEntry(ctx context.Context, e *fleet.Enrolment) (*Entry, error) {
	conn, err := a.ready(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := a.recordOf(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	now := a.now().UTC()
	if rec == nil || rec.Enterprise != conn.account.Enterprise {
		rec = &record{Enrolment: e.ID, Enterprise: conn.account.Enterprise, Policy: conn.account.Enterprise + "/policies/" + strings.ToLower(string(e.ID)), Mode: e.Mode}
	}
	if rec.Token.Name != "" && now.Add(tokenLeast).Before(rec.Token.Expires) {
		if out, err := a.openToken(rec); err == nil {
			return out, nil
		}
	}
	w, err := a.fleet.WantedBeforehand(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	if now.Sub(rec.Sent.At) > policyFor {
		rec.Sent.Digest = ""
	}
	r := &rendering{mode: e.Mode, ownership: e.Ownership, person: w.Person, frame: *w.Frame, root: a.rootCertificate(), early: true}
	if err := a.send(ctx, conn, laneSetup, rec, r, w.Profiles, ""); err != nil {
		var cannot *unrenderable
		if !errors.As(err, &cannot) {
			return nil, err
		}
		a.log.Error("a profile is left out of a new device's policy", "enrolment", e.ID, "err", err)
		if err := a.send(ctx, conn, laneSetup, rec, r, nil, ""); err != nil {
			return nil, err
		}
	}
	life := max(e.TicketEnds.Sub(now), tokenLeast)
	token, err := conn.createToken(ctx, conn.account.Enterprise, tokenBody(rec.Policy, e.Mode, life, e.ID))
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal([2]string{token.Value, token.QR})
	if err != nil {
		return nil, err
	}
	ends := token.Expires.Time
	if ends.IsZero() || ends.After(now.Add(life)) {
		ends = now.Add(life)
	}
	rec.Token = tokenRecord{Name: token.Name, Expires: ends, Sealed: a.db.Sealer().Seal(records.Name(), string(e.ID), plain)}
	if err := a.keep(ctx, rec); err != nil {
		return nil, err
	}
	return a.openToken(rec)
}

// tokenBody asks for a token that is good once, for one policy, and says whose it is.
func tokenBody(policy string, m fleet.Mode, life time.Duration, e fleet.EnrolmentID) map[string]any {
	data, _ := json.Marshal(tokenData{Enrolment: e}) // a text
	return map[string]any{"policyName": policy, "duration": seconds(int(life.Seconds())), "oneTimeOnly": true, "allowPersonalUsage": usage[m], "additionalData": string(data)}
}

func (a *Android) openToken(rec *record) (*Entry, error) {
	plain, err := a.db.Sealer().Open(records.Name(), string(rec.Enrolment), rec.Token.Sealed)
	if err != nil {
		return nil, err
	}
	var both [2]string
	if err := json.Unmarshal(plain, &both); err != nil {
		return nil, err
	}
	return &Entry{Mode: rec.Mode, Link: enrolLink + url.QueryEscape(both[0]), Token: both[0], QR: both[1], Expires: rec.Token.Expires}, nil
}

// claim takes in a device that Google says has enrolled. One that cannot be let in is put out again at once: a work profile goes, and a company's
// device is as new as it was. A device of which nothing is known here is left alone: an older backup may have been restored.
//
// Its notification and a look at all devices may find it at the same moment: one of them takes it in.
func (a *Android) claim(ctx context.Context, conn *connection, name string) error {
	a.claiming.Lock()
	defer a.claiming.Unlock()
	if known, err := a.recordOfDevice(ctx, name); err != nil || known != nil {
		return err
	}
	d, err := conn.getDevice(ctx, laneOrder, name)
	if is(err, http.StatusNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	e := enrolmentOf(d)
	rec, err := a.recordOf(ctx, e)
	if err != nil {
		return err
	}
	en, _, err := a.fleet.StateOfEnrolment(ctx, e)
	if errors.Is(err, fleet.ErrNoRecord) || err == nil && (rec == nil || rec.Device != "" && rec.Device != name) {
		a.log.Warn("Google has a device that is not known here", "device", name)
		return nil
	}
	if err != nil {
		return err
	}
	if (d.Ownership == "PERSONALLY_OWNED" || d.Ownership == "COMPANY_OWNED") && (d.Ownership == "PERSONALLY_OWNED") != (en.Ownership == fleet.Personal) {
		return a.turnAway(ctx, conn, rec, name, why(codeWrongOwner))
	}
	c := fleet.Contact{Identity: fleet.Identity{Enrolment: e}, At: a.now(), Heard: d.heard()}
	in := fleet.EnrolInput{Hardware: hardwareOf(d), Platform: fleet.Android, Service: name, Facts: firstFacts(d)}
	dev, err := a.fleet.Enrol(ctx, c, in)
	switch {
	case errors.Is(err, fleet.ErrGone), errors.Is(err, fleet.ErrConflict), errors.Is(err, fleet.ErrIdentity):
		return a.turnAway(ctx, conn, rec, name, why(codeRefused))
	case err != nil:
		return err
	}
	rec.Device, rec.DeviceID, rec.Heard, rec.Reached, rec.Token.Sealed = name, dev.ID, d.heard(), false, nil
	if err := a.keep(ctx, rec); err != nil {
		return err
	}
	a.queue.push(e, urgentEnrol, true, nil)
	return a.succeeded(ctx, d)
}

// turnAway puts a device out again.
func (a *Android) turnAway(ctx context.Context, conn *connection, rec *record, name string, r fleet.Reason) error {
	a.log.Warn("a device was not let in", "device", name, "reason", r.Code)
	if err := conn.deleteDevice(ctx, name, ""); err != nil {
		return err
	}
	if err := a.fleet.RefuseEnrolment(ctx, rec.Enrolment, r); err != nil && !errors.Is(err, fleet.ErrNoRecord) {
		return err
	}
	return a.tidy(ctx, conn, rec)
}

// succeeded looks after the earlier lives of a device's hardware: their records at Google are ghosts.
func (a *Android) succeeded(ctx context.Context, d *device) error {
	for i, old := range d.Previous {
		if i == 20 {
			break
		}
		rec, err := a.recordOfDevice(ctx, old)
		if err != nil {
			return err
		}
		if rec != nil && rec.Device != d.Name {
			a.queue.push(rec.Enrolment, urgentNews, true, nil)
		}
	}
	return nil
}

// enrolmentOf is the enrolment that a device's token was made for; "" when it says none.
func enrolmentOf(d *device) fleet.EnrolmentID {
	var data tokenData
	if len(d.EnrollmentTokenData) > 1024 || json.Unmarshal([]byte(d.EnrollmentTokenData), &data) != nil || len(data.Enrolment) > 40 {
		return ""
	}
	return data.Enrolment
}

// hardwareOf is a name for the hardware that stays over enrolments: since Android 12 Google gives personal devices one that is good for this organisation
// only, and for others brand and serial number do.
func hardwareOf(d *device) string {
	if s := d.Hardware.EnterpriseID; s != "" && len(s) <= 150 {
		return "android-" + s
	}
	if d.Hardware.Serial == "" {
		return "android-" + id(d.Name)
	}
	sum := sha256.Sum256([]byte(strings.ToLower(d.Hardware.Brand) + "\x00" + d.Hardware.Serial))
	return "android-" + hex.EncodeToString(sum[:16])
}
