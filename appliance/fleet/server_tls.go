package fleet

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/store"
)

// TLSMode says where the certificate of our own server comes from.
type TLSMode string

const (
	TLSInternal TLSMode = "internal" // issued by our own authority
	TLSFiles    TLSMode = "files"    // read from files, again when they change
	TLSACME     TLSMode = "acme"     // from an authority that speaks ACME (RFC 8555)
)

// TLSModes lists them in the order of the UI.
func TLSModes() []TLSMode { return []TLSMode{TLSInternal, TLSACME, TLSFiles} }

// ServerTLS is how our own server gets its certificate. Given as flags it is Locked.
type ServerTLS struct {
	Mode      TLSMode  `json:"mode"`
	CertFile  string   `json:"cert_file,omitempty"` // chain, PEM; a path on the server
	KeyFile   string   `json:"key_file,omitempty"`
	Chain     string   `json:"chain,omitempty"`      // PEM, given instead of the two files
	Key       string   `json:"key,omitempty"`        // PEM, of the chain; taken, never shown. Empty with the chain that is kept: its key is kept too
	KeySet    bool     `json:"key_set,omitempty"`    // a key is kept
	Directory string   `json:"directory,omitempty"`  // address of the ACME directory
	Mail      string   `json:"mail,omitempty"`       // the authority writes there; may be empty
	Roots     string   `json:"roots,omitempty"`      // PEM; of an authority that systems do not know. Devices that enrol are told to trust them
	EABKeyID  string   `json:"eab_key_id,omitempty"` // external account binding (RFC 8555, 7.3.4)
	EABKey    string   `json:"eab_key,omitempty"`    // base64url; taken, never shown
	EABSet    bool     `json:"eab_set,omitempty"`    // a key is kept
	Names     []string `json:"names,omitempty"`      // host names beside those of the two addresses that the server has a certificate for as well
	Confirmed bool     `json:"confirmed,omitempty"`  // taken: devices that do not trust the new certificate may be cut off
	Locked    bool     `json:"locked,omitempty"`
	Version   int      `json:"version"`
}

// ServerCertificate is the certificate in use for one name of the server.
type ServerCertificate struct {
	Name        string    `json:"name"`
	Further     bool      `json:"further,omitempty"` // a name from the settings, not that of an address
	Source      TLSMode   `json:"source"`            // where this one came from: after a change of mode the old one serves until the new one is there
	Issuer      string    `json:"issuer"`
	Fingerprint string    `json:"fingerprint"`
	NotBefore   time.Time `json:"not_before,omitzero"`
	NotAfter    time.Time `json:"not_after,omitzero"`
	Covers      bool      `json:"covers"`            // it is made out for the name
	Trusted     bool      `json:"trusted"`           // devices trust its authority: a public one, our own, or a private one that they are told of when they enrol
	Problem     *Reason   `json:"problem,omitempty"` // why there is no newer one
	Tried       time.Time `json:"tried,omitzero"`    // last attempt
	Next        time.Time `json:"next,omitzero"`     // next attempt, or look
}

// TLSKeeper keeps the certificate of the server; the appliance supplies it.
type TLSKeeper interface {
	// Check says what is wrong with settings, by field, before they are kept: it reads the files, or asks the authority for its directory.
	// private tells that devices do not trust by themselves what would be served.
	Check(ctx context.Context, s ServerTLS) (wrong map[string]Reason, private bool)
	// Apply takes settings into use at once. What was served is served until what takes its place is there.
	Apply(s ServerTLS)
	// Try looks for new certificates now.
	Try()
	// Certificates says what is in use, by name.
	Certificates() []ServerCertificate
}

// keptTLS is ServerTLS as stored.
type keptTLS struct {
	ServerTLS
	Sealed    []byte `json:"sealed,omitempty"`     // the key of the external account binding
	SealedKey []byte `json:"sealed_key,omitempty"` // the key of the chain
}

// What its key is sealed for.
const (
	sealTLS = "org"
	sealEAB = "tls-eab"
	sealOwn = "tls-key"
)

