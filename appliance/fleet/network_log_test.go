package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNetworkNumbers(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	n := networkNumbers{}
	n.add("2026-11-26", "com.android.chrome", 3)
	n.add("2026-11-26", "com.google.android.gm", 5)
	n.add("2026-11-20", "com.google.android.gm", 1)
	n.add("2026-11-19", "com.google.android.gm", 9) // a week ago
	n.add("2027-01-01", "com.google.android.gm", 9) // a phone's clock is wrong
	n.add("2026-11-25", "", 4)
	want := []string{"2026-11-26 com.google.android.gm: 5", "2026-11-26 com.android.chrome: 3", "2026-11-20 com.google.android.gm: 1"}
	lines := n.lines(now)
	if !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
	stored := make([]any, len(lines))
	for i, s := range lines {
		stored[i] = s
	}
	again := networkNumbers{}
	again.read(append(stored, "no line", 7, "2026-11-26 x: many"))
	again.add("2026-11-26", "com.android.chrome", 4)
	if got := again.lines(now); got[0] != "2026-11-26 com.android.chrome: 7" || len(got) != 3 {
		t.Errorf("added up: %q", got)
	}
	for day := range 7 {
		for app := range 30 {
			again.add(now.Add(-time.Duration(day)*24*time.Hour).Format(time.DateOnly), fmt.Sprintf("com.%s.a%d", strings.Repeat("x", 90), app), 2)
		}
	}
	total := 0
	for _, s := range again.lines(now) {
		total += len(s) + 3
	}
	if total > factMost || total < factMost/2 {
		t.Errorf("%d bytes are stored", total)
	}
}
