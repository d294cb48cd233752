package fleet

import (
	"errors"
	"strings"
)

// variables that a template may name, with what each takes from the person (B3).
var variables = map[string]func(*Person) string{
	"mail":        func(p *Person) string { return p.Mail },
	"upn":         func(p *Person) string { return p.upn() },
	"name":        func(p *Person) string { return p.Name },
	"mail-local":  func(p *Person) string { return beforeAt(p.Mail) },
	"mail-domain": func(p *Person) string { return afterAt(p.Mail) },
}

// Variables lists the names that {{…}} may hold, in the order of the form.
func Variables() []string { return []string{"mail", "upn", "name", "mail-local", "mail-domain"} }

// upn is the user principal name; the mail address where none was given.
func (p *Person) upn() string {
	if p.UPN != "" {
		return p.UPN
	}
	return p.Mail
}

func beforeAt(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return s[:i]
	}
	return ""
}

func afterAt(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return s[i+1:]
	}
	return ""
}

var errTemplate = errors.New("fleet: braces do not pair")

// eachPart calls literal and variable for the parts of a template in turn.
func eachPart(s string, literal, variable func(string)) error {
	for {
		before, rest, found := strings.Cut(s, "{{")
		if strings.Contains(before, "}}") {
			return errTemplate
		}
		literal(before)
		if !found {
			return nil
		}
		name, after, closed := strings.Cut(rest, "}}")
		if !closed || strings.Contains(name, "{") {
			return errTemplate
		}
		variable(strings.TrimSpace(name))
		s = after
	}
}

// templateVariables are the names in a template, known or not.
func templateVariables(s string) ([]string, error) {
	var out []string
	err := eachPart(s, func(string) {}, func(n string) { out = append(out, n) })
	return out, err
}

// fillText fills a template from a person, who may be nil. The Refusal names the variable that nothing is known for.
func fillText(s string, p *Person) (string, error) {
	var b strings.Builder
	var refusal error
	err := eachPart(s, func(l string) { b.WriteString(l) }, func(n string) {
		get, ok := variables[n]
		switch {
		case !ok:
			refusal = Refuse(ErrInvalid, "input.variable", "variable", n)
		case p == nil:
			refusal = Refuse(ErrNotApplicable, "profile.no-person")
		case get(p) == "":
			refusal = Refuse(ErrNotApplicable, "profile.person-lacks", "variable", n)
		default:
			b.WriteString(get(p))
		}
	})
	if err != nil {
		return "", Refuse(ErrInvalid, "input.template")
	}
	if refusal != nil {
		return "", refusal
	}
	return b.String(), nil
}

// Fill returns a profile's settings with every template filled in from the person (nil: none). Fields that do not count under
// the settings (see Field.When) are left out. For e-mail profiles user_name holds the name to sign in with, wherever it comes from.
func Fill(p *Profile, person *Person) (Values, error) {
	d := declarationOf(p.Type)
	in, out := p.Values(), Values{}
	for _, fd := range d.Fields {
		x, ok := in[fd.Key]
		if !ok || !in.Counts(d, fd) {
			continue
		}
		if s, isText := x.(string); isText && fd.Template && fd.Kind != KindJSON { // that is filled text by text, so that no name can break its form
			filled, err := fillText(s, person)
			if err != nil {
				return nil, err
			}
			x = filled
		}
		out[fd.Key] = x
	}
	if p.Type == TypeEmail && in.String("user_name_from") != "template" {
		name, err := fillText("{{"+in.String("user_name_from")+"}}", person)
		if err != nil {
			return nil, err
		}
		out["user_name"] = name
	}
	return out, nil
}
