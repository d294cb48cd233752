// Package words holds every sentence that Muster shows to people, in English
// and Dutch, and the ways of writing dates, numbers and durations that go with
// each language.
//
// Texts live in en/*.json and nl/*.json, one file per subject, with the same
// file names and the same flat keys in both. A value is either a text or an
// object {"one": …, "other": …} for texts that count. The two forms:
//
//	"device.wipe.button": "Wipe {device}"
//	"device.count": {"one": "{n} device", "other": "{n} devices"}
//
// A placeholder is {name} or {name|format}. Formats: ago, date, datetime,
// number, bytes, duration, percent, and word:PREFIX, which looks the value up as
// the key PREFIX.VALUE (so that a code such as "ios" becomes a word). Without a
// format a time is written as date and time, an integer with digit groups, a
// duration in words, and a string as it is. Times may be time.Time or RFC 3339
// text, because what a device reported is often stored as text.
//
// The package is a leaf: it imports nothing of Muster's, so ui, api and
// appliance can all use it. Nothing here escapes HTML; html/template does.
package words
