package appliance

// serveArguments are what a service that reads no settings file is started with.
func serveArguments(p places, c InstallConfig) []string {
	out := []string{"serve", "--data", p.Data, "--key", p.Key}
	for _, name := range sortedKeys(c.Given) {
		out = append(out, "--"+name, c.Given[name])
	}
	return out
}
