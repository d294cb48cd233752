package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"muster/appliance/fleet"
)

// serverTLS is what the page about the address and TLS asks of the domain.
type serverTLS interface {
	ServerTLS(ctx context.Context, a fleet.Actor) (fleet.ServerTLS, []fleet.ServerCertificate, error)
	SaveServerTLS(ctx context.Context, a fleet.Actor, in fleet.ServerTLS) (fleet.ServerTLS, error)
	TryServerTLS(ctx context.Context, a fleet.Actor) error
}

func (u *UI) tlsRoutes() {
	u.admin("GET /settings/tls", u.tls)
	u.admin("POST /settings/tls", u.saveTLS)
	u.admin("POST /settings/tls/try", u.tryTLS)
	u.admin("POST /settings/tls/names", u.addTLSName)
}

type tlsPage struct {
	Tabs      []Tab
	Form      Form
	Edit      bool
	Locked    bool
	EABSet    bool
	KeySet    bool
	Version   int
	Modes     []Option
	Served    []servedRow
	Addresses []FactLine
	Try       bool   // there is an authority to ask
	CutsOff   string // the change must be confirmed, and why
	Host      string // of the public address
	Windows   string // the name that Windows looks for when a person types an address of the administrator's own mail domain; "" = none
	Domain    string // the mail domain in Windows
	Named     bool   // it is among the names
}

// servedRow is the certificate in use for one name.
type servedRow struct {
	fleet.ServerCertificate
	Head, Tail   string // of the name: a narrow screen breaks a long one between them
	SourceWord   string
	Status       Status
	Trouble      string
	Todo         string
	TroubleLevel Kind
}

