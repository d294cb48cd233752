package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// What is known of a device: certificates, facts, apps, and what is never asked.

type certRow struct {
	Subject, Purpose, Serial string
	State                    Status
	NotAfter                 time.Time
	Revoked                  *time.Time
	Evidence                 []evidenceView
}

// factGroup is one category of the register with the facts that are held.
type factGroup struct {
	Key, Title string
	Lines      []factView
}

type factView struct {
	Name  string
	Value any
	Mono  bool
	At    time.Time
	Lack  time.Time // since when it is reported no longer; zero while it is
}

func (q *Request) deviceCertificates(page *devicePage, _ []fleet.ProfileStatus) error {
	if !q.Actor.May(fleet.CertsRead) {
		return nil
	}
	list, err := q.ui.fleet.Certificates(q.Context(), q.Actor, fleet.CertificateFilter{Device: page.Device.ID}, fleet.ListQuery{Limit: 100})
	if err != nil {
		return err
	}
	names := map[fleet.ProfileID]string{}
	for _, p := range page.Profiles {
		names[p.Profile] = p.Name
	}
	for _, c := range list.Items {
		r := certRow{Subject: c.Subject, Serial: c.Serial, NotAfter: c.NotAfter, Revoked: c.RevokedAt, Evidence: q.evidence(c.Evidence), Purpose: q.T("device.cert.management")}
		if c.Profile != "" {
			r.Purpose = q.T("device.cert.access")
			if name := names[c.Profile]; name != "" {
				r.Purpose = q.T("device.cert.for", "profile", name)
			}
		}
		r.State = Status{Word: q.word("certificate_state", c.State), Kind: Mute}
		switch {
		case c.State == fleet.CertificateLive && c.NotAfter.Sub(q.ui.now()) < 30*24*time.Hour:
			r.State.Kind = Warn
		case c.State == fleet.CertificateLive:
			r.State.Kind = Good
		case c.State == fleet.CertificateExpired:
			r.State.Kind = Bad
		}
		page.Certs = append(page.Certs, r)
	}
	slices.SortStableFunc(page.Certs, func(a, b certRow) int { return b.NotAfter.Compare(a.NotAfter) })
	return nil
}

func (q *Request) deviceReceipts(page *devicePage, _ []fleet.ProfileStatus) error {
	list, err := q.ui.fleet.Receipts(q.Context(), q.Actor, page.Device.ID, fleet.ListQuery{Limit: 10})
	if err != nil {
		return err
	}
	for _, r := range list.Items {
		page.Receipts = append(page.Receipts, q.receiptRow(r))
		if s := &page.Standing; s.Link == "" && page.Device.State != fleet.Managed && page.Device.State != fleet.Enrolling {
			s.Link, s.Word = "/receipts/"+string(r.ID), q.T("standing.receipt")
		}
	}
	return nil
}

// deviceKnown groups the facts by category and says what is not collected.
func (q *Request) deviceKnown(page *devicePage, _ []fleet.ProfileStatus) error {
	facts, err := q.ui.fleet.Facts(q.Context(), q.Actor, page.Device.ID)
	if err != nil {
		return err
	}
	at := map[fleet.Category]int{}
	for _, f := range facts {
		d, ok := fleet.DeclarationOf(f.Key)
		if !ok {
			continue
		}
		i, known := at[d.Category]
		if !known {
			i = len(page.Facts)
			at[d.Category] = i
			page.Facts = append(page.Facts, factGroup{Key: string(d.Category), Title: q.T("category." + string(d.Category))})
		}
		page.Facts[i].Lines = append(page.Facts[i].Lines, factView{Name: q.factName(page.Device.Platform, f.Key), Value: q.factValue(d, f.Value), Mono: monoFact(f.Key), At: f.At, Lack: f.Lacked})
	}
	if page.Apps, err = q.ui.fleet.Apps(q.Context(), q.Actor, page.Device.ID); err != nil {
		return err
	}
	slices.SortStableFunc(page.Apps, func(a, b fleet.App) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	gaps, err := q.ui.fleet.FactGaps(q.Context(), q.Actor, page.Device.ID)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		page.Gaps = append(page.Gaps, FactLine{Name: q.factName(page.Device.Platform, g.Key), Value: q.Say(g.Reason)})
	}
	target := page.Device.Target()
	if target.Ownership != fleet.Personal {
		return nil
	}
	for _, key := range fleet.NeverCollected(target) {
		page.Never = append(page.Never, q.T("device."+key))
	}
	for _, d := range fleet.Declarations() {
		if slices.Contains(d.Platforms, target.Platform) && !slices.Contains(d.Ownership, fleet.Personal) {
			page.Kept = append(page.Kept, q.factName(target.Platform, d.Key))
		}
	}
	return nil
}

