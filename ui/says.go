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

// firstWords is the first of the keys that has words, and whether any has; otherwise the last, whose absence the catalogue logs.
func (q *Request) firstWords(keys ...string) (string, bool) {
	for _, key := range keys {
		if q.Words.Has(key) {
			return key, true
		}
	}
	return keys[len(keys)-1], false
}

// saysLanguage names the language of a BCP 47 tag such as nl-NL or zh-Hans-CN, with its country where that tells more than one would guess.
// A tag that the catalogue does not know stays as it is.
func (q *Request) saysLanguage(tag string) string {
	parts := strings.FieldsFunc(tag, func(r rune) bool { return r == '-' || r == '_' })
	if len(parts) == 0 {
		return tag
	}
	key := "language." + strings.ToLower(parts[0])
	if !q.Words.Has(key) {
		return tag
	}
	for _, p := range parts[1:] {
		if country := "language.in." + strings.ToUpper(p); len(p) == 2 && !strings.EqualFold(p, parts[0]) && q.Words.Has(country) {
			return q.T("language.with-country", "language", q.T(key), "country", q.T(country))
		}
	}
	return q.T(key)
}

// deliveryCodes in the order of the pages: what is well first, then what needs someone.
func deliveryCodes() []fleet.ProfileStatusCode {
	return []fleet.ProfileStatusCode{fleet.StatusSucceeded, fleet.StatusPending, fleet.StatusWaitsPerson, fleet.StatusRemoving, fleet.StatusConflict,
		fleet.StatusError, fleet.StatusNotApplicable, fleet.StatusRemoved}
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
