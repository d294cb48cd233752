package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"muster/store"
)

// AuditRecord is one link of the audit chain (D6). Hash = SHA-256 over the record with Hash empty; Previous is the hash
// before it, so that a change or a gap shows.
type AuditRecord struct {
	Seq      uint64          `json:"seq"`
	At       time.Time       `json:"at,omitzero"`
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

// AuditQuery narrows the log. Object, Actor (id or name) and Verb are exact; Search looks for text in label, name, object and verb. The log
// comes newest first; Reverse turns it round.
type AuditQuery struct {
	ListQuery
	Object, Actor, Verb string
	Since, Until        time.Time // [Since, Until)
}

// plan chooses the index, and what is left to check on each record.
func (q *AuditQuery) plan() (store.Query, func(*AuditRecord) bool) {
	sq := store.Query{Reverse: true}
	switch {
	case q.Object != "":
		sq.Index, sq.Value = "object", q.Object
	case q.Actor != "":
		sq.Index, sq.Value = "actor", q.Actor
		if strings.ContainsAny(q.Actor, " @") {
			sq.Value = strings.ToLower(q.Actor)
		}
	case !q.Since.IsZero() || !q.Until.IsZero():
		sq.Index = "time"
		if !q.Since.IsZero() {
			sq.From = auditTime(q.Since)
		}
		if !q.Until.IsZero() {
			sq.To = auditTime(q.Until)
		}
	case q.Verb != "":
		sq.Index, sq.Value = "verb", q.Verb
	}
	search := strings.ToLower(strings.TrimSpace(q.Search))
	return sq, func(r *AuditRecord) bool {
		switch {
		case q.Object != "" && r.Object != q.Object,
			q.Actor != "" && r.Actor != q.Actor && !strings.EqualFold(r.Name, q.Actor),
			q.Verb != "" && r.Verb != q.Verb,
			!q.Since.IsZero() && r.At.Before(q.Since),
			!q.Until.IsZero() && !r.At.Before(q.Until):
			return false
		}
		return search == "" || strings.Contains(strings.ToLower(r.Label+"\n"+r.Name+"\n"+r.Object+"\n"+r.Verb), search)
	}
}

// Audit lists the log within the actor's scope. A page may be short and still have a next one.
func (f *Fleet) Audit(ctx context.Context, a Actor, q AuditQuery) (List[*AuditRecord], error) {
	out := List[*AuditRecord]{Total: -1}
	if err := need(a, AuditRead); err != nil {
		return out, err
	}
	sq, keep := q.plan()
	sq.Reverse, sq.Cursor = !q.Reverse, q.Cursor
	err := f.db.View(ctx, func(tx store.Tx) error {
		var err error
		out.Items, out.Next, err = pageOf(tx, auditLog, sq, pageLimit(q.Limit), func(r *AuditRecord) (bool, error) { return keep(r) && sees(a, r.Tags), nil })
		return err
	})
	return out, err
}

// auditBatch is how many records are read in one transaction while walking the log.
const auditBatch = 500

// walkAudit gives the records of an index to fn, oldest first, over as many transactions as it takes.
func (f *Fleet) walkAudit(ctx context.Context, sq store.Query, fn func(*AuditRecord) (bool, error)) error {
	sq.Reverse, sq.Limit = false, auditBatch
	for {
		var page store.Page[AuditRecord]
		err := f.db.View(ctx, func(tx store.Tx) error {
			var err error
			page, err = auditLog.List(tx, sq)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range page.Items {
			more, err := fn(r)
			if err != nil || !more {
				return err
			}
		}
		if page.Next == "" {
			return ctx.Err()
		}
		sq.Cursor = page.Next
	}
}

// VerifyAudit walks the chain and returns the first broken sequence number, or 0. A record that was changed, taken out, put in or moved
// breaks it, and so does a tail cut off: the sealed end says how far the chain goes.
func (f *Fleet) VerifyAudit(ctx context.Context, a Actor) (broken uint64, checked int, err error) {
	if err := need(a, AuditRead); err != nil {
		return 0, 0, err
	}
	for {
		head, err := f.viewAuditHead(ctx)
		if err != nil {
			return 1, 0, fmt.Errorf("verify audit log: %w", err)
		}
		broken, checked, err = f.verifyAudit(ctx, head)
		if broken == 0 && err == nil {
			return 0, checked, nil
		}
		// Retention may have taken records out while they were walked over.
		after, headErr := f.viewAuditHead(ctx)
		if headErr != nil || after.Cut == head.Cut {
			return broken, checked, err
		}
	}
}

func (f *Fleet) viewAuditHead(ctx context.Context) (head auditHead, err error) {
	err = f.db.View(ctx, func(tx store.Tx) error {
		head, err = f.auditHead(tx)
		return err
	})
	return head, err
}

// verifyAudit walks the chain up to an end.
func (f *Fleet) verifyAudit(ctx context.Context, head auditHead) (broken uint64, checked int, err error) {
	seq, last := head.Cut, head.CutHash // what retention took out cannot be checked any more; what is left hangs on it
	err = f.walkAudit(ctx, store.Query{}, func(r *AuditRecord) (bool, error) {
		if seq == head.Seq { // appended while we walk: its turn comes at the next check, unless it does not belong at all
			return false, nil
		}
		sum, err := hashOf(r)
		if err != nil {
			return false, err
		}
		if r.Seq != seq+1 || !bytes.Equal(r.Previous, last) || !bytes.Equal(r.Hash, sum) {
			broken = seq + 1
			return false, nil
		}
		seq, last = r.Seq, r.Hash
		checked++
		return true, nil
	})
	switch {
	case err != nil:
		return seq + 1, checked, fmt.Errorf("verify audit log: %w", err)
	case broken != 0:
		return broken, checked, nil
	case seq != head.Seq:
		return seq + 1, checked, nil
	case !bytes.Equal(last, head.Hash):
		return seq, checked, nil
	}
	broken, err = f.foreignTail(ctx)
	return broken, checked, err
}

// foreignTail finds a record beyond the sealed end.
func (f *Fleet) foreignTail(ctx context.Context) (seq uint64, err error) {
	err = f.db.View(ctx, func(tx store.Tx) error {
		head, err := f.auditHead(tx)
		if err != nil {
			return err
		}
		return auditLog.Each(tx, store.Query{From: auditID(head.Seq + 1)}, func(*AuditRecord) (bool, error) {
			seq = head.Seq + 1
			return false, nil
		})
	})
	return seq, err
}

// ExportAudit writes JSON lines, oldest first; the export itself is entered in the log.
func (f *Fleet) ExportAudit(ctx context.Context, a Actor, q AuditQuery, w interface{ Write([]byte) (int, error) }) error {
	if err := need(a, AuditExport); err != nil {
		return err
	}
	err := f.db.Update(ctx, func(tx store.Tx) error {
		return f.record(tx, a, "export", "audit", "", nil, nil, map[string]any{"object": q.Object, "actor": q.Actor, "verb": q.Verb,
			"since": timeText(q.Since), "until": timeText(q.Until), "search": clip(q.Search, 200)})
	})
	if err != nil {
		return err
	}
	sq, keep := q.plan()
	return f.walkAudit(ctx, sq, func(r *AuditRecord) (bool, error) {
		if !keep(r) || !sees(a, r.Tags) {
			return true, nil
		}
		line, err := json.Marshal(r)
		if err != nil {
			return false, err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return false, fmt.Errorf("export audit log: %w", err)
		}
		return true, nil
	})
}

// timeText is a time for the log, "" for none.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
