package words

import (
	"sort"
	"strconv"
	"strings"
)

// Lang is a language by its ISO 639-1 code.
type Lang string

// The languages of the catalogue.
const (
	English Lang = "en"
	Dutch   Lang = "nl"
)

// Langs returns the languages of the catalogue, the fallback first.
func Langs() []Lang { return []Lang{English, Dutch} }

// ParseLang returns the language of a code such as "nl" or "nl-BE" and whether
// the catalogue has it.
func ParseLang(code string) (Lang, bool) {
	base, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(code)), "-")
	for _, l := range Langs() {
		if string(l) == base {
			return l, true
		}
	}
	return "", false
}

// Negotiate chooses the language: the person's own choice when it is one that
// the catalogue has, else the best match of an Accept-Language header (RFC 9110
// section 12.5.4), else English.
func Negotiate(choice, acceptLanguage string) Lang {
	if l, ok := ParseLang(choice); ok {
		return l
	}
	type wish struct {
		lang Lang
		q    float64
	}
	var wishes []wish
	for part := range strings.SplitSeq(acceptLanguage, ",") {
		tag, params, _ := strings.Cut(part, ";")
		l, ok := ParseLang(tag)
		if !ok {
			continue
		}
		q := 1.0
		if v, found := strings.CutPrefix(strings.TrimSpace(params), "q="); found {
			parsed, err := strconv.ParseFloat(v, 64)
			if err != nil {
				continue
			}
			q = parsed
		}
		if q > 0 {
			wishes = append(wishes, wish{l, q})
		}
	}
	if len(wishes) == 0 {
		return English
	}
	sort.SliceStable(wishes, func(i, j int) bool { return wishes[i].q > wishes[j].q })
	return wishes[0].lang
}