var keyServerTLS = []byte("org/tls")

// UseTLS adds the keeper, before anything is served.
func (f *Fleet) UseTLS(k TLSKeeper) { f.tls = k }

func (f *Fleet) serverTLS(tx store.Tx) (*keptTLS, error) {
	k := &keptTLS{ServerTLS: ServerTLS{Mode: TLSInternal}}
	raw, err := tx.Get(keyServerTLS)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("read TLS settings: %w", err)
	}
	if err == nil {
		if err := json.Unmarshal(raw, k); err != nil {
			return nil, fmt.Errorf("read TLS settings: %w", err)
		}
	}
	if k.Sealed != nil {
		key, err := f.db.Sealer().Open(sealTLS, sealEAB, k.Sealed)
		if err != nil {
			return nil, err
		}
		k.EABKey, k.EABSet = string(key), true
	}
	if k.SealedKey != nil {
		key, err := f.db.Sealer().Open(sealTLS, sealOwn, k.SealedKey)
		if err != nil {
			return nil, err
		}
		k.Key, k.KeySet = string(key), true
	}
	if f.lockedTLS != nil {
		locked := *f.lockedTLS
		locked.Locked, locked.Version, locked.EABSet = true, k.Version, locked.EABKey != ""
		return &keptTLS{ServerTLS: locked}, nil
	}
	return k, nil
}

// TLSToKeep is the settings with their secret, for the keeper.
func (f *Fleet) TLSToKeep(ctx context.Context, a Actor) (ServerTLS, error) {
	if a.Kind != ActorJob {
		return ServerTLS{}, Refuse(ErrForbidden, "forbidden", "permission", string(SettingsRead))
	}
	return viewed(ctx, f, func(tx store.Tx) (ServerTLS, error) {
		k, err := f.serverTLS(tx)
		if err != nil {
			return ServerTLS{}, err
		}
		return k.ServerTLS, nil
	})
}

// ServerTLS returns the settings, without secrets, and what is served.
func (f *Fleet) ServerTLS(ctx context.Context, a Actor) (ServerTLS, []ServerCertificate, error) {
	if err := need(a, SettingsRead); err != nil {
		return ServerTLS{}, nil, err
	}
	s, err := viewed(ctx, f, func(tx store.Tx) (ServerTLS, error) {
		k, err := f.serverTLS(tx)
		if err != nil {
			return ServerTLS{}, err
		}
		return k.shown(), nil
	})
	if err != nil {
		return ServerTLS{}, nil, err
	}
	var served []ServerCertificate
	if f.tls != nil {
		served = f.tls.Certificates()
	}
	return s, served, nil
}

// shown is without secrets.
func (k *keptTLS) shown() ServerTLS {
	s := k.ServerTLS
	s.EABKey, s.Key, s.Confirmed = "", "", false
	return s
}

