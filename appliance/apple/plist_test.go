package apple

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micromdm/plist"
)

func TestReadPlist(t *testing.T) {
	const head = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">`
	got, err := readPlist([]byte("\ufeff" + head + `
<!-- a comment --><dict>
	<key>Status</key><string>Idle</string>
	<key>A &amp; B</key><string>&lt;é&#233;&#x1F600;<![CDATA[<raw&>]]> end</string>
	<key>Empty</key><string/><key>None</key><string></string>
	<key>N</key><integer> -42 </integer><key>R</key><real>1.5</real>
	<key>Bad</key><integer>forty</integer><key>Huge</key><integer>99999999999999999999</integer>
	<key>T</key><true/><key>F</key><false></false>
	<key>D</key><date>2025-01-31T12:00:00Z</date>
	<key>Data</key><data>
		aGVs
		bG8=
	</data>
	<key>List</key><array><string>x</string><dict/><array/><data/></array>
	<key>Deep</key><dict><key>k</key><dict><key>v</key><true /></dict></dict>
</dict>
</plist>
`))
	if err != nil {
		t.Fatal(err)
	}
	want := dict{"Status": "Idle", "A & B": "<éé😀<raw&> end", "Empty": "", "None": "", "N": int64(-42), "R": 1.5, "Bad": unreadable{}, "Huge": unreadable{},
		"T": true, "F": false, "D": time.Date(2025, 1, 31, 12, 0, 0, 0, time.UTC), "Data": []byte("hello"),
		"List": []any{"x", dict{}, []any{}, []byte{}}, "Deep": dict{"k": dict{"v": true}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	for name, bad := range map[string]string{
		"empty": "", "no plist": "hello", "unclosed": "<plist><dict>", "unclosed key": "<plist><dict><key>a", "key without value": "<plist><dict><key>a</key></dict></plist>",
		"value without key": "<plist><dict><string>a</string></dict></plist>", "an array": "<plist><array/></plist>", "an empty plist": "<plist/>",
		"two roots": "<plist><dict/><dict/></plist>", "rubbish after": "<plist><dict/></plist>x", "unknown element": "<plist><dict><key>a</key><blob/></dict></plist>",
		"wrong end": "<plist><dict><key>a</key><string>b</integer></dict></plist>", "unknown entity": "<plist><dict><key>&x;</key><true/></dict></plist>",
		"a NUL reference": "<plist><dict><key>&#0;</key><true/></dict></plist>", "a surrogate": "<plist><dict><key>&#xD800;</key><true/></dict></plist>",
		"not UTF-8": "<plist><dict><key>\xff</key><true/></dict></plist>", "key twice": "<plist><dict><key>a</key><true/><key>a</key><false/></dict></plist>",
		"internal subset": "<!DOCTYPE plist [<!ENTITY a 'b'>]><plist><dict/></plist>", "true with text": "<plist><dict><key>a</key><true>1</true></dict></plist>",
		"too deep": "<plist><dict><key>a</key>" + strings.Repeat("<array>", 64) + strings.Repeat("</array>", 64) + "</dict></plist>",
		"too many": "<plist><dict><key>a</key><array>" + strings.Repeat("<true/>", maxPlistNodes+1) + "</array></dict></plist>",
	} {
		if d, err := readPlist([]byte(bad)); err == nil {
			t.Errorf("%s was read as %v", name, d)
		}
	}
}

// corpus is the real-looking messages that fuzzing begins with.
func corpus(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "messages", "*.plist"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d messages, %v", len(files), err)
	}
	var out [][]byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// TestCorpusAgreesWithAnotherDecoder reads each message with a decoder that is not ours as well.
func TestCorpusAgreesWithAnotherDecoder(t *testing.T) {
	for _, b := range corpus(t) {
		ours, err := readPlist(b)
		if err != nil {
			t.Errorf("%v in %s", err, b)
			continue
		}
		if diff := disagreement(ours, b); diff != "" {
			t.Errorf("%s in %s", diff, b)
		}
	}
}

// disagreement says where another decoder reads a message otherwise.
func disagreement(ours dict, b []byte) string {
	var theirs map[string]any
	if err := plist.Unmarshal(b, &theirs); err != nil {
		return ""
	}
	return differ("", ours, theirs)
}

func differ(where string, a, b any) string {
	switch a := a.(type) {
	case unreadable:
		return ""
	case dict:
		m, ok := b.(map[string]any)
		if !ok || len(m) != len(a) {
			return fmt.Sprintf("%s: %v and %v", where, a, b)
		}
		for k, v := range a {
			if d := differ(where+"."+k, v, m[k]); d != "" {
				return d
			}
		}
		return ""
	case []any:
		l, ok := b.([]any)
		if !ok || len(l) != len(a) {
			return fmt.Sprintf("%s: %v and %v", where, a, b)
		}
		for i := range a {
			if d := differ(fmt.Sprintf("%s[%d]", where, i), a[i], l[i]); d != "" {
				return d
			}
		}
		return ""
	case []byte:
		if l, ok := b.([]byte); ok && bytes.Equal(a, l) {
			return ""
		}
	case int64:
		if fmt.Sprint(a) == fmt.Sprint(b) {
			return ""
		}
	case time.Time:
		if l, ok := b.(time.Time); ok && a.Equal(l) {
			return ""
		}
	case string:
		if l, ok := b.(string); ok && strings.ReplaceAll(a, "\r\n", "\n") == strings.ReplaceAll(l, "\r\n", "\n") {
			return ""
		}
	default:
		if reflect.DeepEqual(a, b) {
			return ""
		}
	}
	return fmt.Sprintf("%s: %T %v and %T %v", where, a, a, b, b)
}

// FuzzMessage: whatever comes, nothing panics; what is accepted can be written and read again; and every reader of messages lives with it.
func FuzzMessage(f *testing.F) {
	for _, b := range corpus(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := readPlist(b)
		if err != nil {
			return
		}
		if back, err := writePlist(plain(d)); err == nil {
			again, err := readPlist(back)
			if err == nil && len(again) != len(d) {
				t.Errorf("written and read again it has %d keys, not %d", len(again), len(d))
			}
		}
		if ans, err := readAnswer(d); err == nil && ans != nil {
			if ans.Order == "" || ans.Outcome == "" {
				t.Errorf("answer %+v", ans)
			}
			for k, v := range ans.Facts {
				switch v.(type) {
				case string, bool, int64, []string:
				default:
					t.Errorf("fact %s is %T", k, v)
				}
			}
		}
		checkInFacts(d)
		platformOf(d)
		channelOf(d)
		hardwareOf(d)
	})
}

// plain turns a decoded list into one that the encoder takes, with what cannot be encoded left out.
func plain(v any) any {
	switch v := v.(type) {
	case dict:
		out := map[string]any{}
		for k, x := range v {
			out[k] = plain(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plain(x)
		}
		return out
	case unreadable:
		return ""
	}
	return v
}
