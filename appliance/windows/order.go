package windows

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/appliance/fleet"
	"muster/store"
)

// unrenderable says why an order cannot be put into commands.
type unrenderable struct {
	outcome fleet.Outcome
	reason  fleet.Reason
	cause   error
	unfit   bool // this edition or version has no such thing
}

func (u *unrenderable) Error() string {
	if u.cause != nil {
		return fmt.Sprintf("%s: %v", u.reason.Code, u.cause)
	}
	return u.reason.Code
}

func (u *unrenderable) Unwrap() error { return u.cause }

// ours is an unrenderable order by our own fault: repeating it unchanged would not help.
func ours(cause error) error {
	return &unrenderable{outcome: fleet.Malformed, reason: why(codeRender), cause: cause}
}

// alive is asked where a list is wanted of which nothing was delivered: the answer proves that the device was there.
const alive = "./Device/Vendor/MSFT/DMClient/Provider/" + providerID + "/EntDMID"

// jobFor puts an order into commands. What is delivered is written into the ledger before a byte of it leaves.
func (w *Windows) jobFor(ctx context.Context, t *turn, ch fleet.Channel, o *fleet.Order) (*job, error) {
	j := &job{Order: o.ID, Channel: ch, Step: o.Step.Kind, Query: o.Step.Query, Facts: o.Facts}
	var err error
	switch o.Step.Kind {
	case fleet.StepInstall:
		err = w.install(ctx, j, o)
	case fleet.StepRemove:
		err = w.remove(ctx, j, o)
	case fleet.StepQuery:
		err = w.query(ctx, t, j, o)
	case fleet.StepAction:
		var c command
		c, err = actionFor(o)
		j.Batches = one(c)
	case fleet.StepRenew:
		j.Batches = one(set(verbExec, "./Device/Vendor/MSFT/CertificateStore/MY/WSTEP/Renew/RenewNow", "null", ""))
	case fleet.StepUnenrol:
		j.Batches = one(set(verbExec, "./Device/Vendor/MSFT/DMClient/Provider/"+providerID+"/Unenroll", "chr", providerID))
	default:
		err = ours(fmt.Errorf("step %q", o.Step.Kind))
	}
	if err != nil {
		return nil, err
	}
	j.Batches = slices.DeleteFunc(j.Batches, func(b batch) bool { return len(b.Commands) == 0 })
	if len(j.Batches) == 0 {
		j.Batches = one(get(alive))
	}
	return j, nil
}

func one(list ...command) []batch { return []batch{{Commands: list}} }

// rendered is a unit as commands, with what the ledger keeps of it.
type rendered struct {
	batches []batch
	checks  []check
	nodes   []string
	scep    string
	msi     *msiJob
	sent    bool // part of it cannot be read back
	late    bool // what is stale is deleted only once the new version is proved
}

