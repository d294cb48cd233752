package appliance

import (
	"net"

	"muster/appliance/fleet"
)

// lockedSettings are the settings that the command line decides; the UI shows them locked. The addresses always are: changing
// them means other listeners and other certificates, hence a restart.
func (c Config) lockedSettings() fleet.Settings {
	return fleet.Settings{URL: c.URL, DeviceURL: c.DeviceURL, Locked: []string{"url", "device_url"}}
}

// revocationBase is the address that certificates name for CRL and OCSP: plain HTTP where it is served, since verifiers do not
// fetch revocation over HTTPS.
func revocationBase(c Config) string {
	if c.HTTP == "" {
		return c.URL
	}
	host := addressOf(c.URL).host
	if _, port, err := net.SplitHostPort(c.HTTP); err == nil && port != "80" {
		host = net.JoinHostPort(host, port)
	}
	return "http://" + host
}
