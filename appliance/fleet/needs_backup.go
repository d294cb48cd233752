package fleet

import (
	"strconv"
	"time"

	"muster/store"
)

// backups looks whether a restore waits to be looked at, whether there is a recovery key, and whether a good backup is recent enough.
func (n *needs) backups(tx store.Tx) error {
	h, err := heldNow(tx)
	if err != nil {
		return err
	}
	if h != nil && n.a.May(DevicesRead) && n.a.AllTags {
		count := 0
		if err := eachLeaving(tx, func(*Device) (bool, error) { count++; return true, nil }); err != nil {
			return err
		}
		n.need(SeverityError, "restored", Why("need.restored", "count", strconv.Itoa(count), "backup", timeText(h.Backup)))
	}
	if !n.a.May(SettingsRead) || !n.a.AllTags {
		return nil
	}
	r, err := readRecovery(tx)
	if err != nil {
		return err
	}
	if r.Name == "" {
		n.need(SeverityWarning, "recovery", Why("need.recovery-missing"))
		return nil
	}
	var newest, good *Backup
	var fetched time.Time
	if err := backups.Each(tx, store.Query{Reverse: true}, func(b *Backup) (bool, error) {
		if newest == nil {
			newest = b
		}
		if good == nil && b.Verified {
			good = b
		}
		if b.Fetched != nil && b.Fetched.After(fetched) {
			fetched = *b.Fetched
		}
		return true, nil
	}); err != nil {
		return err
	}
	since := r.Proved
	if good != nil {
		since = good.Created
	}
	late := n.now.Sub(since)
	switch {
	case late > backupLost:
		n.need(SeverityError, "backup", Why("need.backup-late", "since", timeText(since)))
	case late > backupLate:
		n.need(SeverityWarning, "backup", Why("need.backup-late", "since", timeText(since)))
	case newest != nil && newest.Failed != nil:
		n.need(SeverityWarning, "backup", Reason{Code: "need.backup-failed", DeviceWords: newest.Failed.DeviceWords})
	}
	if good != nil && n.now.Sub(fetched) > backupHere && n.f.backupsBeside != nil && n.f.backupsBeside() {
		n.need(SeverityWarning, "backup", Why("need.backup-same-disk", "place", n.f.backupDir, "days", strconv.Itoa(int(backupHere.Hours()/24))))
	}
	if good != nil && good.Rehearsal != nil {
		n.need(SeverityError, "backup", Reason{Code: "need.rehearsal-failed", DeviceWords: good.Rehearsal.DeviceWords})
	}
	return nil
}

// need adds one whose link its declaration has.
func (n *needs) need(severity, object string, r Reason) {
	x := NewNeed(severity, object, r)
	n.found = append(n.found, x)
}
