package apple

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

const testTopic = "com.apple.mgmt.External.01234567-89ab-cdef-0123-456789abcdef"

// rig is an Apple over a real store and a real authority, with a domain that the test directs.
type rig struct {
	t     testing.TB
	db    *store.DB
	pki   *pki.Authority
	fleet *fakeFleet
	apple *Apple
	now   time.Time
}

func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	key := make([]byte, 64)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.TempDir(), store.Options{Key: key[:32], SecretsKey: key[32:], Small: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	authority, err := pki.Open(context.Background(), db, pki.Config{Organisation: "Example BV"})
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeFleet{t: t, db: db, pki: authority, devices: map[fleet.DeviceID]*fleet.Device{}, secrets: map[string][]byte{},
		settings: fleet.Settings{Organisation: "Example BV", URL: "https://muster.example.nl", DeviceURL: "https://mdm.example.nl/", SignMessages: true},
		push:     &fleet.PushCertificate{Topic: testTopic}}
	r := &rig{t: t, db: db, pki: authority, fleet: f, now: time.Now()}
	conf := Config{Fleet: f, PKI: authority, DB: db, ServerRoots: func() [][]byte { return [][]byte{authority.Root().Raw} }, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&conf)
	}
	if r.apple, err = New(conf); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.apple.Close)
	return r
}

