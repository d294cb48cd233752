package fleet

import (
	"sync/atomic"
	"time"
)

// organisation is what a Fleet keeps in memory for people, groups, settings, the log and sign-in. All of it can be lost.
type organisation struct {
	settings         atomic.Pointer[cachedSettings]
	settingsNow      atomic.Pointer[Settings] // nil = not read yet
	settingsEpoch    atomic.Int64
	rules            atomic.Pointer[cachedRules]
	windowsPush      atomic.Pointer[*WindowsPush] // nil = not read yet
	windowsPushEpoch atomic.Int64
	hub              hub
	limits           limiter
	hashing          hashing
	needs            deviceNeeds
}

func (o *organisation) init(now func() time.Time) {
	o.hub.init()
	o.limits.init(now)
	o.hashing.init()
}

// Keys of single values, beside the collections.
var (
	keySettings  = []byte("org/settings")
	keyRules     = []byte("org/rules") // names the present state of all rule groups
	keyAuditHead = []byte("org/audit-head")
	keySetup     = []byte("org/setup")
	keyOwners    = []byte("org/owners") // guard: read and written by all that may change who is an owner
	keyTerms     = []byte("org/terms")  // id of the terms in force
	keyPush      = []byte("org/push")

	keyWindowsPush = []byte("org/windows-push")
)
