package fleet

import (
	"encoding/json"
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Duration
		out  string // "" = refused
	}{
		{`"60d"`, 60 * 24 * time.Hour, `"60d"`},
		{`"24h"`, 24 * time.Hour, `"1d"`},
		{`"90m"`, 90 * time.Minute, `"90m"`},
		{`"0s"`, 0, `"0s"`},
		{`86400000000000`, 24 * time.Hour, `"1d"`},
		{`"36500d"`, maxSpan, `"36500d"`},
		{`"36501d"`, 0, ``},
		{`"99999999999h"`, 0, ``},
		{`"-1d"`, 0, ``},
		{`"d"`, 0, ``},
		{`"1w"`, 0, ``},
		{`""`, 0, ``},
		{`true`, 0, ``},
	} {
		var s Span
		err := json.Unmarshal([]byte(c.in), &s)
		if (err != nil) != (c.out == "") || err == nil && time.Duration(s) != c.want {
			t.Errorf("%s: %v %v", c.in, s, err)
		}
		if b, _ := json.Marshal(s); err == nil && string(b) != c.out {
			t.Errorf("%s: written as %s", c.in, b)
		}
	}
}
