package store

import (
	"fmt"
	"log/slog"
	"strings"
)

// engineLog passes the engine's own log lines on; its chatter only at debug level.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Errorf(format string, args ...any) {
	line := text(format, args)
	// Badger deletes an empty memtable's file twice when it closes, and complains of itself the second time.
	if strings.HasPrefix(line, "while deleting file") && strings.HasSuffix(line, "no such file or directory") {
		return
	}
	l.log.Error("engine", "text", line)
}
func (l engineLog) Warningf(format string, args ...any) {
	l.log.Warn("engine", "text", text(format, args))
}
func (l engineLog) Infof(format string, args ...any) {
	l.log.Debug("engine", "text", text(format, args))
}
func (l engineLog) Debugf(string, ...any) {}

func text(format string, args []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, args...))
}
