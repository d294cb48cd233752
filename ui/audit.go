package ui

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// auditLog is what the audit pages ask of the domain.
type auditLog interface {
	Audit(ctx context.Context, a fleet.Actor, q fleet.AuditQuery) (fleet.List[*fleet.AuditRecord], error)
	ExportAudit(ctx context.Context, a fleet.Actor, q fleet.AuditQuery, w interface{ Write([]byte) (int, error) }) error
	DeviceOfEnrolment(ctx context.Context, a fleet.Actor, id fleet.EnrolmentID) (*fleet.Enrolment, *fleet.Device, error)
	VerifyAudit(ctx context.Context, a fleet.Actor) (broken uint64, checked int, err error)
}

func (u *UI) auditRoutes() {
	u.admin("GET /audit", u.audit)
	u.admin("POST /audit/verify", u.verifyAudit)
	u.admin("POST /audit/export", u.exportAudit)
}

type auditPage struct {
	Form   Form
	Rows   []auditRow
	Pager  Pager
	Empty  Empty
	Verbs  []Option
	Object string // shown as a chip
	Actor  string
	Export bool
	Hidden map[string]string // the filter, for the export
}

// auditRow is one entry in a sentence; Changes are its details.
type auditRow struct {
	Seq      uint64
	At       time.Time
	Who      string
	WhoLink  string // narrows the log to that actor
	From     string
	Text     string
	Icon     string
	Kind     Kind
	Object   string
	Link     string // the thing's page, "" where there is none
	LinkWord string
	Changes  []auditChange
	Changed  bool // both sides are known
}

type auditChange struct {
	Field         string
	Before, After []auditBit
}

// auditQuery reads the filter of a form or an address. Days are whole: "until" includes its day.
func (q *Request) auditQuery(form Form) fleet.AuditQuery {
	day := func(name string, add int) time.Time {
		t, err := time.ParseInLocation(time.DateOnly, form.Value(name), time.Local)
		if err != nil {
			return time.Time{}
		}
		return t.AddDate(0, 0, add)
	}
	return fleet.AuditQuery{ListQuery: fleet.ListQuery{Search: form.Value("q"), Cursor: form.Value("cursor")}, Object: form.Value("object"),
		Actor: form.Value("actor"), Verb: form.Value("verb"), Since: day("since", 0), Until: day("until", 1)}
}

func (u *UI) audit(q *Request) error {
	form := Form{Values: q.URL.Query()}
	query := q.auditQuery(form)
	list, err := u.fleet.Audit(q.Context(), q.Actor, query)
	if err != nil {
		return err
	}
	page := auditPage{Form: form, Object: query.Object, Actor: query.Actor, Export: q.Actor.May(fleet.AuditExport), Hidden: map[string]string{}}
	for _, name := range []string{"q", "object", "actor", "verb", "since", "until"} {
		if v := form.Value(name); v != "" {
			page.Hidden[name] = v
		}
	}
	for _, v := range fleet.AuditVerbs() {
		page.Verbs = append(page.Verbs, Option{Value: v, Word: q.T("audit.verb." + v)})
	}
	slices.SortFunc(page.Verbs, func(a, b Option) int { return strings.Compare(strings.ToLower(a.Word), strings.ToLower(b.Word)) })
	names := q.auditNames()
	for _, r := range list.Items {
		row := q.auditRow(r, names)
		page.Rows = append(page.Rows, row)
		if query.Actor != "" && r.Actor == query.Actor {
			page.Actor = row.Who
		}
		if query.Object != "" && r.Label != "" {
			page.Object = r.Label
		}
	}
	page.Pager = q.morePages(list.Next, q.Words.N("audit.count", len(page.Rows), nil))
	page.Empty = Empty{Icon: "search", Title: q.T("audit.none.title"), Text: q.T("audit.none.text"), Actions: []Button{{Href: "/audit", Word: q.T("list.all")}}}
	if len(page.Hidden) == 0 {
		page.Empty = Empty{Icon: "audit", Title: q.T("audit.empty.title"), Text: q.T("audit.empty.text")}
	}
	return q.Page("app/audit", Page{Title: q.T("audit.title"), Data: page})
}

