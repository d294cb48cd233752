package ui

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"muster/appliance/fleet"
)

// certificateList is what the pages about certificates ask of the domain.
type certificateList interface {
	Certificates(ctx context.Context, a fleet.Actor, fl fleet.CertificateFilter, q fleet.ListQuery) (fleet.List[fleet.CertificateView], error)
	RevokeCertificate(ctx context.Context, a fleet.Actor, serial string) error
	PushCertificate(ctx context.Context) (*fleet.PushCertificate, error)
}

func (u *UI) certificateRoutes() {
	u.admin("GET /certificates", u.certificates)
	u.admin("GET /certificates/calendar", u.certificateCalendar)
	u.admin("GET /certificates/{serial}/revoke", u.askRevokeCertificate)
	u.admin("POST /certificates/{serial}/revoke", u.revokeCertificate)
}

// Purposes of certificates that devices hold, and states in the order of the filter.
const (
	purposeManagement = "management"
	purposeAccess     = "access"
	purposeOwn        = "own" // of Muster itself: signing profiles, handing out certificates, telling what was revoked
)

var certificateStates = []string{fleet.CertificateLive, fleet.CertificateSuperseded, fleet.CertificateRevoked, fleet.CertificateExpired}

// endsWithin are the choices of the filter, in days.
var endsWithin = []int{30, 90, 365}

type certificatesPage struct {
	Tabs   []Tab
	Form   Form
	Rows   []certificateRow
	Pager  Pager
	Empty  Empty
	States []Option
	Within []Option
	Device string // id of the one device that the list is of, "" = all
	Name   string // of that device
	Revoke bool   // the list has a column for revoking
}

type certificateRow struct {
	fleet.CertificateView
	Word, Status string
	Kind         Status
	Link         string // for revoking, "" = not offered
}

func (q *Request) certificateTabs(current string) []Tab {
	return []Tab{
		{Href: "/certificates", Word: q.T("certificates.tab.list"), Current: current == "list", Count: -1},
		{Href: "/certificates/calendar", Word: q.T("certificates.tab.calendar"), Current: current == "calendar", Count: -1},
	}
}

func (u *UI) certificates(q *Request) error {
	form := Form{Values: q.URL.Query()}
	if _, chosen := form.Values["state"]; !chosen {
		form.Values.Set("state", fleet.CertificateLive)
	}
	fl := fleet.CertificateFilter{Device: fleet.DeviceID(form.Value("device")), State: form.Value("state")}
	if fl.State != "" && !slices.Contains(certificateStates, fl.State) {
		fl.State = ""
		form.Values.Set("state", "")
	}
	if days, err := strconv.Atoi(form.Value("within")); err == nil && days > 0 && days <= 3660 {
		fl.ExpiresBefore = u.now().AddDate(0, 0, days)
	} else if fl.Device == "" {
		fl.ExpiresBefore = u.now().AddDate(100, 0, 0) // in the order of their end, not of their numbers
	}
	list, err := u.fleet.Certificates(q.Context(), q.Actor, fl, fleet.ListQuery{Search: form.Value("q"), Cursor: form.Value("cursor")})
	if err != nil {
		return err
	}
	page := certificatesPage{Tabs: q.certificateTabs("list"), Form: form, Device: form.Value("device"), Revoke: q.Actor.May(fleet.CertsRevoke)}
	for _, s := range certificateStates {
		page.States = append(page.States, Option{Value: s, Word: q.word("certificate_state", s)})
	}
	for _, d := range endsWithin {
		page.Within = append(page.Within, Option{Value: strconv.Itoa(d), Word: q.Words.N("certificates.within", d, nil)})
	}
	for _, c := range list.Items {
		if c.Purpose != purposeManagement && c.Purpose != purposeAccess {
			continue // Muster's own stand in the calendar
		}
		page.Rows = append(page.Rows, q.certificateRow(c))
		if page.Device != "" {
			page.Name = c.DeviceName
		}
	}
	page.Pager = q.morePages(list.Next, q.Words.N("certificates.count", len(page.Rows), nil))
	page.Empty = Empty{Icon: "certificate", Title: q.T("certificates.empty.title"), Text: q.T("certificates.empty.text")}
	if form.Value("q") != "" || form.Value("within") != "" || form.Value("state") != fleet.CertificateLive || page.Device != "" {
		page.Empty = Empty{Icon: "search", Title: q.T("certificates.none.title"), Text: q.T("certificates.none.text"),
			Actions: []Button{{Href: "/certificates", Word: q.T("list.all")}}}
	}
	return q.Page("app/certificates", Page{Title: q.T("certificates.title"), Live: true, Data: page})
}

