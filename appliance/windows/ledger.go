package windows

import (
	"slices"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// delivery is one unit as it was handed over: which nodes hold it, how it reads back, what is left of versions before it.
type delivery struct {
	Enrolment fleet.EnrolmentID `json:"enrolment"`
	Unit      string            `json:"unit"`
	Channel   fleet.Channel     `json:"channel"`
	Version   string            `json:"version"`
	Checks    []check           `json:"checks,omitempty"`
	Nodes     []string          `json:"nodes,omitempty"` // deleted to remove it
	Stale     []string          `json:"stale,omitempty"` // nodes of earlier versions that may still be there
	At        time.Time         `json:"at"`              // handed over
	Removed   bool              `json:"removed,omitempty"`
	SCEP      string            `json:"scep,omitempty"` // base LocURI of an identity certificate
	MSI       *msiJob           `json:"msi,omitempty"`
	Sent      bool              `json:"sent,omitempty"`   // part of it cannot be read back: the device's answer stands for it
	Before    *delivery         `json:"before,omitempty"` // the version that is there until this one was taken
}

// check is one node with what it must read as.
type check struct {
	URI  string `json:"uri"`
	Want string `json:"want"`
	Kind string `json:"kind,omitempty"` // "b64", "int", "xml", "thumbprint", "pfx"; "" = text
}

func (d *delivery) id() string { return string(d.Enrolment) + "/" + d.Unit }

var ledger = store.Define("xl", (*delivery).id)

func ledgerOf(tx store.Tx, e fleet.EnrolmentID) ([]*delivery, error) {
	var out []*delivery
	err := ledger.Each(tx, store.Query{From: string(e) + "/", To: string(e) + "0"}, func(d *delivery) (bool, error) {
		out = append(out, d)
		return true, nil
	})
	return out, err
}

// after makes d follow old: what old has and d has not is left to be deleted. A version handed over again follows what its first try followed.
func (d *delivery) after(old *delivery) {
	if old == nil {
		return
	}
	if old.Version == d.Version {
		d.Before, d.Stale = old.Before, old.Stale
		return
	}
	for _, n := range slices.Concat(old.Stale, old.Nodes) {
		if !slices.Contains(d.Nodes, n) && !slices.Contains(d.Stale, n) {
			d.Stale = append(d.Stale, n)
		}
	}
	if !old.Removed {
		d.Before = old
		old.Before = nil
	}
}

// back is what is there when d was refused; nil when that is nothing.
func (d *delivery) back() *delivery {
	old := d.Before
	if old == nil {
		return nil
	}
	for _, n := range d.Nodes {
		if !slices.Contains(old.Nodes, n) && !slices.Contains(old.Stale, n) {
			old.Stale = append(old.Stale, n)
		}
	}
	return old
}
