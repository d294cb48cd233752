package sim

import (
	"context"
	"slices"
	"strings"
	"time"
)

// installed is a profile on the device with what came of it.
type installed struct {
	*profile
	user, managed, enrolment bool
	ids                      map[string]*identity // payload UUID → what its SCEP or PKCS #12 payload yielded
}

// key tells profiles of the two channels apart.
func (i *installed) key() string {
	if i.user {
		return "user/" + i.identifier
	}
	return i.identifier
}

// certificates lists everything that the profile put into the keychain; a certificate without a key has a nil key.
func (i *installed) certificates() []*identity {
	var out []*identity
	for n := range i.payloads {
		pl := &i.payloads[n]
		if id := i.ids[pl.uuid]; id != nil {
			out = append(out, id)
		} else if pl.known && pl.spec.authority {
			if c, ref := pl.certificate(); ref == nil {
				out = append(out, &identity{cert: c})
			}
		}
	}
	return out
}

// account is a mail account with the payload that it belongs to.
type account struct {
	Account
	payloadID, payloadUUID string
	user                   bool
	prompts                []string // what the person is asked for when it is added
}

// accountOf reads an account payload.
func accountOf(p *profile, pl *payload, user bool) *account {
	b := pl.body
	a := &account{payloadID: pl.identifier, payloadUUID: pl.uuid, user: user, Account: Account{Type: pl.kind, Address: str(b, "EmailAddress"), Host: str(b, "Host"),
		User: str(b, "UserName"), OAuth: flag(b, "OAuth"), Managed: true, Profile: p.identifier}}
	if pl.kind == "com.apple.mail.managed" {
		a.Host, a.User = str(b, "IncomingMailServerHostName"), str(b, "IncomingMailServerUsername")
		for _, way := range []string{"Incoming", "Outgoing"} {
			if str(b, way+"MailServerAuthentication") != "EmailAuthNone" && str(b, way+"Password") == "" {
				a.prompts = append(a.prompts, strings.ToLower(way)+" mail of "+a.Address)
			}
		}
		return a
	}
	a.ByCertificate = str(b, "PayloadCertificateUUID")+str(b, "AuthenticationCertificateUUID") != "" || len(data(b, "Certificate")) > 0
	switch {
	case a.OAuth:
		a.prompts = []string{"sign-in of " + a.Address}
	case !a.ByCertificate && str(b, "Password") == "":
		a.prompts = []string{"password of " + a.Address}
	}
	return a
}

// sameLogin reports whether credentials entered for one account still serve the other.
func (a *account) sameLogin(b *account) bool {
	return a.Type == b.Type && strings.EqualFold(a.Host, b.Host) && strings.EqualFold(a.User, b.User) && a.OAuth == b.OAuth
}

// find returns the installed profile with that identifier on a channel, or nil; d.mu is held.
func (d *Apple) find(identifier string, user bool) *installed {
	for _, i := range d.profiles {
		if i.identifier == identifier && i.user == user {
			return i
		}
	}
	return nil
}

// identities gets what the profile's SCEP and PKCS #12 payloads yield. Every
// installation gets a new certificate, changed or not, as real devices do.
func (d *Apple) identities(ctx context.Context, p *profile) (map[string]*identity, error) {
	ids := map[string]*identity{}
	client := d.plain(p)
	defer d.hangUp(client)
	for n := range p.payloads {
		pl := &p.payloads[n]
		switch pl.kind {
		case "com.apple.security.scep":
			d.mu.Lock()
			s := scepClient{http: client, keys: d.o.Keys, bits: d.o.KeyBits, ber: d.mood.BER, name: "mdmclient/1.0 CFNetwork Darwin", now: time.Now(), note: d.complain}
			d.mu.Unlock()
			id, err := s.obtain(ctx, pl.body["PayloadContent"].(dict), pl.identifier)
			if err != nil {
				return nil, notInstalled(asRefusal(err))
			}
			ids[pl.uuid] = id
		case "com.apple.security.pkcs12":
			id, ref := pl.pkcs12()
			if ref != nil {
				return nil, notInstalled(ref)
			}
			ids[pl.uuid] = id
		}
	}
	return ids, nil
}

