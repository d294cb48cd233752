package appliance

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"muster/appliance/fleet"
)

const (
	demoMail     = "demo@noordhaven.example"
	demoPassword = "wide-harbour-lantern-42"
	demoTopic    = "com.apple.mgmt.External.6f1d2c3b-0000-4000-8000-00000000d340"
)

// prepare does what an administrator does on the first day: set-up, sign-in with a second factor, push certificate, people,
// groups and profiles.
func (d *DemoRun) prepare(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.setUp, d.pushCertificate, d.connectGoogle, d.addPeople, d.addProfiles, d.addAndroidProfiles} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *DemoRun) setUp(ctx context.Context) error {
	f := d.Appliance.fleet
	token, err := f.SetupLink(ctx, setupActor("demo"))
	if errors.Is(err, fleet.ErrConflict) {
		return errors.New("this demo directory was used before: delete it, or leave --data away")
	}
	if err != nil {
		return err
	}
	if _, err := f.Setup(ctx, token, "127.0.0.1", fleet.SetupInput{
		Organisation: "Noordhaven Architecten", Contact: "it@noordhaven.example, 020 555 01 02", Language: "en",
		AdminName: "Demo administrator", AdminMail: demoMail, Password: demoPassword, URL: d.Appliance.config.URL,
	}); err != nil {
		return err
	}
	first, err := f.SignIn(ctx, demoMail, demoPassword, "127.0.0.1", "demo")
	if err != nil {
		return err
	}
	secret, err := url.Parse(first.TOTPURL)
	if err != nil {
		return err
	}
	code, err := totp(secret.Query().Get("secret"), time.Now())
	if err != nil {
		return err
	}
	done, err := f.SignInCode(ctx, first.Pending, code, "127.0.0.1", "demo")
	if err != nil {
		return err
	}
	d.session = done.Session
	d.Actor, _, err = f.Authenticate(ctx, done.Session, "127.0.0.1")
	d.Actor.Via = "demo"
	return err
}

// totp is what an authenticator app shows (RFC 6238, SHA-1, six digits, 30 s).
func totp(secret string, at time.Time) (string, error) {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(secret, "="))
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha1.New, key)
	binary.Write(mac, binary.BigEndian, at.Unix()/30)
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1_000_000), nil
}

// pushCertificate goes the way of a real one: request, the stand-in for Apple's portal signs, upload.
func (d *DemoRun) pushCertificate(ctx context.Context) error {
	csr, err := d.Appliance.fleet.MakePushCSR(ctx, d.Actor)
	if err != nil {
		return err
	}
	cert, err := d.APNs.SignPush(csr, demoTopic)
	if err != nil {
		return err
	}
	_, err = d.Appliance.fleet.UploadPush(ctx, d.Actor, cert, "it@noordhaven.example")
	return err
}

func (d *DemoRun) addPeople(ctx context.Context) error {
	f := d.Appliance.fleet
	d.people = map[string]fleet.PersonID{}
	for _, name := range []string{"Anna de Wit", "Bram Jansen", "Carla Visser", "Daan Bakker", "Eva Smit", "Farid Haddad", "Greet Mulder", "Hugo Prins"} {
		mail := strings.ToLower(strings.Fields(name)[0]) + "@noordhaven.example"
		language := "nl"
		p, err := f.CreatePerson(ctx, d.Actor, fleet.PersonInput{Name: &name, Mail: &mail, Language: &language})
		if err != nil {
			return err
		}
		d.people[strings.Fields(name)[0]] = p.ID
	}
	office, staff := "Office", "All staff"
	description := "Everyone with an address of the office"
	if _, err := f.CreateGroup(ctx, d.Actor, fleet.GroupInput{Name: &staff, Description: &description, Kind: fleet.PeopleGroup,
		Rule: &fleet.Rule{Conditions: []fleet.Condition{{Field: "mail-domain", Op: "is", Value: "noordhaven.example"}}}}); err != nil {
		return err
	}
	g, err := f.CreateGroup(ctx, d.Actor, fleet.GroupInput{Name: &office, Kind: fleet.PeopleGroup})
	if err != nil {
		return err
	}
	return f.SetMembers(ctx, d.Actor, g.ID, []string{string(d.people["Anna"]), string(d.people["Eva"]), string(d.people["Farid"])}, nil)
}

// addProfiles makes the four profiles that this house is about and assigns them together.
func (d *DemoRun) addProfiles(ctx context.Context) error {
	root, err := d.profile(ctx, fleet.TypeTrustedRoot, "Office root certificate", "Lets devices trust our own servers",
		map[string]any{"source": "internal"})
	if err != nil {
		return err
	}
	identity, err := d.profile(ctx, fleet.TypeIdentity, "Mail identity", "A certificate for each person's mail",
		map[string]any{"root": string(root.ID), "delivery": fleet.DeliverMixed})
	if err != nil {
		return err
	}
	mail, err := d.profile(ctx, fleet.TypeEmail, "Office mail", "Exchange mail, calendar and contacts",
		map[string]any{"account": "exchange", "host": "mail.noordhaven.example", "sign_in": "certificate", "identity": string(identity.ID)})
	if err != nil {
		return err
	}
	passcode, err := d.profile(ctx, fleet.TypePasscode, "Passcode", "Six digits or more", map[string]any{"min_length": 6})
	if err != nil {
		return err
	}
	f := d.Appliance.fleet
	if err := f.Assign(ctx, d.Actor, mail.ID, []fleet.Assignment{{To: "all-people"}}, true); err != nil {
		return err
	}
	return f.Assign(ctx, d.Actor, passcode.ID, []fleet.Assignment{{To: "all-devices"}}, false)
}

func (d *DemoRun) profile(ctx context.Context, t fleet.ProfileType, name, description string, settings map[string]any) (*fleet.Profile, error) {
	platforms := []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS}
	if t != fleet.TypeEmail { // a mail account of Windows knows no certificate to sign in with
		platforms = append(platforms, fleet.Windows)
	}
	return d.profileFor(ctx, t, name, description, settings, platforms)
}

func (d *DemoRun) profileFor(ctx context.Context, t fleet.ProfileType, name, description string, settings map[string]any, platforms []fleet.Platform) (*fleet.Profile, error) {
	raw, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	p, err := d.Appliance.fleet.CreateProfile(ctx, d.Actor, fleet.ProfileInput{Type: t, Name: &name, Description: &description, Platforms: &platforms, Settings: raw})
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", name, err)
	}
	return p, nil
}