// SaveServerTLS changes where the certificate comes from, at once. ErrConflict "tls.cuts-off" unless confirmed, when devices are enrolled that
// may not trust what comes.
func (f *Fleet) SaveServerTLS(ctx context.Context, a Actor, in ServerTLS) (ServerTLS, error) {
	if err := needWhole(a, SettingsEdit); err != nil {
		return ServerTLS{}, err
	}
	if f.lockedTLS != nil {
		return ServerTLS{}, refuseField(ErrInvalid, "mode", Why("settings.locked", "setting", "tls"))
	}
	in = in.trimmed()
	old, err := viewed(ctx, f, f.serverTLS)
	if err != nil {
		return ServerTLS{}, err
	}
	if in.EABKeyID == "" {
		in.EABKey = ""
	} else if in.EABKey == "" && in.EABKeyID == old.EABKeyID && in.Directory == old.Directory {
		in.EABKey = old.EABKey // with which one authority knows us: another one gets nothing made with it
	}
	in.EABSet = in.EABKey != ""
	switch {
	case in.Mode != TLSFiles: // a key that is not in use is not kept
		in.Chain, in.Key = "", ""
	case in.Key == "" && in.Chain == old.Chain:
		in.Key = old.Key
	}
	in.KeySet = in.Key != ""
	if err := checkServerTLS(&in).refuse("settings.invalid"); err != nil {
		return ServerTLS{}, err
	}
	private := false
	if f.tls != nil { // it looks at files or asks the authority: not inside of the transaction
		wrong, cuts := f.tls.Check(ctx, in)
		if err := faults(wrong).refuse("settings.invalid"); err != nil {
			return ServerTLS{}, err
		}
		private = cuts
	}
	saved, err := updated(ctx, f, func(tx store.Tx) (*keptTLS, error) {
		old, err := f.serverTLS(tx)
		if err != nil {
			return nil, err
		}
		if in.Version != 0 && in.Version != old.Version {
			return nil, Refuse(ErrConflict, "changed-meanwhile", "what", "settings")
		}
		if !in.Confirmed && cutsOff(&old.ServerTLS, &in, private) {
			if n, err := f.enrolled(tx); err != nil {
				return nil, err
			} else if n > 0 {
				return nil, Refuse(ErrConflict, "tls.cuts-off", "count", strconv.Itoa(n))
			}
		}
		k := &keptTLS{ServerTLS: in}
		k.EABKey, k.Key, k.Confirmed, k.Locked, k.Version = "", "", false, false, old.Version+1
		if in.Key != "" {
			k.SealedKey = f.db.Sealer().Seal(sealTLS, sealOwn, []byte(in.Key))
		}
		if in.EABKey != "" {
			k.Sealed = f.db.Sealer().Seal(sealTLS, sealEAB, []byte(in.EABKey))
		}
		raw, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		if err := tx.Put(keyServerTLS, raw); err != nil {
			return nil, err
		}
		if err := f.record(tx, a, "update", "server-tls", "", nil, old.shown(), k.shown()); err != nil {
			return nil, err
		}
		f.publish(tx, "settings", "")
		k.EABKey, k.Key = in.EABKey, in.Key
		return k, nil
	})
	if err != nil {
		return ServerTLS{}, err
	}
	if f.tls != nil {
		f.tls.Apply(saved.ServerTLS)
	}
	return saved.shown(), nil
}

// TryServerTLS looks for new certificates of the server now.
func (f *Fleet) TryServerTLS(ctx context.Context, a Actor) error {
	if err := needWhole(a, SettingsEdit); err != nil {
		return err
	}
	if err := f.db.Update(ctx, func(tx store.Tx) error { return f.record(tx, a, "renew", "server-tls", "", nil, nil, nil) }); err != nil {
		return err
	}
	if f.tls != nil {
		f.tls.Try()
	}
	return nil
}

// cutsOff says whether devices that trust what the old settings served may not trust what the new ones will: our own root is told to devices
// that enrol while it is in use, and roots of a private authority likewise.
func cutsOff(old, in *ServerTLS, private bool) bool {
	switch {
	case in.Mode == TLSInternal:
		return old.Mode != TLSInternal
	case private:
		return old.Mode != in.Mode || old.Roots != in.Roots || old.CertFile != in.CertFile || old.Chain != in.Chain
	}
	return false
}

// enrolled counts devices that call in, to a thousand.
func (f *Fleet) enrolled(tx store.Tx) (int, error) {
	n := 0
	for _, s := range []State{Managed, Enrolling, Retiring, Wiping} {
		c, err := devices.Count(tx, store.Query{Index: "state", Value: string(s), Limit: needsKept})
		if err != nil {
			return 0, fmt.Errorf("count devices: %w", err)
		}
		n += c
	}
	return n, nil
}

