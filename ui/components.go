package ui

import "html/template"

// Kind is what a colour means. Each kind also has an icon, because colour alone
// says nothing to many.
type Kind string

// The kinds.
const (
	Good Kind = "good" // as it should be
	Warn Kind = "warn" // needs someone soon
	Bad  Kind = "bad"  // wrong, or lost
	Busy Kind = "busy" // under way or waiting
	Mute Kind = "mute" // of no concern
)

// Icon is the icon that stands for k where nothing more fitting is given.
func (k Kind) Icon() string {
	switch k {
	case Good:
		return "ok"
	case Warn:
		return "warning"
	case Bad:
		return "error"
	case Busy:
		return "wait"
	}
	return "none"
}

// Status is a state in a word, an icon and a colour; component "status".
type Status struct {
	Kind Kind
	Word string
	Icon string // "" = Kind.Icon()
	Pill bool   // filled, for headings
}

// Symbol is the icon to draw.
func (s Status) Symbol() string {
	if s.Icon != "" {
		return s.Icon
	}
	return s.Kind.Icon()
}

// AsPill returns the status in its filled form.
func (s Status) AsPill() Status { s.Pill = true; return s }

// Message is a sentence that stands out: a flash after an action, a warning
// about health, a refusal; component "message".
type Message struct {
	Kind  Kind
	Title string // optional, bold
	Text  string
	Items []string // optional list below
	Link  string   // optional next step
	Word  string   // of the link
}

// Button is a link that looks like a button; component "button".
type Button struct {
	Href, Word, Icon string
	Style            string // "primary", "danger", "ghost" or "" for quiet
}

// Head is the row above a page's content; component "head".
type Head struct {
	Title    string
	Sub      string
	Status   *Status
	Back     string // link to the list above
	BackWord string
	Actions  []Button // the main one last
}

// Empty is an empty page or list: what it is for and the next step; component
// "empty".
type Empty struct {
	Icon, Title, Text string
	Actions           []Button
}

// FactLine is one line of a list of facts; component "facts" takes a slice.
type FactLine struct {
	Name  string
	Value any // a string, or template.HTML made by a template function
	Hint  string
	Mono  bool
}

// Moment is one line of a timeline; component "timeline" takes a slice.
type Moment struct {
	Kind Kind
	Icon string
	Text string
	Who  string // or what proves it
	At   template.HTML
}

// Tab is one of several views of the same thing; component "tabs" takes a slice.
type Tab struct {
	Href, Word string
	Current    bool
	Count      int // -1 = not shown
}

// Step is one step of a longer form; component "steps" takes a slice.
type Step struct {
	Word    string
	Done    bool
	Current bool
	Href    string // of steps that may be returned to
}

// Progress is long work; component "progress".
type Progress struct {
	Word      string
	Done, All int
	Text      string // "412 of 1,000"
}

// Pager leads to the next and the first page of a list; component "pager".
type Pager struct {
	First string // link to the beginning; "" when there
	Next  string // link to the next page; "" at the end
	Text  string // what is shown, e.g. "1,204 devices"
}

// Confirm is a dialog as a page of its own, so that it works without scripts;
// component "confirm".
type Confirm struct {
	Title   string
	Text    string
	Points  []string // what will happen, one sentence each
	Warning string   // what cannot be undone
	Action  string   // where to POST
	Word    string   // of the button; names the object
	Danger  bool
	Back    string // link that leaves all as it is
	Type    string // a name that must be typed first; "" = none
	Form    Form
	Fields  []Field // options
	Hidden  map[string]string

	Other, OtherWord string // another way to answer: where to POST, and the words of its button; "" = none
}
