package fleet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/pki"
	"muster/store"
)

// plainModule is a platform that takes everything but passcodes on personal Macs.
type plainModule struct{}

var _ Module = plainModule{}

func (plainModule) Platforms() []Platform { return []Platform{IOS, IPadOS, MacOS} }
func (plainModule) Applies(p *Profile, t Target) (bool, Reason) {
	if p.Type == TypePasscode && t.Platform == MacOS && t.Ownership == Personal {
		return false, Why("plain.no-passcode")
	}
	return true, Reason{}
}
func (plainModule) Compose(_ *Device, wanted []*Profile) []Unit {
	var out []Unit
	for _, p := range wanted {
		out = append(out, Unit{Key: string(p.ID), Profiles: []ProfileID{p.ID}})
	}
	return out
}
func (plainModule) Marker(u Unit) string                             { return u.Version }
func (plainModule) Choices(*Device, map[FactKey]Fact) []ActionChoice { return nil }
func (plainModule) Once(ActionType) bool                             { return false }
func (plainModule) Lifetime(ActionType) time.Duration                { return 0 }
func (plainModule) Queries(*Device) []QueryKind                      { return nil }
func (plainModule) FactsOf(QueryKind, *Device) []FactKey             { return nil }
func (plainModule) Removal(*Device, ActionType) []RemovalRow         { return nil }

// profWorld is a fleet over a real store, and an administrator who sees all.
type profWorld struct {
	*Fleet
	t     testing.TB
	db    *store.DB
	ca    *pki.Authority
	admin Actor
	n     int
}

