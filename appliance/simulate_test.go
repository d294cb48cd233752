package appliance

import (
	"errors"
	"io"
	"testing"

	"muster/appliance/sim"
)

// TestSimulateMoods: a mood is one of those that there are, and of PCs only.
func TestSimulateMoods(t *testing.T) {
	c, err := ParseSimulate([]string{"--url", "https://x/enroll/c", "--platform", "windows", "--mood", "loses"}, io.Discard)
	if err != nil || pcMoods[c.Mood].LosesAnswers == 0 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, args := range [][]string{{"--platform", "windows", "--mood", "grumpy"}, {"--platform", "ios", "--mood", "slow"}} {
		var usage UsageError
		if _, err := ParseSimulate(append(args, "--url", "https://x/enroll/c"), io.Discard); !errors.As(err, &usage) {
			t.Errorf("%v: %v", args, err)
		}
	}
	if m := pcMoods["obedient"]; m.Answers != nil || m.LosesAnswers != 0 || m.Slow != (sim.WindowsMood{}).Slow {
		t.Errorf("obedient is %+v", m)
	}
}