// collisions looks for UUIDs of other profiles and for accounts that exist already; d.mu is held.
func (d *Apple) collisions(p *profile, user bool) *Refusal {
	uuids := map[string]bool{}
	for _, i := range d.profiles {
		if i.identifier == p.identifier && i.user == user {
			continue
		}
		uuids[strings.ToLower(i.uuid)] = true
		for _, pl := range i.payloads {
			uuids[strings.ToLower(pl.uuid)] = true
		}
	}
	if uuids[strings.ToLower(p.uuid)] {
		return refuse(domainInstall, 4002, "The UUID %s belongs to another installed profile.", p.uuid)
	}
	for n := range p.payloads {
		pl := &p.payloads[n]
		if uuids[strings.ToLower(pl.uuid)] {
			return refuse(domainInstall, 4002, "The UUID %s belongs to another installed profile.", pl.uuid)
		}
	}
	var own []*account // the profile's other accounts
	for n := range p.payloads {
		pl := &p.payloads[n]
		if pl.kind != "com.apple.eas.account" {
			continue
		}
		a := accountOf(p, pl, user)
		for _, other := range append(slices.Clone(d.accounts), own...) {
			mine := other.Profile == p.identifier && other.user == user && !slices.Contains(own, other)
			sameHost := other.Host == "" || strings.EqualFold(other.Host, a.Host) // an account made by hand may be anywhere
			if !mine && other.Type == a.Type && strings.EqualFold(other.Address, a.Address) && sameHost {
				return refuse(domainEAS, 21005, "The account %s exists already.", a.Address)
			}
		}
		own = append(own, a)
	}
	return nil
}

// put makes a checked profile part of the device, in place of one with the same
// identifier; d.mu is held. Account payloads with the same identifier and UUID are
// updated in place; any other is removed and added anew, and asks for its password.
func (d *Apple) put(i *installed) {
	old := d.find(i.identifier, i.user)
	var accounts []*account
	var mine []*account
	for _, a := range d.accounts {
		if a.Managed && a.Profile == i.identifier && a.user == i.user {
			mine = append(mine, a)
		} else {
			accounts = append(accounts, a)
		}
	}
	now := time.Now()
	for n := range i.payloads {
		pl := &i.payloads[n]
		if !pl.known || !pl.spec.account {
			continue
		}
		a := accountOf(i.profile, pl, i.user)
		a.Since = now
		at := slices.IndexFunc(mine, func(o *account) bool {
			return o.payloadID == pl.identifier && strings.EqualFold(o.payloadUUID, pl.uuid) && o.Type == a.Type
		})
		ask := true
		if at >= 0 {
			a.Since, a.Updates = mine[at].Since, mine[at].Updates+1
			ask = !mine[at].sameLogin(a)
		}
		if ask {
			for _, p := range a.prompts {
				d.seen.prompts = keepLast(d.seen.prompts, p)
			}
		}
		accounts = append(accounts, a)
	}
	d.accounts = accounts
	if d.seen.installs == nil {
		d.seen.installs = map[string]int{}
	}
	d.seen.installs[i.key()]++
	if old != nil {
		d.profiles[slices.Index(d.profiles, old)] = i
		return
	}
	d.profiles = append(d.profiles, i)
}

// drop removes an installed profile and what came of it; d.mu is held.
func (d *Apple) drop(i *installed) {
	d.profiles = slices.DeleteFunc(d.profiles, func(o *installed) bool { return o == i })
	d.accounts = slices.DeleteFunc(d.accounts, func(a *account) bool {
		return a.Managed && a.Profile == i.identifier && a.user == i.user
	})
}

// install reads, checks and installs a profile that does not begin management.
func (d *Apple) install(ctx context.Context, b []byte, user, managed bool) error {
	p, err := reader{kind: d.hw.kind, user: user, roots: d.roots(), now: time.Now()}.read(b)
	if err != nil {
		return err
	}
	m := d.managed()
	if m != nil && !user && (p.identifier == m.profile || p.find("com.apple.mdm") != nil) {
		return d.updateManagement(ctx, m, p, managed)
	}
	if p.find("com.apple.mdm") != nil {
		return notInstalled(refuse(domainInstall, 4023, "A management payload is not accepted here."))
	}
	ids, err := d.identities(ctx, p)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if ref := d.collisions(p, user); ref != nil {
		return notInstalled(ref)
	}
	d.put(&installed{profile: p, user: user, managed: managed, ids: ids})
	return nil
}