func (q *Request) certificateRow(c fleet.CertificateView) certificateRow {
	row := certificateRow{CertificateView: c, Word: c.Purpose, Kind: Status{Kind: Mute, Word: c.State}}
	if key := "certificates.purpose." + c.Purpose; q.Words.Has(key) {
		row.Word = q.T(key)
	}
	if key := "word.certificate_state." + c.State; q.Words.Has(key) {
		row.Kind.Word = q.T(key)
	}
	switch left := c.NotAfter.Sub(q.ui.now()); {
	case c.State == fleet.CertificateLive && left < 14*24*time.Hour:
		row.Kind.Kind = Warn
	case c.State == fleet.CertificateLive:
		row.Kind.Kind = Good
	case c.State == fleet.CertificateExpired:
		row.Kind.Kind = Bad
	}
	if c.Purpose == purposeAccess && c.State == fleet.CertificateLive && q.Actor.May(fleet.CertsRevoke) {
		row.Link = "/certificates/" + url.PathEscape(c.Serial) + "/revoke"
		if c.Device != "" {
			row.Link += "?device=" + url.QueryEscape(string(c.Device))
		}
	}
	return row
}

// morePages is the foot of a list: the next page keeps the filters of this one.
func (q *Request) morePages(next, text string) Pager {
	p := Pager{Text: text}
	values := q.URL.Query()
	if values.Get("cursor") != "" {
		values.Del("cursor")
		p.First = q.URL.Path + "?" + values.Encode()
	}
	if next != "" {
		values.Set("cursor", next)
		p.Next = q.URL.Path + "?" + values.Encode()
	}
	return p
}

// certificateOf finds one certificate of a list that may take several pages.
func (u *UI) certificateOf(q *Request, serial string) (fleet.CertificateView, error) {
	fl := fleet.CertificateFilter{Device: fleet.DeviceID(q.FormValue("device"))}
	query := fleet.ListQuery{Search: serial, Limit: 500}
	for range 100 {
		list, err := u.fleet.Certificates(q.Context(), q.Actor, fl, query)
		if err != nil {
			return fleet.CertificateView{}, err
		}
		for _, c := range list.Items {
			if c.Serial == serial {
				return c, nil
			}
		}
		if list.Next == "" {
			break
		}
		query.Cursor = list.Next
	}
	return fleet.CertificateView{}, fleet.Refuse(fleet.ErrNotFound, "not-found", "what", "certificate")
}

func (u *UI) askRevokeCertificate(q *Request) error { return u.showRevoke(q, http.StatusOK, Form{}) }

func (u *UI) showRevoke(q *Request, status int, form Form) error {
	if !q.Actor.May(fleet.CertsRevoke) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.CertsRevoke))
	}
	c, err := u.certificateOf(q, q.PathValue("serial"))
	if err != nil {
		return err
	}
	if c.Purpose != purposeAccess {
		return fleet.Refuse(fleet.ErrConflict, "certificate.not-access")
	}
	device := c.DeviceName
	if device == "" {
		device = q.T("certificates.nodevice")
	}
	title := q.T("certificates.revoke.title", "device", device)
	return q.PageStatus(status, "app/confirm", Page{Title: title, Data: Confirm{
		Title: title, Text: q.T("certificates.revoke.text", "subject", c.Subject, "end", q.Words.Date(c.NotAfter)),
		Points:  []string{q.T("certificates.revoke.now"), q.T("certificates.revoke.new"), q.T("certificates.revoke.stays")},
		Warning: q.T("certificates.revoke.warning"), Action: q.URL.Path, Word: q.T("certificates.revoke.word", "device", device),
		Danger: true, Back: "/certificates", Form: form, Hidden: map[string]string{"device": string(c.Device)},
	}})
}

func (u *UI) revokeCertificate(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	if err := u.fleet.RevokeCertificate(q.Context(), q.Actor, q.PathValue("serial")); err != nil {
		if q.Refused(&form, err) {
			return u.showRevoke(q, http.StatusConflict, form)
		}
		return err
	}
	q.Flash(Good, "certificates.revoke.done")
	return q.Redirect("/certificates")
}

// calendarRow is one line of "what ends when": what it is, when it ends, and who does what about it.
type calendarRow struct {
	What, Detail string
	End          time.Time
	Status       Status
	Who, Do      string
	Link, Word   string
}

type calendarPage struct {
	Tabs []Tab
	Rows []calendarRow
}