func (s ServerTLS) trimmed() ServerTLS {
	for _, t := range []*string{&s.CertFile, &s.KeyFile, &s.Directory, &s.Mail, &s.Roots, &s.EABKeyID, &s.EABKey, &s.Chain, &s.Key} {
		*t = strings.TrimSpace(*t)
	}
	s.Chain = strings.ReplaceAll(s.Chain, "\r\n", "\n")
	s.Key = strings.ReplaceAll(s.Key, "\r\n", "\n")
	s.EABKey = strings.TrimRight(s.EABKey, "=")
	s.Names = serverNames(s.Names)
	return s
}

// serverNames brings host names into the form that is kept: in small letters, each once, in the order given.
func serverNames(given []string) (names []string) {
	for _, n := range given {
		n = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(n)), ".")
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// checkServerTLS says what is wrong with settings without looking at files or asking anyone.
func checkServerTLS(s *ServerTLS) faults {
	bad := faults{}
	var modes []string
	for _, m := range TLSModes() {
		modes = append(modes, string(m))
	}
	bad.oneOf("mode", string(s.Mode), modes)
	if len(s.Names) > mostServerNames {
		bad.put("names", "input.too-many", "most", strconv.Itoa(mostServerNames))
	}
	for _, n := range s.Names {
		if !IsServerName(n) {
			bad.put("names", "tls.name", "value", clip(n, 60))
		}
	}
	switch s.Mode {
	case TLSFiles:
		if s.Chain != "" || s.Key != "" {
			if s.CertFile != "" || s.KeyFile != "" {
				bad.put("cert_file", "tls.both")
			}
			bad.text("chain", s.Chain, 1, 100_000)
			bad.text("key", s.Key, 1, 50_000)
			break
		}
		bad.line("cert_file", s.CertFile, 1, 1000)
		bad.line("key_file", s.KeyFile, 1, 1000)
	case TLSACME:
		if bad.line("directory", s.Directory, 1, 500) {
			if u, err := url.Parse(s.Directory); err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
				bad.put("directory", "input.address")
			} else if u.Scheme != "https" {
				bad.put("directory", "input.https")
			}
		}
		bad.mail("mail", s.Mail, false)
		if s.Roots != "" && len(ParseRoots(s.Roots)) == 0 {
			bad.put("roots", "tls.not-roots")
		}
		bad.text("roots", s.Roots, 0, 100_000)
		if bad.line("eab_key_id", s.EABKeyID, 0, 500) && s.EABKeyID != "" {
			if key, err := base64.RawURLEncoding.DecodeString(s.EABKey); err != nil || len(key) < 16 {
				bad.put("eab_key", "tls.eab-key")
			}
		}
	}
	return bad
}

// IsServerName says whether a certificate can be had for a host name. One of a single label is nobody's alone, and no authority certifies an
// underscore (CA/Browser Forum, ballot SC12).
func IsServerName(s string) bool {
	_, err := netip.ParseAddr(s)
	return err != nil && isHost(s) && strings.Contains(s, ".") && !strings.Contains(s, "_")
}

// mostServerNames is how many further names a server may have: each is a certificate of its own that has to be kept.
const mostServerNames = 20

// Valid says whether settings given as flags can be meant.
func (s ServerTLS) Valid() error { return checkServerTLS(&s).refuse("settings.invalid") }

// ParseRoots reads certificates in PEM; nil when something else is in there.
func ParseRoots(text string) []*x509.Certificate {
	var out []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if strings.TrimSpace(string(rest)) != "" {
				return nil
			}
			return out
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil
		}
		out = append(out, c)
	}
}

// keeperCodes are what a TLSKeeper says of settings that it tried, with their arguments.
func keeperCodes() map[string][]string {
	return map[string][]string{
		"tls.eab-required":   nil,
		"tls.ca-unreachable": {"ca", "why"},
		"tls.not-acme":       {"ca"},
		"tls.unreadable":     {"file", "why"},
		"tls.no-pair":        {"why"},
		"tls.not-valid-now":  {"from", "until"},
		"tls.name-missing":   {"name"},
		"tls.key-locked":     nil,
		"tls.chain-broken":   {"name", "next"},
		"tls.chain-ended":    {"name", "until"},
		"tls.chain-open":     {"name"},
	}
}