// install renders a unit and notes it in the ledger.
func (w *Windows) install(ctx context.Context, j *job, o *fleet.Order) error {
	u := o.Step.Unit
	if u == nil {
		return ours(errors.New("installation without a unit"))
	}
	s, err := w.fleet.Settings(ctx)
	if err != nil {
		return err
	}
	r, err := (&rendering{order: o, root: w.pki.Root(), issuers: []*x509.Certificate{w.pki.Issuing(), w.pki.Root()}, scepURL: deviceURL(s) + scepPath}).unit()
	if cannot := (*unrenderable)(nil); errors.As(err, &cannot) {
		return err
	}
	if err != nil {
		return ours(err)
	}
	j.Unit = u.Key
	return w.db.Update(ctx, func(tx store.Tx) error {
		old, err := ledger.Get(tx, string(o.Device.Enrolment)+"/"+u.Key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		d := &delivery{Enrolment: o.Device.Enrolment, Unit: u.Key, Channel: u.Channel, Version: u.Version, Checks: r.checks, Nodes: r.nodes, At: w.now().UTC(), SCEP: r.scep, MSI: r.msi, Sent: r.sent}
		d.after(old)
		j.Batches = r.batches
		if !r.late {
			var stale batch
			for _, n := range d.Stale {
				stale.Commands = append(stale.Commands, del(n))
			}
			// Before what is new: two accounts for one mailbox do not get on.
			j.Batches = shift(stale, r.batches)
		}
		return ledger.Put(tx, d)
	})
}

// shift puts a batch before others, whose conditions move with them.
func shift(first batch, rest []batch) []batch {
	if len(first.Commands) == 0 {
		return rest
	}
	out := []batch{first}
	for _, b := range rest {
		if b.If != nil {
			c := *b.If
			c.Batch++
			b.If = &c
		}
		out = append(out, b)
	}
	return out
}

// remove deletes the nodes of a unit, also those of versions before it. The ledger keeps it until it was seen to be gone.
func (w *Windows) remove(ctx context.Context, j *job, o *fleet.Order) error {
	u := o.Step.Unit
	if u == nil {
		return ours(errors.New("removal without a unit"))
	}
	j.Unit = u.Key
	return w.db.Update(ctx, func(tx store.Tx) error {
		d, err := ledger.Get(tx, string(o.Device.Enrolment)+"/"+u.Key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for b := d.Before; b != nil; b = b.Before {
			for _, n := range slices.Concat(b.Nodes, b.Stale) {
				if !slices.Contains(d.Nodes, n) && !slices.Contains(d.Stale, n) {
					d.Stale = append(d.Stale, n)
				}
			}
		}
		var list []command
		for _, n := range slices.Concat(d.Nodes, d.Stale) {
			list = append(list, del(n))
		}
		j.Batches = one(list...)
		d.Removed, d.Before = true, nil
		return ledger.Put(tx, d)
	})
}

// query asks for facts, or reads back what the ledger says was delivered.
func (w *Windows) query(ctx context.Context, t *turn, j *job, o *fleet.Order) error {
	switch o.Step.Query {
	case fleet.QueryDevice, fleet.QuerySecurity:
		j.Batches = one(factGets(o.Step.Query, o.Facts)...)
		return nil
	case fleet.QueryProfiles, fleet.QueryCertificates:
	default:
		return ours(fmt.Errorf("query %q", o.Step.Query))
	}
	var list []*delivery
	if err := w.db.View(ctx, func(tx store.Tx) (err error) {
		list, err = ledgerOf(tx, t.c.Identity.Enrolment)
		return err
	}); err != nil {
		return err
	}
	var gets []command
	ask := func(c command) {
		if !slices.ContainsFunc(gets, func(x command) bool { return x.URI == c.URI }) {
			gets = append(gets, c)
		}
	}
	for _, d := range list {
		switch {
		case o.Step.Query == fleet.QueryCertificates:
			for _, id := range d.identities() {
				ask(get(certificateAt(id)))
			}
		case d.Channel == kindOf(j.Channel):
			for _, c := range d.reads() {
				ask(c)
			}
		}
	}
	if !t.person() && slices.ContainsFunc(gets, func(c command) bool { return strings.HasPrefix(c.URI, "./User/") }) {
		return &unrenderable{outcome: fleet.Postponed, reason: why(codeNotSignedIn)}
	}
	j.Batches = one(gets...)
	return nil
}

// reads are the Gets that read a delivery back.
func (d *delivery) reads() []command {
	var out []command
	if d.SCEP != "" {
		out = append(out, get(d.SCEP+"/Status"), get(d.SCEP+"/ErrorCode"))
	}
	if d.MSI != nil {
		out = append(out, d.MSI.reads()...)
	}
	for _, c := range d.Checks {
		out = append(out, get(c.URI))
	}
	return out
}

// identities are the base nodes of the identity certificates of a delivery, earlier ones that may still be there included.
func (d *delivery) identities() []string {
	var out []string
	for _, n := range slices.Concat(d.Nodes, d.Stale) {
		if strings.Contains(n, "/ClientCertificateInstall/") {
			out = append(out, n)
		}
	}
	return out
}

// certificateAt is where the thumbprint of an identity certificate is read.
func certificateAt(base string) string {
	if strings.HasPrefix(base, pfxNode) {
		return base + "/Thumbprint"
	}
	return base + "/CertThumbprint"
}

// kindOf is what a unit's Channel says for a channel.
func kindOf(ch fleet.Channel) fleet.Channel {
	if ch == personChannel {
		return userUnits
	}
	return ch
}