// certificateCalendar says in plain words what expires when and who must do what (P16).
func (u *UI) certificateCalendar(q *Request) error {
	page := calendarPage{Tabs: q.certificateTabs("calendar")}
	held := map[string]*heldCertificates{purposeManagement: {}, purposeAccess: {}, purposeOwn: {}}
	if err := u.countHeld(q, held); err != nil {
		return err
	}
	if q.Actor.May(fleet.SettingsRead) {
		push, err := u.fleet.PushCertificate(q.Context())
		if err != nil {
			return err
		}
		page.Rows = append(page.Rows, q.pushRow(push))
	}
	sys, err := u.system(q.Context())
	if err != nil {
		return err
	}
	settings, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	for _, c := range sys.Certificates {
		row := calendarRow{What: q.T("calendar." + c.Kind), Detail: c.Subject, End: c.NotAfter, Status: q.endStatus(c.NotAfter, 365)}
		switch {
		case c.Kind == "tls":
			row.What, row.Detail = q.T("calendar.tls.of", "name", c.Subject), ""
			row.Who, row.Do, row.Status = q.T("calendar.who.muster"), q.T(tlsDo(c.Source)), q.endStatus(c.NotAfter, 3)
			if c.Source == string(fleet.TLSFiles) {
				row.Who, row.Status = q.T("calendar.who.server"), q.endStatus(c.NotAfter, 21)
			}
			if q.Actor.May(fleet.SettingsRead) {
				row.Link, row.Word = "/settings/tls", q.T("calendar.tls.open")
			}
		default:
			row.Who, row.Do = q.T("calendar.who.nobody"), q.T("calendar.do."+c.Kind)
		}
		page.Rows = append(page.Rows, row)
	}
	days := int(time.Duration(settings.RenewBefore) / (24 * time.Hour))
	for _, purpose := range []string{purposeManagement, purposeAccess, purposeOwn} {
		h := held[purpose]
		if purpose == purposeOwn && h.all == 0 {
			continue
		}
		row := calendarRow{What: q.T("calendar." + purpose), Detail: h.text(q), End: h.first, Status: q.endStatus(h.first, 14),
			Who: q.T("calendar.who.muster"), Link: "/certificates", Word: q.T("calendar.see")}
		switch purpose {
		case purposeManagement:
			row.Do = q.Words.N("calendar.do.management", days, nil)
		case purposeAccess:
			row.Do = q.T("calendar.do.access")
		case purposeOwn:
			row.Do, row.Link = q.T("calendar.do.own"), ""
		}
		if h.all == 0 {
			row.Detail, row.Link = "", ""
		}
		page.Rows = append(page.Rows, row)
	}
	return q.Page("app/certificate-calendar", Page{Title: q.T("certificates.title"), Data: page})
}

// tlsDo is the text that says what to do about the server's certificate from a source.
func tlsDo(source string) string {
	switch fleet.TLSMode(source) {
	case fleet.TLSACME:
		return "calendar.do.acme"
	case fleet.TLSFiles:
		return "calendar.do.files"
	}
	return "calendar.do.tls"
}

// heldCertificates counts those of one purpose that devices hold.
type heldCertificates struct {
	all, soon int
	more      bool // there are more than were counted
	first     time.Time
}

func (h *heldCertificates) text(q *Request) string {
	if h.more {
		return q.T("calendar.held.more", "n", h.all)
	}
	return q.Words.N("calendar.held", h.all, nil)
}

// countHeld walks the valid certificates in the order of their end, 5,000 at most.
func (u *UI) countHeld(q *Request, held map[string]*heldCertificates) error {
	query := fleet.ListQuery{Limit: 500}
	for range 10 {
		list, err := u.fleet.Certificates(q.Context(), q.Actor, fleet.CertificateFilter{State: fleet.CertificateLive, ExpiresBefore: u.now().AddDate(100, 0, 0)}, query)
		if err != nil {
			return err
		}
		for _, c := range list.Items {
			h := held[c.Purpose]
			switch {
			case h == nil && c.Purpose == "tls":
				continue // has a line of its own
			case h == nil:
				h = held[purposeOwn]
			}
			if h.all == 0 {
				h.first = c.NotAfter
			}
			h.all++
		}
		if list.Next == "" {
			return nil
		}
		query.Cursor = list.Next
	}
	for _, h := range held {
		h.more = true
	}
	return nil
}

func (q *Request) pushRow(push *fleet.PushCertificate) calendarRow {
	row := calendarRow{What: q.T("calendar.push"), Link: "/settings/apple", Word: q.T("calendar.push.open")}
	if push == nil {
		row.Status, row.Who, row.Do = Status{Kind: Bad, Word: q.T("calendar.push.missing")}, q.T("calendar.who.you"), q.T("calendar.do.push.first")
		return row
	}
	row.Detail, row.End, row.Status = push.Topic, push.NotAfter, q.endStatus(push.NotAfter, 60)
	row.Who = q.T("calendar.who.account", "account", push.AppleAccount)
	row.Do = q.T("calendar.do.push", "account", push.AppleAccount)
	return row
}

// endStatus says how far away an end is; below warn days it needs someone.
func (q *Request) endStatus(end time.Time, warn int) Status {
	left := int(end.Sub(q.ui.now()) / (24 * time.Hour))
	switch {
	case end.IsZero():
		return Status{Kind: Mute, Word: q.T("calendar.none")}
	case !q.ui.now().Before(end):
		return Status{Kind: Bad, Word: q.T("calendar.over")}
	case left < warn && left < 14:
		return Status{Kind: Bad, Word: q.Words.N("calendar.left", left, nil)}
	case left < warn:
		return Status{Kind: Warn, Word: q.Words.N("calendar.left", left, nil)}
	}
	if left > 2*365 {
		return Status{Kind: Good, Word: q.Words.Ago(end)}
	}
	return Status{Kind: Good, Word: q.Words.N("calendar.left", left, nil)}
}
