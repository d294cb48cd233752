package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The journal gets the priority of every line and no time of ours; any other standard error is as ever.
func TestJournalPriorities(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stderr := os.Stderr
	os.Stderr = f
	t.Cleanup(func() { os.Stderr = stderr })
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino+1))
	if _, ok := ErrorOutput().(journal); ok {
		t.Error("another stream than the journal's counts as the journal")
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	log := standardLog()
	log.Info("a")
	log.Warn("b\nc")
	log.With("k", "v").Error("d")
	fmt.Fprintf(ErrorOutput(), "muster: %v\n", "e\nf")
	got, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := "<6>level=INFO msg=a\n<4>level=WARN msg=\"b\\nc\"\n<3>level=ERROR msg=d k=v\n<3>muster: e\n<3>f\n"; string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