// auditIcons are for what stands out; the rest gets the sign of its object.
var auditIcons = map[string]struct {
	icon string
	kind Kind
}{
	"sign-in-failed": {"warning", Warn}, "refuse-enrolment": {"ban", Warn}, "warn": {"warning", Warn},
	"wipe": {"wipe", Bad}, "retire": {"retire", Warn}, "delete": {"trash", Bad}, "revoke": {"ban", Warn},
	"lock": {"lock", Busy}, "clear-passcode": {"unlock", Busy}, "clear-app-data": {"apps", Busy}, "restart": {"power", Busy}, "sync": {"sync", Busy},
	"reveal-pin": {"eye", Warn}, "read-secret": {"key", Mute}, "export": {"download", Busy},
	"sign-in": {"key", Mute}, "sign-out": {"signout", Mute}, "end-session": {"signout", Mute},
	"create": {"plus", Good}, "enrol": {"plus", Good}, "re-enrol": {"plus", Good}, "accept": {"check", Good}, "update": {"edit", Mute}, "assign": {"right", Good},
	"unassign": {"left", Warn}, "members": {"groups", Mute}, "retry": {"sync", Mute}, "call-off": {"close", Mute}, "end-enrolment": {"retire", Mute},
}

// auditPlaces are the pages of things, by the kind in an entry's object.
var auditPlaces = map[string]string{"device": "/devices/", "person": "/people/", "profile": "/profiles/", "group": "/groups/", "admin": "/admins/", "role": "/roles/"}

func (q *Request) auditRow(r *fleet.AuditRecord, names *auditNames) auditRow {
	kind, id, _ := strings.Cut(r.Object, "/")
	what := kind
	if key := "audit.kind." + kind; q.Words.Has(key) {
		what = q.T(key)
	}
	if key := "audit.nameless." + kind; r.Label == "" && q.Words.Has(key) {
		what = q.T(key)
	}
	if r.Label != "" {
		what = q.T("audit.named", "kind", what, "name", r.Label)
	}
	row := auditRow{Seq: r.Seq, At: r.At, Who: r.Name, From: r.From, Object: r.Object, Text: r.Verb + " " + what, Icon: "edit", Kind: Mute, WhoLink: "/audit?actor=" + url.QueryEscape(r.Actor)}
	if row.Who == "" {
		row.Who = r.Actor
	}
	if key := "audit.actor." + string(r.Kind); r.Kind != fleet.ActorAdmin && q.Words.Has(key) {
		row.Who = q.T(key, "name", row.Who)
	}
	if row.Who == "" { // a device that belongs to nobody was set up through a link
		row.Who = q.T("audit.actor.nobody")
	}
	if key := "audit.line." + r.Verb; q.Words.Has(key) {
		row.Text = q.T(key, "what", what)
	}
	if key := "audit.self." + r.Verb; id != "" && id == r.Actor && q.Words.Has(key) {
		row.Text = q.T(key)
	}
	if i, ok := auditIcons[r.Verb]; ok {
		row.Icon, row.Kind = i.icon, i.kind
	}
	if place, ok := auditPlaces[kind]; ok && id != "" && q.ui.serves(place+id) {
		row.Link, row.LinkWord = place+id, capital(q.T("audit.open", "what", what))
	}
	row.Changes, row.Changed = q.auditChanges(r, names)
	return row
}

func (u *UI) verifyAudit(q *Request) error {
	broken, checked, err := u.fleet.VerifyAudit(q.Context(), q.Actor)
	switch {
	case err != nil && broken == 0:
		return err
	case err != nil:
		u.log.Error("audit log cannot be verified", "at", broken, "error", err)
		q.Flash(Bad, "audit.verify.unreadable", "seq", strconv.FormatUint(broken, 10))
	case broken != 0:
		u.log.Error("audit log is broken", "at", broken)
		q.Flash(Bad, "audit.verify.broken", "seq", strconv.FormatUint(broken, 10), "checked", q.Words.Number(int64(checked)))
	default:
		q.Flash(Good, "audit.verify.good", "checked", q.Words.Number(int64(checked)))
	}
	return q.Redirect("/audit")
}

// exportAudit hands out JSON lines. It is a POST, since the export itself is entered in the log.
func (u *UI) exportAudit(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	if !q.Actor.May(fleet.AuditExport) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.AuditExport))
	}
	query := q.auditQuery(form)
	query.Cursor = ""
	h := q.W.Header()
	h.Set("Content-Type", "application/x-ndjson; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="muster-audit-`+u.now().Format(time.DateOnly)+`.jsonl"`)
	out := &startedWriter{w: q.W}
	if err := u.fleet.ExportAudit(q.Context(), q.Actor, query, out); err != nil {
		if !out.started {
			h.Del("Content-Disposition")
			return err
		}
		u.log.Error("audit export ended early", "error", err) // the reader has part of it already
	}
	return nil
}

// startedWriter knows whether anything was written: until then an error can still become a page.
type startedWriter struct {
	w       interface{ Write([]byte) (int, error) }
	started bool
}

func (s *startedWriter) Write(p []byte) (int, error) {
	s.started = true
	return s.w.Write(p)
}
