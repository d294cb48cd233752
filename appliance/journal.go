package appliance

import (
	"bytes"
	"io"
	"log/slog"
	"os"
)

// ErrorOutput is standard error: as it is, or as systemd's journal likes it where it leads there.
func ErrorOutput() io.Writer {
	if isJournal(os.Stderr) {
		return journal{os.Stderr}
	}
	return os.Stderr
}

// standardLog writes to standard error. The journal keeps the time of every line itself.
func standardLog() *slog.Logger {
	w := ErrorOutput()
	if _, ok := w.(journal); !ok {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// journal puts the priority before every line (sd-daemon(3)), so that journalctl -p warning shows what needs someone. What is not a record of the
// log is what a command says when it fails.
type journal struct{ w io.Writer }

// priorities by how a record begins.
var priorities = map[string]string{"level=DEBUG ": "<7>", "level=INFO ": "<6>", "level=WARN ": "<4>"}

const priorityError = "<3>"

func (j journal) Write(text []byte) (int, error) {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		priority := priorityError
		for begin, p := range priorities {
			if bytes.HasPrefix(line, []byte(begin)) {
				priority = p
			}
		}
		b.WriteString(priority)
		b.Write(line)
	}
	if _, err := j.w.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(text), nil
}