// identity issues a management identity for an enrolment.
func (r *rig) identity(e fleet.EnrolmentID) tls.Certificate {
	r.t.Helper()
	var p12 []byte
	if err := r.pki.PrepareKey(); err != nil {
		r.t.Fatal(err)
	}
	err := r.db.Update(context.Background(), func(tx store.Tx) error {
		var err error
		p12, _, err = r.pki.IssuePKCS12(tx, managementBinding(e, "", "Example BV"), "secret")
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	key, cert, _, err := pkcs12.DecodeChain(p12, "secret")
	if err != nil {
		r.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key.(crypto.Signer), Leaf: cert}
}

// fakeFleet is a domain whose answers a test lays ready, and which keeps what it was told.
type fakeFleet struct {
	t        testing.TB
	db       *store.DB
	pki      *pki.Authority
	settings fleet.Settings
	push     *fleet.PushCertificate
	pushID   func() (*tls.Certificate, error)

	mu        sync.Mutex
	enrolment *fleet.Enrolment // behind every ticket
	person    *fleet.Person
	devices   map[fleet.DeviceID]*fleet.Device
	ended     map[fleet.EnrolmentID]bool
	unknown   map[fleet.EnrolmentID]bool
	secrets   map[string][]byte
	orders    []*fleet.Order // handed out in turn

	introduced []string // hardware of strangers
	contacts   []fleet.Contact
	answers    []*fleet.Answer
	enrols     []fleet.EnrolInput
	wakes      map[fleet.Channel][]byte
	left       []fleet.DeviceID
	fail       error // of the next Exchange
}

func (f *fakeFleet) Redeem(_ context.Context, ticket string) (*fleet.Enrolment, *fleet.Opened, error) {
	if ticket != "good" {
		return nil, nil, fleet.Refuse(fleet.ErrGone, "ticket.gone")
	}
	return f.enrolment, &fleet.Opened{Person: f.person}, nil
}
func (f *fakeFleet) Settings(context.Context) (*fleet.Settings, error) {
	s := f.settings
	return &s, nil
}
func (f *fakeFleet) PushCertificate(context.Context) (*fleet.PushCertificate, error) {
	if f.pushID == nil {
		return f.push, nil
	}
	c, err := f.pushID()
	if c == nil {
		return nil, err
	}
	topic, notAfter, err := readPushCertificate(c.Certificate[0])
	sum := sha256.Sum256(c.Certificate[0])
	return &fleet.PushCertificate{Topic: topic, NotAfter: notAfter, Fingerprint: hex.EncodeToString(sum[:])}, err
}

func (f *fakeFleet) PushIdentity(context.Context) (*tls.Certificate, error) { return f.pushID() }

func (f *fakeFleet) Device(_ context.Context, _ fleet.Actor, id fleet.DeviceID) (*fleet.Device, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.devices[id]; d != nil {
		return d, nil
	}
	return nil, fleet.ErrNotFound
}

func (f *fakeFleet) Identify(ctx context.Context, cert *x509.Certificate) (*fleet.Identity, error) {
	if !f.pki.Genuine(cert) {
		return nil, fleet.ErrForeign
	}
	sum := sha256.Sum256(cert.Raw)
	id := &fleet.Identity{Fingerprint: hex.EncodeToString(sum[:])}
	err := f.db.View(ctx, func(tx store.Tx) error {
		c, err := f.pki.Certificate(tx, id.Fingerprint)
		if err != nil {
			return fleet.ErrNoRecord
		}
		if !c.RevokedAt.IsZero() {
			return fleet.ErrIdentity
		}
		id.Enrolment, id.Serial = fleet.EnrolmentID(c.Binding.Enrolment), c.Serial
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended[id.Enrolment]:
		return nil, fleet.ErrUnrecognized
	case f.unknown[id.Enrolment]:
		return nil, fleet.ErrNoRecord
	}
	for _, d := range f.devices {
		if d.Enrolment == id.Enrolment {
			id.Device = d.ID
		}
	}
	return id, nil
}

func (f *fakeFleet) Introduce(_ context.Context, _ *x509.Certificate, _ fleet.Platform, hardware string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.introduced = append(f.introduced, hardware)
	return nil
}

func (f *fakeFleet) Enrol(_ context.Context, c fleet.Contact, in fleet.EnrolInput) (*fleet.Device, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := &fleet.Device{ID: fleet.DeviceID("dev-" + string(c.Identity.Enrolment)), Enrolment: c.Identity.Enrolment, Hardware: in.Hardware,
		Platform: in.Platform, Mode: fleet.ModeDevice, Ownership: fleet.Corporate, State: fleet.Enrolling}
	if f.enrolment != nil {
		d.Ownership = f.enrolment.Ownership
	}
	f.devices[d.ID] = d
	f.contacts, f.enrols = append(f.contacts, c), append(f.enrols, in)
	return d, nil
}

func (f *fakeFleet) Reach(_ context.Context, c fleet.Contact, wake []byte) (*fleet.Device, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wakes == nil {
		f.wakes = map[fleet.Channel][]byte{}
	}
	f.wakes[c.Channel] = wake
	return f.devices[c.Identity.Device], nil
}

func (f *fakeFleet) Leave(_ context.Context, c fleet.Contact) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = append(f.left, c.Identity.Device)
	return nil
}

func (f *fakeFleet) KeepSecret(_ context.Context, c fleet.Contact, name string, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if value == nil {
		delete(f.secrets, name)
		return nil
	}
	f.secrets[name] = value
	return nil
}

func (f *fakeFleet) ReadSecret(_ context.Context, c fleet.Contact, name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v, ok := f.secrets[name]; ok {
		return v, nil
	}
	return nil, fleet.ErrNotFound
}

func (f *fakeFleet) Exchange(_ context.Context, c fleet.Contact, ans *fleet.Answer) (*fleet.Order, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail; err != nil {
		f.fail = nil
		return nil, err
	}
	f.contacts = append(f.contacts, c)
	if ans != nil {
		f.answers = append(f.answers, ans)
	}
	if len(f.orders) == 0 {
		return nil, nil
	}
	o := f.orders[0]
	f.orders = f.orders[1:]
	return o, nil
}

// last answer that fleet was given.
func (f *fakeFleet) last() *fleet.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.answers) == 0 {
		return nil
	}
	return f.answers[len(f.answers)-1]
}

var errTest = errors.New("the disk is on fire")

// profileOf makes a profile with settings given as a JSON-able map.
func profileOf(t testing.TB, id string, typ fleet.ProfileType, settings map[string]any) *fleet.Profile {
	t.Helper()
	b, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return &fleet.Profile{ID: fleet.ProfileID(id), Type: typ, Name: "Profile " + id, Version: 1, Settings: b,
		Platforms: []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS}}
}

func deviceOf(p fleet.Platform, o fleet.Ownership) *fleet.Device {
	return &fleet.Device{ID: "01DEVICE", Enrolment: "01ENROLMENT", Hardware: "00008101-000A1B2C3D4E001E", Platform: p, Mode: fleet.ModeDevice,
		Ownership: o, State: fleet.Managed, Person: "01PERSON"}
}

var testPerson = &fleet.Person{ID: "01PERSON", Name: "Anna de Wit", Mail: "anna@example.nl", UPN: "anna@corp.example.nl"}
