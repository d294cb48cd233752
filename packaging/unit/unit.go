// Package unit holds what tells an operating system how to run Muster: the systemd unit and the launchd job. `muster install` and the
// packages write the same ones.
package unit

import (
	_ "embed"
	"encoding/xml"
	"strings"
)

//go:embed muster.service
var systemd string

//go:embed muster.plist
var launchd string

// Systemd is the unit for a binary at a path.
func Systemd(binary string) string {
	return strings.Replace(systemd, "@BINARY@", quote(binary), 1)
}

// Ours says whether a unit is one that Systemd made, of this version or another.
func Ours(text string) bool {
	line, _, _ := strings.Cut(text, ".")
	return line == "# Muster, the device-management appliance"
}

// quote writes a path as systemd wants it in ExecStart (systemd.service(5), COMMAND LINES): quoted where it has blanks, percent signs doubled.
func quote(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if strings.ContainsAny(path, " \t\"'\\") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
	}
	return path
}

// Launchd is the job for a binary with its arguments.
func Launchd(binary string, arguments ...string) string {
	var b strings.Builder
	for i, a := range append([]string{binary}, arguments...) {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("\t\t<string>")
		xml.EscapeText(&b, []byte(a)) //nolint:errcheck // a strings.Builder takes everything
		b.WriteString("</string>")
	}
	return strings.Replace(launchd, "@ARGUMENTS@", b.String(), 1)
}
