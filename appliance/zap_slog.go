package appliance

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo gives certmagic, which logs by zap, a logger that writes to ours. What it calls information is everyday work, and goes to debug;
// its own debug level holds whole messages of the protocol, and is left out.
func zapTo(log *slog.Logger) *zap.Logger {
	return zap.New(&slogCore{log: log.With("part", "acme")})
}

type slogCore struct{ log *slog.Logger }

var _ zapcore.Core = (*slogCore)(nil)

func (c *slogCore) Enabled(l zapcore.Level) bool { return l >= zapcore.InfoLevel }

func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{c.log.With(zapAttrs(fields)...)}
}

func (c *slogCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

func (c *slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelDebug
	if e.Level >= zapcore.WarnLevel {
		level = slog.LevelWarn // what comes of it is logged and shown by our own code
	}
	c.log.Log(context.Background(), level, e.Message, zapAttrs(fields)...)
	return nil
}

func (c *slogCore) Sync() error { return nil }

func zapAttrs(fields []zapcore.Field) []any {
	m := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(m)
	}
	var out []any
	for k, v := range m.Fields {
		out = append(out, k, v)
	}
	return out
}
