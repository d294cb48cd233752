package ui

import (
	"time"

	"muster/appliance/fleet"
)

func (u *UI) healthRoutes() {
	u.admin("GET /health", u.health)
}

type healthPage struct {
	Head   Head
	Needs  []needRow
	Facts  []FactLine
	Jobs   []jobRow
	Always []alwaysRow
}

type needRow struct {
	Kind       Kind
	Text       string
	Todo       string // what to do; "" = the text says it
	Link, Word string
}

// alwaysRow is something that Muster does by itself, and not at set times.
type alwaysRow struct{ What, When string }

// health shows everything that needs someone, what runs here, and when what runs by itself.
func (u *UI) health(q *Request) error {
	needs, err := u.fleet.Needs(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	settings, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	page := healthPage{Needs: q.needRows(needs)}
	status := Status{Kind: Good, Word: q.T("health.well"), Pill: true}
	for _, n := range page.Needs {
		if n.Kind == Bad {
			status = Status{Kind: Bad, Word: q.T("health.bad"), Pill: true}
			break
		}
		if n.Kind == Warn {
			status = Status{Kind: Warn, Word: q.T("health.warn"), Pill: true}
		}
	}
	page.Head = Head{Title: q.T("health.title"), Sub: q.T("health.sub"), Status: &status}
	if q.Actor.May(fleet.SettingsRead) {
		sys, err := u.system(q.Context())
		if err != nil {
			return err
		}
		page.Facts = u.systemFacts(q, sys, settings)
	}
	if page.Jobs, err = u.jobRows(q); err != nil {
		return err
	}
	page.Always = []alwaysRow{
		{q.T("health.job.wake"), q.T("health.job.wake.when")},
		{q.T("health.job.fanout"), q.T("health.job.fanout.when")},
		{q.T("health.job.facts"), q.T("health.job.facts.when", "every", time.Duration(settings.FactsEvery))},
		{q.T("health.job.renew"), q.Words.N("health.job.renew.when", int(time.Duration(settings.RenewBefore)/(24*time.Hour)), nil)},
		{q.T("health.job.door"), q.Words.N("health.job.door.when", settings.DoorDays, nil)},
	}
	return q.Page("app/health", Page{Title: q.T("health.title"), Live: true, Data: page})
}

// needKind is the colour of a severity.
func needKind(severity string) Kind {
	switch severity {
	case fleet.SeverityError:
		return Bad
	case fleet.SeverityWarning:
		return Warn
	case fleet.SeverityHint:
		return Mute
	}
	return Busy
}

func (q *Request) needRows(needs []fleet.Need) []needRow {
	var out []needRow
	for _, n := range needs {
		row := needRow{Kind: needKind(n.Severity), Text: q.Say(n.Reason)}
		if key := "todo." + n.Reason.Code; q.Words.Has(key) {
			row.Todo = q.T(key)
		}
		if n.Link != "" && n.Link != "/health" {
			row.Link, row.Word = n.Link, q.T("health.look")
			if row.Kind == Bad {
				row.Word = q.T("ui.mend")
			}
		}
		out = append(out, row)
	}
	return out
}

func (u *UI) systemFacts(q *Request, sys System, s *fleet.Settings) []FactLine {
	var out []FactLine
	if sys.Version != "" {
		out = append(out, FactLine{Name: q.T("health.version"), Value: sys.Version, Mono: true})
	}
	if !sys.Started.IsZero() {
		out = append(out, FactLine{Name: q.T("health.started"), Value: q.Words.DateTime(sys.Started), Hint: q.Words.Ago(sys.Started)})
	}
	if sys.StoreBytes > 0 {
		out = append(out, FactLine{Name: q.T("health.store"), Value: q.Words.Bytes(sys.StoreBytes), Hint: q.T("health.store.hint")})
	}
	out = append(out, FactLine{Name: q.T("settings.url"), Value: s.URL}, FactLine{Name: q.T("settings.device_url"), Value: s.DeviceURL})
	for _, c := range sys.Certificates {
		if c.Kind == "tls" {
			hint := q.T(tlsDo(c.Source))
			out = append(out, FactLine{Name: q.T("calendar.tls.of", "name", c.Subject), Value: q.T("health.until", "end", q.Words.Date(c.NotAfter)), Hint: hint})
		}
	}
	return append(out, FactLine{Name: q.T("health.clock"), Value: q.Words.DateTime(u.now()), Hint: q.T("health.clock.hint")})
}
