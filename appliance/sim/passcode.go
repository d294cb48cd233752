package sim

import "strings"

// compliant reports why a passcode does not meet the rules of all installed profiles,
// the strictest winning; nil when it does. d.mu is held.
func (d *Apple) compliant(code string) *Refusal {
	for _, i := range d.profiles {
		for _, pl := range i.payloads {
			if pl.kind != "com.apple.mobiledevice.passwordpolicy" {
				continue
			}
			if ref := meets(code, pl.body); ref != nil {
				return ref
			}
		}
	}
	return nil
}

// meets holds a passcode against one policy.
func meets(code string, rule dict) *Refusal {
	if code == "" {
		if flag(rule, "forcePIN") {
			return refuse(domainInstall, 4027, "A passcode is required.")
		}
		return nil
	}
	letters, special := 0, 0
	for _, c := range code {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters++
		case c < '0' || c > '9':
			special++
		}
	}
	switch {
	case len(code) < num(rule, "minLength"):
		return refuse(domainPasscode, 5000, "The passcode is too short.")
	case special < num(rule, "minComplexChars"):
		return refuse(domainPasscode, 5001, "The passcode has too few complex characters.")
	case flag(rule, "requireAlphanumeric") && letters == 0:
		return refuse(domainPasscode, 5003, "The passcode needs a letter.")
	case !flagOr(rule, "allowSimple", true) && simple(code):
		return refuse(domainPasscode, 5004, "The passcode is too simple.")
	}
	return nil
}

// simple reports whether a passcode is one character repeated or a run such as 1234 or dcba.
func simple(code string) bool {
	for _, step := range []int{0, 1, -1} {
		run := len(code) > 1
		for i := 1; i < len(code); i++ {
			run = run && int(code[i])-int(code[i-1]) == step
		}
		if run {
			return true
		}
	}
	return len(code) > 0 && strings.Count(code, code[:1]) == len(code)
}
