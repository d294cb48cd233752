package fleet

import (
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// faults gathers what is wrong with an input, by field.
type faults map[string]Reason

func (b faults) put(field, code string, pairs ...string) {
	if _, ok := b[field]; !ok {
		b[field] = Why(code, pairs...)
	}
}

// refuse returns nil when nothing is wrong.
func (b faults) refuse(code string) error {
	if len(b) == 0 {
		return nil
	}
	return &Refusal{Kind: ErrInvalid, Reason: Why(code), Fields: b}
}

// line checks one line of text: valid UTF-8, no control characters or line breaks, no marks that turn the direction of what follows, between
// least and most runes, not only blanks.
func (b faults) line(field, s string, least, most int) bool {
	if !b.text(field, s, least, most) {
		return false
	}
	if strings.ContainsAny(s, "\n\r\t\u2028\u2029") {
		b.put(field, "input.one-line")
		return false
	}
	if s != strings.TrimSpace(s) {
		b.put(field, "input.blanks")
		return false
	}
	return true
}

// text checks text of several lines.
func (b faults) text(field, s string, least, most int) bool {
	if len(s) > 4*most || utf8.RuneCountInString(s) > most {
		b.put(field, "input.too-long", "most", strconv.Itoa(most))
		return false
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, badRune) {
		b.put(field, "input.characters")
		return false
	}
	if utf8.RuneCountInString(strings.TrimSpace(s)) < least {
		b.put(field, "input.required")
		return false
	}
	return true
}

// badRune is a control character other than line breaks and tabs, or a mark that overrides or embeds writing direction: with it a name
// can be made to look like another. Letters of right-to-left scripts are welcome.
func badRune(r rune) bool {
	switch {
	case r == '\n' || r == '\r' || r == '\t':
		return false
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0xFEFF, r == 0x200B:
		return true
	case r == utf8.RuneError:
		return true
	}
	return unicode.IsControl(r)
}

// mail checks a bare e-mail address.
func (b faults) mail(field, s string, required bool) {
	if s == "" {
		if required {
			b.put(field, "input.required")
		}
		return
	}
	if !b.line(field, s, 1, 254) {
		return
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" || !strings.Contains(s, "@") || strings.ContainsAny(s, " <>\"") {
		b.put(field, "input.mail")
	}
}

func (b faults) oneOf(field, s string, options []string) {
	if !slices.Contains(options, s) {
		b.put(field, "input.choice", "value", clip(s, 60))
	}
}

func (b faults) between(field string, n, least, most int) {
	if n < least || n > most {
		b.put(field, "input.range", "least", strconv.Itoa(least), "most", strconv.Itoa(most))
	}
}

// tags checks scope tags: at most 20, one line of 1 to 50 runes each, without commas.
func (b faults) tags(field string, tags []Tag) {
	if len(tags) > 20 {
		b.put(field, "input.too-many", "most", "20")
		return
	}
	for _, t := range tags {
		if !b.line(field, string(t), 1, 50) {
			return
		}
		if strings.Contains(string(t), ",") {
			b.put(field, "input.characters")
		}
	}
}

// sortedTags copies tags without repeats.
func sortedTags(tags []Tag) []Tag {
	if len(tags) == 0 {
		return nil
	}
	out := slices.Clone(tags)
	slices.Sort(out)
	return slices.Compact(out)
}

// keepsScope refuses tags that would put a thing outside of the actor's own scope, or that he does not hold.
func keepsScope(a Actor, before, after []Tag) error {
	if a.AllTags {
		return nil
	}
	for _, t := range after {
		if !slices.Contains(a.Tags, t) && !slices.Contains(before, t) {
			return refuseField(ErrInvalid, "tags", Why("scope.tag-not-held", "tag", string(t)))
		}
	}
	for _, t := range before {
		if !slices.Contains(a.Tags, t) && !slices.Contains(after, t) {
			return refuseField(ErrInvalid, "tags", Why("scope.tag-not-held", "tag", string(t)))
		}
	}
	if !sees(a, after) {
		return refuseField(ErrInvalid, "tags", Why("scope.leaves"))
	}
	return nil
}