// factName is a fact's name beside its value; where the general name is a
// question ("Whether there is a passcode") there is a shorter one, and where
// platforms call it by different names there is one for the platform.
func (q *Request) factName(p fleet.Platform, k fleet.FactKey) string {
	key, _ := q.firstWords("device.fact."+string(k)+"."+string(p), "device.fact."+string(k), "fact."+string(k))
	return q.T(key)
}

// personFactName is a fact's name for the person whose device it is about: where the register's own is the language of administrators there
// is a plainer one.
func (q *Request) personFactName(k fleet.FactKey) string {
	key, _ := q.firstWords("enrol.fact."+string(k), "fact."+string(k))
	return q.T(key)
}

// actionText is a text about an action, by key and action; where a platform does something else under that name there is one for the platform.
func (q *Request) actionText(key string, d *fleet.Device, t fleet.ActionType, args ...any) string {
	key += "." + string(t)
	key, _ = q.firstWords(key+"."+string(d.Platform), key)
	return q.T(key, args...)
}

func monoFact(k fleet.FactKey) bool {
	switch k {
	case fleet.FactHardwareID, fleet.FactSerial, fleet.FactEnterpriseID, fleet.FactIMEI, fleet.FactMEID, fleet.FactICCID, fleet.FactWiFiMAC, fleet.FactBluetoothMAC, fleet.FactEthernetMAC, fleet.FactIP, fleet.FactEASID, fleet.FactBuild:
		return true
	}
	return false
}

// factValue writes a stored fact by its kind. What does not fit its kind is
// written as it is.
func (q *Request) factValue(d fleet.FactDeclaration, v any) any {
	kind := d.Kind
	if name, ok := v.(string); ok && d.Key == fleet.FactOS {
		if system := systemWord(fleet.Platform(name), ""); system != "" {
			return system
		}
	}
	switch v := v.(type) {
	case bool:
		if v {
			return q.T("words.yes")
		}
		return q.T("words.no")
	case float64:
		if kind == "bytes" {
			return q.Words.Bytes(int64(v))
		}
		return q.Words.Decimal(v, 0)
	case time.Time:
		return timeElement(q.Words, v, q.Words.DateTime, false, false)
	case []any:
		var list []string
		for _, x := range v {
			list = append(list, fmt.Sprint(x))
		}
		return strings.Join(list, ", ")
	case []string:
		return strings.Join(v, ", ")
	case string:
		if key := "device.fact." + string(d.Key) + ".is." + v; q.Words.Has(key) {
			return q.T(key)
		}
		if t, err := time.Parse(time.RFC3339, v); err == nil && kind == "time" {
			return timeElement(q.Words, t, q.Words.DateTime, false, false)
		}
		if d.Key == fleet.FactLanguage {
			return q.saysLanguage(v)
		}
		if day, err := time.Parse(time.DateOnly, v); err == nil && d.Key == fleet.FactSecurityPatch {
			return q.Words.Date(day)
		}
		return v
	case nil:
		return q.T("words.unknown")
	}
	return fmt.Sprint(v)
}
