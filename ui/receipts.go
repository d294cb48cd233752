package ui

import (
	"context"
	"html/template"
	"net/url"
	"time"

	"muster/appliance/fleet"
)

// receiptsDomain is what the pages of receipts ask of the domain.
type receiptsDomain interface {
	Receipts(ctx context.Context, a fleet.Actor, device fleet.DeviceID, q fleet.ListQuery) (fleet.List[*fleet.Receipt], error)
	Receipt(ctx context.Context, a fleet.Actor, id fleet.ReceiptID) (*fleet.Receipt, error)
}

func (u *UI) receiptRoutes() {
	u.admin("GET /receipts", u.receipts)
	u.admin("GET /receipts/{id}", u.receipt)
}

// receiptRow is one receipt in a list.
type receiptRow struct {
	ID               fleet.ReceiptID
	Name, Icon       string
	Person, Model    string
	Kind, By         string
	Opened           time.Time
	Closed           *time.Time
	Outcome          Status
	Proved, Needed   int // rows that are proved, of those that need proof
	ProvedOf, Device string
}

func (q *Request) receiptRow(r *fleet.Receipt) receiptRow {
	row := receiptRow{ID: r.ID, Name: r.Name, Icon: platformIcon(r.Platform), Person: r.Person, Model: r.Model, Kind: q.T("receipt.kind." + r.Kind), By: r.By, Opened: r.Opened, Closed: r.Closed, Outcome: q.receiptStatus(r.Outcome), Device: string(r.Device)}
	for _, x := range r.Rows {
		switch x.Proved {
		case "proved":
			row.Proved++
			row.Needed++
		case "not-proved":
			row.Needed++
		}
	}
	row.ProvedOf = q.T("receipt.proved-of", "proved", row.Proved, "needed", row.Needed)
	return row
}

func (u *UI) receipts(q *Request) error {
	l := listQuery{"/receipts", q.URL.Query()}
	list, err := u.fleet.Receipts(q.Context(), q.Actor, fleet.DeviceID(l.values.Get("device")), fleet.ListQuery{Cursor: l.values.Get("cursor"), Limit: devicesLimit})
	if err != nil {
		return err
	}
	data := struct {
		Head  Head
		Rows  []receiptRow
		Pager Pager
		Empty Empty
	}{
		Head:  Head{Title: q.T("nav.receipts"), Sub: q.T("receipt.list.sub")},
		Pager: Pager{Text: q.Words.N("receipt.shown", len(list.Items), nil)},
		Empty: Empty{Icon: "receipt", Title: q.T("receipt.none"), Text: q.T("receipt.none.text")},
	}
	for _, r := range list.Items {
		data.Rows = append(data.Rows, q.receiptRow(r))
	}
	if l.values.Get("cursor") != "" {
		data.Pager.First = listQuery{l.path, url.Values{"device": l.values["device"]}}.with()
	}
	if list.Next != "" {
		data.Pager.Next = l.with("cursor", list.Next)
	}
	return q.Page("app/receipts", Page{Title: data.Head.Title, Live: true, Data: data})
}

// receiptPage is one receipt, fit to print.
type receiptPage struct {
	Receipt  *fleet.Receipt
	Org      string
	Title    string
	Status   Status
	Says     string // what the outcome means, in plain words
	Facts    []FactLine
	Rows     []proofRow
	Printed  time.Time
	Device   string // link to the device; "" when it is gone
	Evidence bool
}

type proofRow struct {
	removedData
	Proof    Status
	Why      string
	Evidence []evidenceView
}

func (u *UI) receipt(q *Request) error {
	r, err := u.fleet.Receipt(q.Context(), q.Actor, fleet.ReceiptID(q.PathValue("id")))
	if err != nil {
		return err
	}
	settings, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	page := receiptPage{Receipt: r, Org: settings.Organisation, Title: q.T("receipt.title", "name", r.Name), Status: q.receiptStatus(r.Outcome).AsPill(),
		Says: q.T("receipt.says." + r.Outcome), Printed: u.now()}
	if key := "receipt.says." + r.Outcome + "." + r.Kind; q.Words.Has(key) {
		page.Says = q.T(key)
	}
	add := func(key string, value any, mono bool) {
		if value != "" {
			page.Facts = append(page.Facts, FactLine{Name: q.T("receipt.fact." + key), Value: value, Mono: mono})
		}
	}
	add("kind", q.T("receipt.kind."+r.Kind), false)
	add("device", r.Name, false)
	model := r.Model
	if model == "" {
		model = q.word("platform", string(r.Platform))
	}
	add("model", model, false)
	add("serial", r.Serial, true)
	add("ownership", q.word("ownership", string(r.Ownership)), false)
	add("person", r.Person, false)
	add("by", r.By, false)
	add("opened", q.Words.DateTime(r.Opened), false)
	if r.Closed != nil {
		add("closed", q.Words.DateTime(*r.Closed), false)
	} else {
		add("closed", template.HTML(template.HTMLEscapeString(q.T("receipt.fact.closed.not"))), false)
	}
	for _, x := range r.Rows {
		row := proofRow{removedData: q.removedData(x), Proof: q.proofStatus(x.Proved), Why: q.Say(x.Why), Evidence: q.evidence(x.Evidence...)}
		if r.Closed == nil && x.Proved == "not-proved" {
			row.Proof = Status{Kind: Busy, Word: q.T("receipt.proof.not-yet")}
		}
		page.Rows = append(page.Rows, row)
	}
	if _, err := u.fleet.Device(q.Context(), q.Actor, r.Device); err == nil {
		page.Device = "/devices/" + string(r.Device)
	}
	return q.Page("app/receipt", Page{Title: page.Title, Live: true, Data: page})
}
