package fleet

import (
	"context"
	"encoding/json"
	"time"

	"muster/store"
)

// auditPruneBatch bounds how many records one transaction takes out.
const auditPruneBatch = 200

// sweepAudit takes the records out that are older than the organisation keeps them (D6); it never takes the newest one. The chain stays provable:
// the sealed end remembers where the kept part begins, and each removal is entered in the log itself, with the last record that went.
func (f *Fleet) sweepAudit(ctx context.Context) error {
	return f.inBatches(ctx, func(tx store.Tx) (bool, error) {
		s, err := f.settings(tx)
		if err != nil || s.AuditDays <= 0 {
			return false, err
		}
		return f.pruneAudit(tx, f.now().Add(-daysOf(s.AuditDays)))
	})
}

// pruneAudit takes out the oldest records of before a time; more says that there may be others.
func (f *Fleet) pruneAudit(tx store.Tx, before time.Time) (more bool, err error) {
	head, err := f.auditHead(tx)
	if err != nil {
		return false, err
	}
	var old []*AuditRecord
	if err := auditLog.Each(tx, store.Query{To: auditID(head.Seq)}, func(r *AuditRecord) (bool, error) {
		if !r.At.Before(before) {
			return false, nil // the chain is in order of time, and only its beginning may go
		}
		old = append(old, r)
		return len(old) < auditPruneBatch, nil
	}); err != nil || len(old) == 0 {
		return false, err
	}
	for _, r := range old {
		if err := auditLog.Delete(tx, auditID(r.Seq)); err != nil {
			return false, err
		}
	}
	last := old[len(old)-1]
	head.Cut, head.CutHash = last.Seq, last.Hash
	if err := f.putAuditHead(tx, head); err != nil {
		return false, err
	}
	return len(old) == auditPruneBatch, f.record(tx, Job("retention"), "delete", "audit", "", nil,
		map[string]any{"first": old[0].Seq, "last": last.Seq, "until": timeText(last.At)}, nil)
}

// putAuditHead seals and writes the end of the chain.
func (f *Fleet) putAuditHead(tx store.Tx, h auditHead) error {
	plain, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return tx.Put(keyAuditHead, f.db.Sealer().Seal("audit-head", "head", plain))
}
