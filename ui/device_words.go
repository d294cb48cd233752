package ui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"muster/appliance/fleet"
)

// How states of devices, profiles, orders and receipts look: a word, an icon and
// a colour. The words are those that sentences use, with a capital.

// capital writes the first letter large, but leaves names such as iPhone alone.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if next, _ := utf8.DecodeRuneInString(s[n:]); n == 0 || unicode.IsUpper(next) {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// word is the word for a code of the domain, with a capital; the code itself
// where there is none.
func (q *Request) word(kind, code string) string {
	if key := "word." + kind + "." + code; q.Words.Has(key) {
		return capital(q.T(key))
	}
	return code
}

func (q *Request) deviceStateStatus(s fleet.State) Status {
	out := Status{Word: q.word("state", string(s))}
	switch s {
	case fleet.Managed:
		out.Kind = Good
	case fleet.Enrolling:
		out.Kind = Busy
	case fleet.Retiring:
		out.Kind, out.Icon = Busy, "retire"
	case fleet.Wiping:
		out.Kind, out.Icon = Busy, "wipe"
	case fleet.Closed:
		out.Kind = Warn
	default:
		out.Kind = Mute
	}
	return out
}

// deviceEnded says whether management of a device in this state is over.
func deviceEnded(s fleet.State) bool {
	switch s {
	case fleet.Retired, fleet.Wiped, fleet.Left, fleet.Closed:
		return true
	}
	return false
}

func (q *Request) deliveryStatus(s fleet.ProfileStatusCode) Status {
	out := Status{Word: q.word("status", string(s)), Kind: Mute}
	switch s {
	case fleet.StatusSucceeded:
		out.Kind = Good
	case fleet.StatusPending, fleet.StatusRemoving:
		out.Kind = Busy
	case fleet.StatusError:
		out.Kind = Bad
	case fleet.StatusConflict:
		out.Kind, out.Icon = Warn, "conflict"
	case fleet.StatusWaitsPerson:
		out.Kind, out.Icon = Warn, "hand"
	}
	return out
}

func (q *Request) actionStatus(s fleet.ActionState) Status {
	out := Status{Word: q.word("action_state", string(s)), Kind: Mute}
	switch s {
	case fleet.ActionQueued, fleet.ActionSent, fleet.ActionAcknowledged:
		out.Kind = Busy
	case fleet.ActionDone:
		out.Kind = Good
	case fleet.ActionFailed:
		out.Kind = Bad
	case fleet.ActionUnknown:
		out.Kind, out.Icon = Warn, "help"
	}
	return out
}

func (q *Request) receiptStatus(outcome string) Status {
	out := Status{Word: q.T("receipt.outcome." + outcome), Kind: Mute}
	switch outcome {
	case "open":
		out.Kind = Busy
	case "proved":
		out.Kind = Good
	case "partly":
		out.Kind = Warn
	case "not-proved":
		out.Kind = Bad
	}
	return out
}

// proofStatus is how one row of a receipt stands.
func (q *Request) proofStatus(proved string) Status {
	switch proved {
	case "proved":
		return Status{Kind: Good, Word: q.T("receipt.proof.proved")}
	case "not-proved":
		return Status{Kind: Warn, Word: q.T("receipt.proof.not-proved")}
	}
	return Status{Kind: Mute, Word: q.T("receipt.proof.not-needed")}
}

func platformIcon(p fleet.Platform) string {
	switch p {
	case fleet.IOS, fleet.Android:
		return "phone"
	case fleet.IPadOS:
		return "tablet"
	case fleet.MacOS:
		return "laptop"
	case fleet.Windows:
		return "desktop"
	}
	return "devices"
}

func actionIcon(t fleet.ActionType) string {
	switch t {
	case fleet.ActRetire:
		return "retire"
	case fleet.ActWipe:
		return "wipe"
	case fleet.ActDelete:
		return "trash"
	case fleet.ActLock:
		return "lock"
	case fleet.ActClearPasscode:
		return "unlock"
	case fleet.ActClearApp:
		return "apps"
	case fleet.ActRestart:
		return "power"
	case fleet.ActSync:
		return "sync"
	case fleet.ActQuery:
		return "search"
	}
	return "play"
}

// systemWord names the operating system, with its version when that is known.
func systemWord(p fleet.Platform, version string) string {
	if build, ok := strings.CutPrefix(version, "10.0."); ok && p == fleet.Windows {
		if n, _, _ := strings.Cut(build, "."); len(n) > 5 || n >= "22000" && len(n) == 5 { // Windows 11 calls itself 10.0
			return "Windows 11 " + build
		}
		return "Windows 10 " + build
	}
	name := map[fleet.Platform]string{fleet.IOS: "iOS", fleet.IPadOS: "iPadOS", fleet.MacOS: "macOS", fleet.Windows: "Windows", fleet.Android: "Android"}[p]
	return strings.TrimSpace(name + " " + version)
}

// evidenceView is a device's message as a proof.
type evidenceView struct {
	What, Message string
	Stored        fleet.Evidence
}

func (q *Request) evidence(list ...fleet.Evidence) []evidenceView {
	var out []evidenceView
	for _, e := range list {
		if e.None() {
			continue
		}
		what := e.What
		if key := "evidence." + e.What; q.Words.Has(key) {
			what = q.T(key)
		}
		out = append(out, evidenceView{What: what, Message: e.Message, Stored: e})
	}
	return out
}
