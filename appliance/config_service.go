package appliance

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// parseAbout is parse for commands about data that are there already. Where Muster is a service of this machine and nothing else was named, they are
// about its data: with its data directory, its seal key and its settings.
func parseAbout(fs *flag.FlagSet, args []string, out io.Writer) error {
	return parseWith(fs, args, out, func(given map[string]bool) (map[string]string, error) {
		if given["data"] || given["key"] {
			return nil, nil
		}
		settings, err := serviceSettings(systemPlaces(), fs.Lookup("data").DefValue)
		if v, ok := settings[sealKeyVariable]; ok {
			err = errors.Join(err, os.Setenv(sealKeyVariable, v))
		}
		return settings, err
	})
}

// serviceSettings are the settings of the installed service by environment variable, none where there is no service. Its settings are for
// administrators only; whoever may not read them and has no data in the own directory is told so.
func serviceSettings(p places, own string) (map[string]string, error) {
	if _, err := os.Stat(p.Data); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	settings := map[string]string{envName("data"): p.Data}
	if p.Env != "" {
		text, err := os.ReadFile(p.Env)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		case errors.Is(err, fs.ErrPermission):
			if _, err := os.Stat(own); err == nil {
				return nil, nil
			}
			return nil, UsageError{fmt.Sprintf("Muster is a service of this machine, and only an administrator may see its data: try again with sudo, or name other data with --data (%v)", err)}
		case err != nil:
			return nil, err
		}
		for name, value := range environmentFile(string(text)) {
			settings[name] = value
		}
	}
	if _, ok := settings[sealKeyVariable]; !ok && settings[envName("key")] == "" {
		settings[envName("key")] = p.Key
	}
	return settings, nil
}

// startCommand is what starts the server on these data.
func startCommand(c Config) string {
	if p := systemPlaces(); c.Data == p.Data && c.Key == p.Key {
		return "muster start"
	}
	return fmt.Sprintf("muster serve --data %s --key %s", c.Data, c.Key)
}

// environmentFile reads what systemd.exec(5) calls an EnvironmentFile, as envFile and people write it: NAME=value a line, quotes around the value
// if need be, and comments.
func environmentFile(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		if !ok || line[0] == '#' || line[0] == ';' {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out[strings.TrimSpace(name)] = value
	}
	return out
}
