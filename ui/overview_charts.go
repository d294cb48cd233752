package ui

import (
	"fmt"
	"sync"
	"time"

	"muster/appliance/fleet"
)

// checkInChart is nil for who does not see all devices: check-ins are counted
// for the whole organisation. A day counts what called on it, also what has left
// the list since.
func (q *Request) checkInChart(counts *fleet.Counts) *BarChart {
	days := counts.CheckIns
	if len(days) == 0 {
		return nil
	}
	c := &BarChart{Title: q.T("overview.checkins"), NameWord: q.T("overview.day"), NWord: q.T("overview.checkins.n"),
		From: q.Words.DayMonth(days[0].Day), To: q.T("overview.today")}
	most, sum := 0, 0
	for _, d := range days {
		most, sum = max(most, d.N), sum+d.N
		c.Bars = append(c.Bars, Bar{Word: q.Words.DayMonth(d.Day), N: d.N, Text: q.Words.Number(int64(d.N))})
	}
	c.TopWord = q.Words.Number(int64(most))
	today := days[len(days)-1].N
	c.Summary = q.Words.N("overview.checkins.today", today, nil)
	if today > counts.Devices {
		c.Summary = q.Words.N("overview.checkins.today.left", today, nil)
	}
	if sum == 0 {
		c.Summary = q.T("overview.checkins.none")
	}
	return c
}

func (q *Request) part(word string, n int, class, href string) Part {
	return Part{Word: word, N: n, Text: q.Words.Number(int64(n)), Class: class, Href: href}
}

func (q *Request) platformChart(c *fleet.Counts) SplitBar {
	b := SplitBar{Title: q.T("overview.platforms"), Empty: q.T("overview.devices.none")}
	for i, p := range []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS, fleet.Windows, fleet.Android} {
		if n := c.ByPlatform[p]; n > 0 {
			b.Parts = append(b.Parts, q.part(q.word("platform", string(p)), n, fmt.Sprintf("c%d", min(i+1, 5)), "/devices?platform="+string(p)))
		}
	}
	b.Summary = q.summary(b.Parts)
	return b
}

func (q *Request) stateChart(c *fleet.Counts) SplitBar {
	b := SplitBar{Title: q.T("overview.states"), Empty: q.T("overview.devices.none")}
	for _, s := range deviceStates() {
		if n := c.ByState[s]; n > 0 {
			b.Parts = append(b.Parts, q.part(q.word("state", string(s)), n, "c-"+string(q.deviceStateStatus(s).Kind), "/devices?state="+string(s)))
		}
	}
	b.Summary = q.summary(b.Parts)
	return b
}

// statusChart shows how far profiles are on all devices together.
func (q *Request) statusChart(c *fleet.Counts) *SplitBar {
	if !q.Actor.May(fleet.ProfilesRead) {
		return nil
	}
	b := &SplitBar{Title: q.T("overview.profiles"), Empty: q.T("overview.profiles.none")}
	for _, s := range deliveryStatuses() {
		if n := c.Statuses[s]; n > 0 {
			b.Parts = append(b.Parts, q.part(q.word("status", string(s)), n, "c-"+string(q.deliveryStatus(s).Kind), "/devices?status="+string(s)))
		}
	}
	b.Summary = q.summary(b.Parts)
	return b
}

// summary says a split bar in words.
func (q *Request) summary(parts []Part) string {
	var list []string
	for _, p := range parts {
		list = append(list, p.Word+" "+p.Text)
	}
	return q.Words.List(list)
}

const (
	expiryMonths = 13   // the present month and the next twelve
	expiryMost   = 4000 // certificates that the chart looks at
)

// expiries keeps the last count of certificates by the month of their end.
type expiries struct {
	mu    sync.Mutex
	at    time.Time
	month [expiryMonths]int
	more  bool // there are more than the chart looked at
}

// expiryChart counts valid certificates by the month of their end. It is for who
// sees all of them; nil for everyone else.
func (q *Request) expiryChart() (*BarChart, error) {
	if !q.Actor.May(fleet.CertsRead) || !q.Actor.AllTags {
		return nil, nil
	}
	now := q.ui.now().UTC()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	e := &q.ui.expiries
	e.mu.Lock()
	defer e.mu.Unlock()
	if age := now.Sub(e.at); age < 0 || age >= expiryFresh {
		if err := q.countExpiries(e, first); err != nil {
			return nil, err
		}
		e.at = now
	}
	c := &BarChart{Title: q.T("overview.expiry"), NameWord: q.T("overview.month"), NWord: q.T("overview.expiry.n")}
	sum, most := 0, 0
	for i, n := range e.month {
		sum, most = sum+n, max(most, n)
		month := first.AddDate(0, i, 0)
		c.Bars = append(c.Bars, Bar{Word: q.monthWord(month), N: n, Text: q.Words.Number(int64(n))})
	}
	c.From, c.To = c.Bars[0].Word, c.Bars[len(c.Bars)-1].Word
	c.TopWord = q.Words.Number(int64(most))
	c.Summary = q.Words.N("overview.expiry.sum", sum, nil)
	switch {
	case e.more:
		c.Summary = q.T("overview.expiry.first", "most", expiryMost)
	case sum == 0:
		c.Summary = q.T("overview.expiry.none")
	}
	return c, nil
}

func (q *Request) monthWord(t time.Time) string {
	return fmt.Sprintf("%s %d", q.T(fmt.Sprintf("time.month_short.%d", int(t.Month()))), t.Year())
}

func (q *Request) countExpiries(e *expiries, first time.Time) error {
	e.month, e.more = [expiryMonths]int{}, false
	list := fleet.ListQuery{Limit: 500}
	filter := fleet.CertificateFilter{State: fleet.CertificateLive, ExpiresBefore: first.AddDate(0, expiryMonths, 0)}
	for seen := 0; ; {
		page, err := q.ui.fleet.Certificates(q.Context(), q.Actor, filter, list)
		if err != nil {
			return err
		}
		for _, c := range page.Items {
			end := c.NotAfter.UTC()
			if i := (end.Year()-first.Year())*12 + int(end.Month()) - int(first.Month()); i >= 0 && i < expiryMonths {
				e.month[i]++
			}
		}
		seen += max(len(page.Items), 1)
		if list.Cursor = page.Next; list.Cursor == "" {
			return nil
		}
		if seen >= expiryMost {
			e.more = true
			return nil
		}
	}
}

// deviceStates in the order in which lists show them.
func deviceStates() []fleet.State {
	return []fleet.State{fleet.Managed, fleet.Enrolling, fleet.Retiring, fleet.Wiping, fleet.Retired, fleet.Wiped, fleet.Left, fleet.Closed}
}

// deliveryStatuses in the order in which lists show them.
func deliveryStatuses() []fleet.ProfileStatusCode {
	return []fleet.ProfileStatusCode{fleet.StatusSucceeded, fleet.StatusPending, fleet.StatusRemoving, fleet.StatusWaitsPerson, fleet.StatusConflict, fleet.StatusError, fleet.StatusNotApplicable}
}
