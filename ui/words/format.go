package words

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Date writes the day: "20 November 2026", "20 november 2026".
func (p *Printer) Date(t time.Time) string {
	t = t.In(p.loc)
	return fmt.Sprintf("%d %s %d", t.Day(), p.month(t), t.Year())
}

// DateTime writes day and time to the minute: "20 November 2026, 23:45".
func (p *Printer) DateTime(t time.Time) string {
	return p.T("time.datetime", Args{"date": p.Date(t), "time": t.In(p.loc).Format("15:04")})
}

// Clock writes the time of day to the minute: "23:45".
func (p *Printer) Clock(t time.Time) string { return t.In(p.loc).Format("15:04") }

// DayMonth writes the day without its year, short: "20 Nov".
func (p *Printer) DayMonth(t time.Time) string {
	t = t.In(p.loc)
	return fmt.Sprintf("%d %s", t.Day(), p.T("time.month_short."+strconv.Itoa(int(t.Month())), nil))
}

func (p *Printer) month(t time.Time) string {
	return p.T("time.month."+strconv.Itoa(int(t.Month())), nil)
}

// Ago writes t relative to now, in either direction: "just now", "3 hours ago",
// "in 2 days". The zero time is "never".
func (p *Printer) Ago(t time.Time) string {
	if t.IsZero() {
		return p.T("time.never", nil)
	}
	d := p.now().Sub(t)
	direction := "time.ago."
	if d < 0 {
		d, direction = -d, "time.in."
	}
	unit, n := coarse(d)
	if unit == "" {
		return p.T(direction+"now", nil)
	}
	return p.N(direction+unit, n, nil)
}

// coarse gives d in its largest whole unit, rounded; "" below 45 seconds.
func coarse(d time.Duration) (unit string, n int) {
	const day = 24 * time.Hour
	round := func(u time.Duration) int { return int((d + u/2) / u) }
	switch {
	case d < 45*time.Second:
		return "", 0
	case d < 59*time.Minute+30*time.Second:
		return "minutes", max(1, round(time.Minute))
	case d < 23*time.Hour+30*time.Minute:
		return "hours", round(time.Hour)
	case d < 45*day:
		return "days", round(day)
	case d < 345*day:
		return "months", max(1, round(30*day+10*time.Hour))
	}
	return "years", max(1, round(365*day+6*time.Hour))
}

// Duration writes d in its two largest units: "3 hours 5 minutes", "45 seconds".
func (p *Printer) Duration(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	units := []struct {
		key  string
		size time.Duration
	}{
		{"time.unit.days", 24 * time.Hour}, {"time.unit.hours", time.Hour},
		{"time.unit.minutes", time.Minute}, {"time.unit.seconds", time.Second},
	}
	var parts []string
	for i, u := range units {
		n := int(d / u.size)
		if n == 0 && len(parts) == 0 && i < len(units)-1 {
			continue
		}
		if n > 0 || len(parts) == 0 {
			parts = append(parts, p.N(u.key, n, nil))
		}
		d -= time.Duration(n) * u.size
		if len(parts) == 2 || (len(parts) == 1 && n == 0) {
			break
		}
	}
	return strings.Join(parts, " ")
}

// Number writes n with digit groups: "12,345", "12.345".
func (p *Printer) Number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	group := p.T("number.group", nil)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + group + digits[i:]
	}
	return sign + digits
}

// Decimal writes f with the given number of decimals: "1,234.5", "1.234,5".
func (p *Printer) Decimal(f float64, decimals int) string {
	s := strconv.FormatFloat(math.Abs(f), 'f', decimals, 64)
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return s
	}
	out := p.Number(n)
	if fraction != "" {
		out += p.T("number.decimal", nil) + fraction
	}
	if f < 0 && strings.Trim(s, "0.") != "" {
		out = "−" + out
	}
	return out
}

// Percent writes a share between 0 and 1 as a whole percentage: "42%".
func (p *Printer) Percent(share float64) string {
	return p.T("number.percent", Args{"n": p.Decimal(share*100, 0)})
}

// Bytes writes a size in the decimal units that device makers print on the box:
// "128 GB", "1.2 MB".
func (p *Printer) Bytes(n int64) string {
	f, units := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for f >= 999.5 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	places := 0
	if i > 0 && f < 10 {
		places = 1
	}
	return p.Decimal(f, places) + "\u00a0" + units[i]
}

// List joins items as a sentence does: "a, b and c".
func (p *Printer) List(items []string) string {
	switch len(items) {
	case 0:
		return ""
	case 1:
		return items[0]
	}
	last := len(items) - 1
	return p.T("words.and", Args{"first": strings.Join(items[:last], ", "), "last": items[last]})
}

func asTime(v any) (time.Time, bool) {
	switch v := v.(type) {
	case time.Time:
		return v, true
	case *time.Time:
		if v != nil {
			return *v, true
		}
	case string:
		t, err := time.Parse(time.RFC3339, v)
		return t, err == nil
	}
	return time.Time{}, false
}

func asDuration(v any) (time.Duration, bool) {
	switch v := v.(type) {
	case time.Duration:
		return v, true
	case string:
		d, err := time.ParseDuration(v)
		return d, err == nil
	}
	return 0, false
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	return 0, false
}

// decimals gives the places needed to write f, two at most.
func decimals(f float64) int {
	for places := range 2 {
		scale := math.Pow10(places)
		if math.Abs(math.Round(f*scale)-f*scale) < 1e-9 {
			return places
		}
	}
	return 2
}
