package fleet

import (
	"encoding/hex"
	"strings"

	"muster/store"
)

// Collections shared by several files of the package. A collection used by one file only is defined there. Prefixes are two
// letters and never reused.
var (
	people = store.Define("pe", func(p *Person) string { return string(p.ID) },
		store.Index[Person]{Name: "mail", Unique: true, Values: func(p *Person) []string { return nonEmpty(strings.ToLower(p.Mail)) }},
		store.Index[Person]{Name: "upn", Unique: true, Values: func(p *Person) []string { return nonEmpty(strings.ToLower(p.UPN)) }},
		store.Index[Person]{Name: "name", Values: func(p *Person) []string { return []string{strings.ToLower(p.Name)} }},
		store.Index[Person]{Name: "word", Values: func(p *Person) []string { return searchWords(p.Name, p.Mail, p.UPN) }},
	)
	groups = store.Define("gr", func(g *Group) string { return string(g.ID) },
		store.Index[Group]{Name: "name", Unique: true, Values: func(g *Group) []string { return []string{strings.ToLower(g.Name)} }},
	)
	// memberships of static groups: Member is a PersonID or DeviceID.
	memberships = store.Define("gm", func(m *membership) string { return string(m.Group) + "." + m.Member },
		store.Index[membership]{Name: "group", Values: func(m *membership) []string { return []string{string(m.Group)} }},
		store.Index[membership]{Name: "member", Values: func(m *membership) []string { return []string{m.Member} }},
	)
	invitations = store.Define("iv", func(i *Invitation) string { return string(i.ID) },
		store.Index[Invitation]{Name: "code", Unique: true, Values: func(i *Invitation) []string { return nonEmpty(hex.EncodeToString(i.CodeHash)) }},
		store.Index[Invitation]{Name: "person", Values: func(i *Invitation) []string { return nonEmpty(string(i.Person)) }},
	)
	enrolments = store.Define("en", func(e *Enrolment) string { return string(e.ID) },
		store.Index[Enrolment]{Name: "ticket", Unique: true, Values: func(e *Enrolment) []string { return nonEmpty(hex.EncodeToString(e.TicketHash)) }},
		store.Index[Enrolment]{Name: "unbegun", Values: func(e *Enrolment) []string {
			if e.Device != "" || e.Ended != nil {
				return nil
			}
			return []string{sortable(e.TicketEnds)}
		}},
		store.Index[Enrolment]{Name: "service", Values: func(e *Enrolment) []string { return nonEmpty(e.Service) }},
		store.Index[Enrolment]{Name: "device", Values: func(e *Enrolment) []string { return nonEmpty(string(e.Device)) }},
	)
	devices = store.Define("de", func(d *Device) string { return string(d.ID) },
		store.Index[Device]{Name: "hardware", Unique: true, Values: func(d *Device) []string { return nonEmpty(d.Hardware) }},
		store.Index[Device]{Name: "enrolment", Unique: true, Values: func(d *Device) []string { return nonEmpty(string(d.Enrolment)) }},
		store.Index[Device]{Name: "serial", Values: func(d *Device) []string { return nonEmpty(d.Serial) }},
		store.Index[Device]{Name: "person", Values: func(d *Device) []string { return nonEmpty(string(d.Person)) }},
		store.Index[Device]{Name: "state", Values: func(d *Device) []string { return []string{string(d.State)} }},
		store.Index[Device]{Name: "platform", Values: func(d *Device) []string { return []string{string(d.Platform)} }},
		store.Index[Device]{Name: "name", Values: func(d *Device) []string { return []string{strings.ToLower(d.Name)} }},
		store.Index[Device]{Name: "seen", Values: func(d *Device) []string { return []string{d.LastSeen.UTC().Format("200601021504")} }},
		store.Index[Device]{Name: "warned", Values: func(d *Device) []string {
			if d.Warning == nil {
				return nil
			}
			return []string{d.Warning.Code}
		}},
		store.Index[Device]{Name: "word", Values: func(d *Device) []string { return searchWords(d.Name, d.Serial, d.Model) }},
	)
	profiles = store.Define("pr", func(p *Profile) string { return string(p.ID) },
		store.Index[Profile]{Name: "name", Unique: true, Values: func(p *Profile) []string { return []string{strings.ToLower(p.Name)} }},
		store.Index[Profile]{Name: "type", Values: func(p *Profile) []string { return []string{string(p.Type)} }},
	)
	assignments = store.Define("as", func(a *Assignment) string { return string(a.ID) },
		store.Index[Assignment]{Name: "profile", Values: func(a *Assignment) []string { return []string{string(a.Profile)} }},
		store.Index[Assignment]{Name: "group", Values: func(a *Assignment) []string { return nonEmpty(string(a.Group)) }},
	)
	actions = store.Define("ac", func(a *Action) string { return string(a.ID) },
		store.Index[Action]{Name: "device", Values: func(a *Action) []string { return []string{string(a.Device)} }},
		store.Index[Action]{Name: "expires", Values: func(a *Action) []string {
			switch a.State {
			case ActionQueued, ActionSent, ActionAcknowledged:
				if a.Expires != nil {
					return []string{sortable(*a.Expires)}
				}
			}
			return nil
		}},
		store.Index[Action]{Name: "replied", Values: func(a *Action) []string {
			if a.Reply == nil {
				return nil
			}
			return []string{sortable(a.Reply.At)}
		}},
		store.Index[Action]{Name: "open", Values: func(a *Action) []string {
			switch a.State {
			case ActionQueued, ActionSent, ActionAcknowledged:
				return []string{string(a.Device)}
			}
			return nil
		}},
	)
	receipts = store.Define("re", func(r *Receipt) string { return string(r.ID) },
		store.Index[Receipt]{Name: "device", Values: func(r *Receipt) []string { return []string{string(r.Device)} }},
		store.Index[Receipt]{Name: "enrolment", Values: func(r *Receipt) []string { return []string{string(r.Enrolment)} }},
		store.Index[Receipt]{Name: "person", Values: func(r *Receipt) []string { return nonEmpty(string(r.PersonID)) }},
	)
)

type membership struct {
	Group  GroupID `json:"group"`
	Member string  `json:"member"`
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// searchWords are the lower-case words by whose beginnings something is found.
func searchWords(texts ...string) []string {
	var out []string
	seen := map[string]bool{}
	for _, t := range texts {
		t = strings.ToLower(t)
		for _, w := range append(strings.FieldsFunc(t, func(r rune) bool { return strings.ContainsRune(" \t.-_@'\"(),", r) }), t) {
			if w != "" && !seen[w] {
				seen[w] = true
				out = append(out, w)
			}
		}
	}
	return out
}
