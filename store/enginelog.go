package store

import (
	"fmt"
	"log/slog"
	"strings"
)

// engineLog passes the engine's own log lines on; its chatter only at debug level.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Errorf(format string, args ...any) {
	l.log.Error("engine", "text", text(format, args))
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
