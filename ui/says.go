package ui

import (
	"errors"
	"net/url"
	"strings"

	"muster/appliance/fleet"
)

// saysPlatform names a platform as people know it: iPhone, iPad, Mac.
func (q *Request) saysPlatform(p fleet.Platform) string { return q.T("system." + string(p)) }

// saysPlatforms names several, in one phrase.
func (q *Request) saysPlatforms(list []fleet.Platform) string {
	var out []string
	for _, p := range list {
		out = append(out, q.saysPlatform(p))
	}
	return q.Words.List(out)
}

// saysDelivery is the state of a profile on a device as word, icon and colour.
func (q *Request) saysDelivery(s fleet.ProfileStatusCode) Status {
	return Status{Kind: deliveryKind(s), Word: q.T("delivery." + string(s)), Icon: deliveryIcon(s)}
}

// deliveryCodes in the order of the pages: what is well first, then what needs someone.
func deliveryCodes() []fleet.ProfileStatusCode {
	return []fleet.ProfileStatusCode{fleet.StatusSucceeded, fleet.StatusPending, fleet.StatusWaitsPerson, fleet.StatusRemoving, fleet.StatusConflict,
		fleet.StatusError, fleet.StatusNotApplicable, fleet.StatusRemoved}
}

func deliveryKind(s fleet.ProfileStatusCode) Kind {
	switch s {
	case fleet.StatusSucceeded:
		return Good
	case fleet.StatusError:
		return Bad
	case fleet.StatusConflict, fleet.StatusWaitsPerson:
		return Warn
	case fleet.StatusPending, fleet.StatusRemoving:
		return Busy
	}
	return Mute
}

func deliveryIcon(s fleet.ProfileStatusCode) string {
	switch s {
	case fleet.StatusConflict:
		return "conflict"
	case fleet.StatusWaitsPerson:
		return "hand"
	}
	return ""
}

// saysState is the state of a device's life under management.
func (q *Request) saysState(d *fleet.Device) Status {
	s := Status{Kind: Mute, Word: q.T("life." + string(d.State))}
	switch d.State {
	case fleet.Managed:
		s.Kind = Good
	case fleet.Enrolling:
		s.Kind = Busy
	case fleet.Retiring, fleet.Wiping:
		s.Kind = Warn
		s.Icon = "wait"
	case fleet.Closed:
		s.Kind = Warn
	}
	return s
}

// asked reads search and place in a list from the address.
func (q *Request) asked() fleet.ListQuery {
	v := q.URL.Query()
	return fleet.ListQuery{Search: strings.TrimSpace(v.Get("q")), Cursor: v.Get("after"), Limit: 50}
}

// pages leads on through a list whose next page begins at the cursor.
func (q *Request) pages(next, text string) *Pager {
	p := Pager{Text: text}
	v := q.URL.Query()
	if v.Get("after") != "" {
		v.Del("after")
		p.First = at(q.URL.Path, v)
	}
	if next != "" {
		v.Set("after", next)
		p.Next = at(q.URL.Path, v)
	}
	if p.First == "" && p.Next == "" && text == "" {
		return nil
	}
	return &p
}

func at(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// unlessForbidden takes "not allowed" for "nothing to show": for parts of a page that a role may lack.
func unlessForbidden(err error) error {
	if errors.Is(err, fleet.ErrForbidden) {
		return nil
	}
	return err
}

// tagsOf reads scope tags from a field that has them between commas.
func tagsOf(text string) []fleet.Tag {
	out := []fleet.Tag{}
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, fleet.Tag(s))
		}
	}
	return out
}

// tagText is the reverse of tagsOf.
func tagText(tags []fleet.Tag) string {
	var out []string
	for _, t := range tags {
		out = append(out, string(t))
	}
	return strings.Join(out, ", ")
}

// filled is a form that holds these values.
func filled(pairs ...string) Form {
	f := Form{Values: url.Values{}, Errors: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Values.Set(pairs[i], pairs[i+1])
	}
	return f
}
