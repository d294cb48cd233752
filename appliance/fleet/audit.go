package fleet

import (
	"context"
	"encoding/json"
	"time"

	"muster/store"
)

// AuditRecord is one link of the audit chain (D6). Hash = SHA-256 over the record with Hash empty; Previous is the hash
// before it, so that a change or a gap shows.
type AuditRecord struct {
	Seq      uint64          `json:"seq"`
	At       time.Time       `json:"at"`
	Kind     ActorKind       `json:"kind"`
	Actor    string          `json:"actor"`
	Name     string          `json:"name"`
	From     string          `json:"from"`
	Via      string          `json:"via"`
	Verb     string          `json:"verb"`   // create, update, delete, assign, unassign, retire, wipe, lock, sign-in, enrol, ...
	Object   string          `json:"object"` // "device/01H...", "profile/..."
	Label    string          `json:"label"`  // the object's name at that time
	Before   json.RawMessage `json:"before,omitempty"`
	After    json.RawMessage `json:"after,omitempty"`
	Tags     []Tag           `json:"tags,omitempty"`
	Previous []byte          `json:"previous"`
	Hash     []byte          `json:"hash"`
}

// record appends to the audit chain in the caller's transaction. before and after are marshalled with secrets left out.
func (f *Fleet) record(tx store.Tx, a Actor, verb, object, label string, tags []Tag, before, after any) error {
	panic("unbuilt")
}

type AuditQuery struct {
	ListQuery
	Object, Actor, Verb string
	Since, Until        time.Time
}

func (f *Fleet) Audit(ctx context.Context, a Actor, q AuditQuery) (List[*AuditRecord], error) {
	panic("unbuilt")
}

// VerifyAudit walks the chain and returns the first broken sequence number, or 0.
func (f *Fleet) VerifyAudit(ctx context.Context, a Actor) (broken uint64, checked int, err error) {
	panic("unbuilt")
}

// ExportAudit writes JSON lines, oldest first.
func (f *Fleet) ExportAudit(ctx context.Context, a Actor, q AuditQuery, w interface{ Write([]byte) (int, error) }) error {
	panic("unbuilt")
}