func (u *UI) tls(q *Request) error {
	s, _, err := u.fleet.ServerTLS(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	return u.showTLS(q, http.StatusOK, tlsForm(s), "")
}

// tlsForm is the form as it stands when nobody has typed anything.
func tlsForm(s fleet.ServerTLS) Form {
	return Form{Values: url.Values{
		"mode": {string(s.Mode)}, "directory": {s.Directory}, "mail": {s.Mail}, "roots": {s.Roots}, "eab_key_id": {s.EABKeyID},
		"cert_file": {s.CertFile}, "key_file": {s.KeyFile}, "names": {strings.Join(s.Names, "\n")}, "version": {strconv.Itoa(s.Version)},
	}}
}

func (u *UI) showTLS(q *Request, status int, form Form, cutsOff string) error {
	s, served, err := u.fleet.ServerTLS(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	settings, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	page := tlsPage{Tabs: q.settingsTabs("tls"), Form: form, Edit: q.Actor.MayWhole(fleet.SettingsEdit), Locked: s.Locked, EABSet: s.EABSet, KeySet: s.KeySet, Version: s.Version, CutsOff: cutsOff, Try: s.Mode == fleet.TLSACME}
	for _, m := range fleet.TLSModes() {
		page.Modes = append(page.Modes, Option{Value: string(m), Word: q.T("tls.mode." + string(m)), Hint: q.T("tls.mode." + string(m) + ".hint")})
	}
	page.Addresses = []FactLine{
		{Name: q.T("settings.url"), Value: settings.URL, Hint: q.T("settings.url.hint")},
		{Name: q.T("settings.device_url"), Value: settings.DeviceURL, Hint: q.T("settings.device_url.hint")},
	}
	if at, err := url.Parse(settings.URL); err == nil {
		page.Host = at.Hostname()
	}
	if page.Windows = windowsLooksFor(q.Admin); page.Windows != "" {
		_, page.Domain, _ = strings.Cut(page.Windows, ".")
		page.Named = page.Windows == page.Host || slices.Contains(s.Names, page.Windows)
	}
	for _, c := range served {
		page.Served = append(page.Served, q.servedRow(c, s.Mode))
	}
	return q.PageStatus(status, "app/settings-tls", Page{Title: q.T("settings.tab.tls"), Live: true, Data: page})
}

// servedRow says how the certificate for one name stands, and what to do about it.
func (q *Request) servedRow(c fleet.ServerCertificate, wanted fleet.TLSMode) servedRow {
	row := servedRow{ServerCertificate: c, Head: c.Name, SourceWord: q.T("tls.source." + string(c.Source))}
	if at := strings.Index(c.Name, "."); c.Further && at > 0 {
		row.Head, row.Tail = c.Name[:at+1], c.Name[at+1:]
	}
	warn := 3
	if c.Source == fleet.TLSFiles {
		warn = 21
	}
	row.Status = q.endStatus(c.NotAfter, warn)
	switch {
	case c.Problem != nil:
		row.Trouble, row.TroubleLevel = q.Say(*c.Problem), Warn
		if c.Source != wanted && !c.Further {
			row.TroubleLevel = Bad
		}
		if key := "todo." + c.Problem.Code; q.Words.Has(key) {
			row.Todo = q.T(key)
		}
	case c.Source != wanted:
		row.Trouble, row.TroubleLevel = q.T("tls.waiting"), Busy
	case !c.Covers:
		row.Trouble, row.Todo, row.TroubleLevel = q.Say(fleet.Why("need.tls-name", "name", c.Name)), q.T("todo.need.tls-name"), Bad
	case !c.Trusted:
		row.Trouble, row.Todo, row.TroubleLevel = q.Say(fleet.Why("need.tls-chain", "name", c.Name)), q.T("todo.need.tls-chain"), Warn
	}
	return row
}

// ownCertificate is what the form says of a certificate that an administrator got himself: its two files uploaded, or their paths on the server.
type ownCertificate struct{ Chain, Key, CertFile, KeyFile string }

func (u *UI) saveTLS(q *Request) error {
	form, err := q.ReadUpload()
	if err != nil {
		return err
	}
	for _, name := range []string{"chain", "key"} {
		if raw, err := q.Uploaded(name); err != nil {
			return err
		} else if len(raw) > 0 {
			form.Values.Set(name, string(raw))
		}
	}
	in := ownCertificate{Chain: form.Value("chain"), Key: form.Value("key"), CertFile: form.Value("cert_file"), KeyFile: form.Value("key_file")}
	form.Values.Del("chain")
	form.Values.Del("key")
	if in == (ownCertificate{}) { // neither given anew: what is kept stays
		kept, _, err := u.fleet.ServerTLS(q.Context(), q.Actor)
		if err != nil {
			return err
		}
		in.Chain = kept.Chain
	}
	version, _ := strconv.Atoi(form.Value("version"))
	_, err = u.fleet.SaveServerTLS(q.Context(), q.Actor, fleet.ServerTLS{
		Mode: fleet.TLSMode(form.Value("mode")), CertFile: in.CertFile, KeyFile: in.KeyFile, Chain: in.Chain, Key: in.Key, Directory: form.Value("directory"),
		Mail: form.Value("mail"), Roots: form.Value("roots"), EABKeyID: form.Value("eab_key_id"), EABKey: form.Value("eab_key"),
		Confirmed: form.Value("confirmed") != "", Names: strings.FieldsFunc(form.Value("names"), betweenNames), Version: version,
	})
	if err != nil {
		var refusal *fleet.Refusal
		if errors.As(err, &refusal) && refusal.Reason.Code == "tls.cuts-off" {
			return u.showTLS(q, http.StatusConflict, form, q.Say(refusal.Reason))
		}
		if q.Refused(&form, err) {
			return u.showTLS(q, http.StatusUnprocessableEntity, form, "")
		}
		return err
	}
	return q.tlsSaved(fleet.TLSMode(form.Value("mode")))
}

// betweenNames separates host names however they are written down.
func betweenNames(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == ';' }

// windowsLooksFor is the host at which a PC looks for its management when a person types nothing but an e-mail address (MS-MDE2), taken for
// an address as the administrator has one.
func windowsLooksFor(admin *fleet.Admin) string {
	if admin == nil {
		return ""
	}
	_, domain, ok := strings.Cut(admin.Mail, "@")
	if !ok {
		return ""
	}
	return "enterpriseenrollment." + strings.ToLower(domain)
}

// addTLSName adds the name that Windows looks for to the settings as they are kept.
func (u *UI) addTLSName(q *Request) error {
	s, _, err := u.fleet.ServerTLS(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	if name := windowsLooksFor(q.Admin); name != "" {
		s.Names = append(s.Names, name)
	}
	if _, err := u.fleet.SaveServerTLS(q.Context(), q.Actor, s); err != nil {
		form := tlsForm(s)
		if q.Refused(&form, err) {
			return u.showTLS(q, http.StatusUnprocessableEntity, form, "")
		}
		return err
	}
	return q.tlsSaved(s.Mode)
}

// tlsSaved leads back to the page, which shows what comes of it.
func (q *Request) tlsSaved(mode fleet.TLSMode) error {
	if mode == fleet.TLSACME {
		q.Flash(Busy, "tls.saved.acme")
	} else {
		q.Flash(Good, "tls.saved")
	}
	return q.Redirect("/settings/tls")
}

func (u *UI) tryTLS(q *Request) error {
	if err := u.fleet.TryServerTLS(q.Context(), q.Actor); err != nil {
		return err
	}
	q.Flash(Busy, "tls.trying")
	return q.Redirect("/settings/tls")
}
