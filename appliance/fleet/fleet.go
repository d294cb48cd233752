package fleet

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"muster/pki"
	"muster/store"
)

// Config holds what a Fleet needs. All but Clock and Logger are required.
type Config struct {
	DB     *store.DB
	PKI    *pki.Authority
	Clock  func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = discarded
	Locked Settings         // settings given as flags; their names stand in Locked.Locked
	TLS    *ServerTLS       // given as flags; nil = the stored settings count

	BackupDir     string      // where backups are written; "" = none can be made
	BackupsBeside func() bool // whether that is on the disk of the data; nil = no
	Version       string      // of the program, for the heads of backups

	GoogleStandIn string // address of what stands in for Google in tests and the demo; "" = none
}

// Fleet is the domain. It is safe for concurrent use.
type Fleet struct {
	db      *store.DB
	pki     *pki.Authority
	now     func() time.Time
	log     *slog.Logger
	locked  Settings
	modules map[Platform]Module
	wakers  map[Platform]pusher
	jobs    JobRunner

	gen     atomic.Uint64          // rises after each commit that can change what is wanted of more than one device
	conf    atomic.Pointer[config] // profiles and assignments as last read, see wanted.go
	packs   atomic.Bool            // identities are sent with their keys: one is made ahead, see packed.go
	fan     bell                   // rung when there is something to fan out
	org     organisation
	planner planner

	tallies            tallies
	backupDir, version string
	backupsBeside      func() bool
	backingUp          sync.Mutex // held by the one backup or rehearsal that runs

	needSources []NeedSource
	tls         TLSKeeper  // nil in tests of the domain alone
	lockedTLS   *ServerTLS // given as flags

	googleStandIn string
}

// New makes a Fleet over an open store. Use adds platforms before anything is served.
func New(c Config) (*Fleet, error) {
	if c.DB == nil || c.PKI == nil {
		return nil, errors.New("fleet: store and pki are required")
	}
	f := &Fleet{db: c.DB, pki: c.PKI, now: c.Clock, log: c.Logger, locked: c.Locked, lockedTLS: c.TLS, backupDir: c.BackupDir, backupsBeside: c.BackupsBeside, version: c.Version, googleStandIn: c.GoogleStandIn,
		modules: map[Platform]Module{}, wakers: map[Platform]pusher{}}
	if f.now == nil {
		f.now = time.Now
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.org.init(f.now)
	f.planner.memos = newMemos()
	return f, nil
}

// pusher is how devices of a platform are woken: platforms of one module share a push service.
type pusher struct {
	waker   Waker
	service Platform // the first that it serves
}

// Use adds a platform package. w may be nil: its devices then call by themselves.
func (f *Fleet) Use(m Module, w Waker) {
	for _, p := range m.Platforms() {
		f.modules[p] = m
		if w != nil {
			f.wakers[p] = pusher{w, m.Platforms()[0]}
		}
	}
}
