package ui

import (
	"regexp"

	"muster/appliance/fleet"
)

// auditBit is a piece of a value: a text, or the name of a thing with the address of its page.
type auditBit struct{ Text, Href string }

// idForm is what an id of the domain looks like (a ULID).
var idForm = regexp.MustCompile(`\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b`)

// auditNames puts names in the place of ids, of things that the reader may see; an id that names none of these stays. It asks for each id
// once. The log itself, and its export, hold the ids.
type auditNames struct {
	q     *Request
	known map[string]auditBit
}

func (q *Request) auditNames() *auditNames { return &auditNames{q: q, known: map[string]auditBit{}} }

// bits cuts a value at the ids in it.
func (n *auditNames) bits(value string) []auditBit {
	var out []auditBit
	rest := 0
	for _, at := range idForm.FindAllStringIndex(value, -1) {
		if at[0] > rest {
			out = append(out, auditBit{Text: value[rest:at[0]]})
		}
		out = append(out, n.name(value[at[0]:at[1]]))
		rest = at[1]
	}
	if rest < len(value) {
		out = append(out, auditBit{Text: value[rest:]})
	}
	return out
}

func (n *auditNames) name(id string) auditBit {
	b, ok := n.known[id]
	if !ok {
		b = n.lookUp(id)
		n.known[id] = b
	}
	return b
}

// lookUp finds what an id names. Ids do not say of which kind they are, and no two things share one.
func (n *auditNames) lookUp(id string) auditBit {
	ctx, a, f := n.q.Context(), n.q.Actor, n.q.ui.fleet
	if p, err := f.Person(ctx, a, fleet.PersonID(id)); err == nil {
		return auditBit{p.Name, "/people/" + id}
	}
	if d, err := f.Device(ctx, a, fleet.DeviceID(id)); err == nil {
		return auditBit{d.Name, "/devices/" + id}
	}
	if p, err := f.Profile(ctx, a, fleet.ProfileID(id)); err == nil {
		return auditBit{p.Name, "/profiles/" + id}
	}
	if g, err := f.Group(ctx, a, fleet.GroupID(id)); err == nil {
		return auditBit{g.Name, "/groups/" + id}
	}
	if m, err := f.Admin(ctx, a, fleet.AdminID(id)); err == nil {
		return auditBit{m.Name, "/admins/" + id}
	}
	if i, err := f.Invitation(ctx, a, fleet.InvitationID(id)); err == nil {
		return n.invitation(i)
	}
	if e, d, err := f.DeviceOfEnrolment(ctx, a, fleet.EnrolmentID(id)); err == nil {
		return auditBit{n.q.T("audit.enrolment-of", "name", d.Name, "day", n.q.Words.Date(e.Created.Local())), "/devices/" + string(d.ID)}
	}
	if r, err := f.StaleRule(ctx, a, fleet.StaleRuleID(id)); err == nil {
		return auditBit{r.Name, "/rules/" + id}
	}
	if r, err := f.Receipt(ctx, a, fleet.ReceiptID(id)); err == nil {
		return auditBit{r.Name, "/receipts/" + id}
	}
	if t, err := f.Terms(ctx); err == nil && t != nil && string(t.ID) == id {
		return auditBit{Text: n.q.T("terms.version", "version", t.Version)}
	}
	return auditBit{Text: id}
}

// invitation names one by whom it invites and the day that it was made, and leads to its person.
func (n *auditNames) invitation(i *fleet.Invitation) auditBit {
	day := n.q.Words.Date(i.Created.Local())
	if i.Person == "" {
		return auditBit{n.q.T("audit.invitation-of-nobody", "day", day), "/invitations"}
	}
	p := n.name(string(i.Person))
	if p.Text == string(i.Person) {
		p.Text = n.q.T("invitation.person-gone")
	}
	return auditBit{n.q.T("audit.invitation-of", "name", p.Text, "day", day), p.Href}
}