func newProfWorld(t testing.TB) *profWorld {
	t.Helper()
	secret := make([]byte, 32)
	db, err := store.Open(t.TempDir(), store.Options{Key: secret, SecretsKey: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ca, err := pki.Open(context.Background(), db, pki.Config{Organisation: "Example", BaseURL: "http://localhost"})
	if err != nil {
		t.Fatal(err)
	}
	w := &profWorld{t: t, db: db, ca: ca, admin: Actor{Kind: ActorAdmin, ID: "admin", Permissions: allPermissions(), AllTags: true}}
	w.restart()
	return w
}

// restart makes a new Fleet over the same store, as after a crash: all that was in memory is gone.
func (w *profWorld) restart() {
	f, err := New(Config{DB: w.db, PKI: w.ca})
	if err != nil {
		w.t.Fatal(err)
	}
	f.Use(plainModule{}, nil)
	w.Fleet = f
}

func (w *profWorld) scoped(tags ...Tag) Actor {
	return Actor{Kind: ActorAdmin, ID: "scoped", Permissions: allPermissions(), Tags: tags}
}

func (w *profWorld) person(name string, tags ...Tag) *Person {
	w.t.Helper()
	mail := strings.ToLower(name) + "@example.org"
	p, err := w.CreatePerson(context.Background(), w.admin, PersonInput{Name: &name, Mail: &mail, Tags: &tags})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// device is one that can be reached.
func (w *profWorld) device(owner *Person, pl Platform, own Ownership, tags ...Tag) *Device {
	w.t.Helper()
	w.n++
	id := store.NewID()
	d := &Device{ID: DeviceID(id), Enrolment: EnrolmentID("en" + id), Hardware: "hw" + id, Name: "Device " + strconv.Itoa(w.n), Platform: pl, Mode: ModeDevice,
		Ownership: own, State: Managed, Channels: []Channel{DeviceChannel}, Tags: tags, Version: 1}
	if owner != nil {
		d.Person = owner.ID
	}
	w.write(func(tx store.Tx) error {
		if err := devices.Put(tx, d); err != nil {
			return err
		}
		return wakes.Put(tx, &Wake{ID: wakeID(d.ID, DeviceChannel), Device: d.ID, Channel: DeviceChannel})
	})
	return d
}

func (w *profWorld) group(k GroupKind, rule *Rule, members ...string) *Group {
	w.t.Helper()
	w.n++
	name := "Group " + strconv.Itoa(w.n)
	g, err := w.CreateGroup(context.Background(), w.admin, GroupInput{Name: &name, Kind: k, Rule: rule})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(members) > 0 {
		if err := w.SetMembers(context.Background(), w.admin, g.ID, members, nil); err != nil {
			w.t.Fatal(err)
		}
	}
	return g
}

func (w *profWorld) profile(t ProfileType, settings Values, platforms ...Platform) *Profile {
	w.t.Helper()
	p, err := w.CreateProfile(context.Background(), w.admin, w.input(t, settings, platforms...))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *profWorld) input(t ProfileType, settings Values, platforms ...Platform) ProfileInput {
	w.n++
	name := string(t) + " " + strconv.Itoa(w.n)
	in := ProfileInput{Type: t, Name: &name, Settings: encode(w.t, settings)}
	if len(platforms) > 0 {
		in.Platforms = &platforms
	}
	return in
}

func encode(t testing.TB, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w *profWorld) assign(p *Profile, to ...Assignment) {
	w.t.Helper()
	if err := w.Assign(context.Background(), w.admin, p.ID, to, false); err != nil {
		w.t.Fatal(err)
	}
}

func (w *profWorld) write(fn func(store.Tx) error) {
	w.t.Helper()
	if err := w.db.Update(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *profWorld) read(fn func(store.Tx) error) {
	w.t.Helper()
	if err := w.db.View(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// drain runs the fan-out until nothing is left.
func (w *profWorld) drain() {
	w.t.Helper()
	for {
		more, err := w.fanOutStep(context.Background(), fanBatch)
		if err != nil {
			w.t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

// asked are the devices that have an open wake; it closes them.
func (w *profWorld) asked() map[DeviceID]bool {
	w.t.Helper()
	out := map[DeviceID]bool{}
	w.write(func(tx store.Tx) error {
		clear(out)
		return wakes.Each(tx, store.Query{}, func(k *Wake) (bool, error) {
			if !k.Open {
				return true, nil
			}
			out[k.Device] = true
			k.Open, k.Due = false, time.Time{}
			return true, wakes.Put(tx, k)
		})
	})
	return out
}

// wants is what a device is wanted, and what it is not with status and code, by profile name.
func (w *profWorld) wants(d *Device) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	w.read(func(tx store.Tx) error {
		now, err := devices.Get(tx, string(d.ID))
		if err != nil {
			return err
		}
		p, err := personOf(tx, now)
		if err != nil {
			return err
		}
		list, unfit, err := w.wanted(tx, now, p)
		if err != nil {
			return err
		}
		c, err := w.config(tx)
		if err != nil {
			return err
		}
		for i, pr := range list {
			out[pr.Name] = "wanted at " + strconv.Itoa(i)
		}
		for _, u := range unfit {
			out[c.name(u.Profile)] = string(u.Status) + " " + u.Reason.Code + " " + u.Reason.Args["other"] + u.Reason.Args["missing"]
		}
		return nil
	})
	return out
}

func all(to string) Assignment   { return Assignment{To: to} }
func to(g *Group) Assignment     { return Assignment{To: ToGroup, Group: g.ID} }
func except(g *Group) Assignment { return Assignment{To: ToGroup, Group: g.ID, Exclude: true} }

// exchangeAt are settings of an Exchange account on a host.
func exchangeAt(host string) Values { return Values{"host": host} }

// certificatePEM is a self-signed certificate.
func certificatePEM(t testing.TB, ca bool, ends time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Outside Root"}, NotBefore: ends.Add(-1000 * time.Hour), NotAfter: ends,
		IsCA: ca, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// refusal unwraps a Refusal, nil for any other error.
func refusalOf(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// setDelivery stores a row over the one that is there.
func (w *profWorld) setDelivery(tx store.Tx, d *Device, row ProfileStatus) error {
	old, err := deliveries.Get(tx, deliveryID(d.ID, row.Profile))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	c, err := w.config(tx)
	if err != nil {
		return err
	}
	return w.Fleet.setDelivery(tx, c, d, old, row)
}
