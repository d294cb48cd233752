package appliance

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"muster/appliance/fleet"
)

// ACMEFlags are what --tls acme takes.
type ACMEFlags struct {
	Directory  string // address of the authority's directory
	Mail       string // the authority writes there; may be empty
	Roots      string // file of the authority's own root certificates, PEM; empty = public
	EABKeyID   string // external account binding
	EABKeyFile string // file with its key, base64url: a secret is no flag
}

// furtherNames are those that --tls-names lists.
func (c Config) furtherNames() []string {
	return unique(strings.FieldsFunc(strings.ToLower(c.TLSNames), func(r rune) bool { return r == ',' || r == ' ' })...)
}

func (f *ACMEFlags) flags(fs *flag.FlagSet) {
	fs.StringVar(&f.Directory, "acme-directory", "", "`URL` of the ACME directory, with --tls acme")
	fs.StringVar(&f.Mail, "acme-mail", "", "e-mail `address` for the ACME account (may be left out)")
	fs.StringVar(&f.Roots, "acme-roots", "", "`file` of root certificates (PEM) of an ACME authority of your own")
	fs.StringVar(&f.EABKeyID, "acme-eab-kid", "", "key `id` of the external account binding, if the authority asks for one")
	fs.StringVar(&f.EABKeyFile, "acme-eab-key-file", "", "`file` with the key of the external account binding (base64url)")
}

// completeTLS checks the flags about TLS against each other.
func (c *Config) completeTLS() error {
	if c.TLS != TLSACME && c.ACME != (ACMEFlags{}) {
		return UsageError{"the --acme flags need --tls acme"}
	}
	if c.TLS == "" && c.TLSNames != "" {
		return UsageError{"--tls-names needs --tls: without it the names are set on the page about the address and TLS"}
	}
	for _, n := range c.furtherNames() {
		if !fleet.IsServerName(n) {
			return UsageError{fmt.Sprintf("--tls-names: %q is not the name of a server such as enterpriseenrollment.example.org", n)}
		}
	}
	switch c.TLS {
	case "", TLSInternal:
		if c.TLSCert != "" || c.TLSKey != "" {
			return UsageError{"--tls-cert and --tls-key need --tls files"}
		}
	case TLSFiles:
		if c.TLSCert == "" || c.TLSKey == "" {
			return UsageError{"--tls files needs --tls-cert and --tls-key"}
		}
	case TLSACME:
		if c.ACME.Directory == "" {
			return UsageError{"--tls acme needs --acme-directory: the address that your authority gives for ACME"}
		}
		if (c.ACME.EABKeyID == "") != (c.ACME.EABKeyFile == "") {
			return UsageError{"--acme-eab-kid and --acme-eab-key-file belong together"}
		}
	default:
		return UsageError{fmt.Sprintf("--tls %q: want internal, files or acme", c.TLS)}
	}
	return nil
}

// lockedTLS is what the flags say about TLS, nil when they leave it to the settings.
func (c Config) lockedTLS() (*fleet.ServerTLS, error) {
	if c.TLS == "" {
		return nil, nil
	}
	s := &fleet.ServerTLS{Mode: c.TLS, CertFile: c.TLSCert, KeyFile: c.TLSKey, Names: c.furtherNames(), Directory: c.ACME.Directory, Mail: c.ACME.Mail, EABKeyID: c.ACME.EABKeyID}
	for _, f := range []struct {
		path string
		to   *string
	}{{c.ACME.Roots, &s.Roots}, {c.ACME.EABKeyFile, &s.EABKey}} {
		if f.path == "" {
			continue
		}
		raw, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		*f.to = strings.TrimSpace(string(raw))
	}
	return s, s.Valid()
}
