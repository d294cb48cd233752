package appliance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"muster/appliance/fleet"
)

// Check tries settings before they are kept: it reads the files, or asks the authority for its directory.
func (k *serverTLS) Check(ctx context.Context, s fleet.ServerTLS) (map[string]fleet.Reason, bool) {
	switch s.Mode {
	case fleet.TLSFiles:
		c, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return unreadable(s, err), false
		}
		return k.a.checkPair(&c), !publicChain(&c)
	case fleet.TLSACME:
		return checkDirectory(ctx, s), s.Roots != ""
	}
	return nil, false
}

// unreadable says which of the two files is to blame, or both.
func unreadable(s fleet.ServerTLS, err error) map[string]fleet.Reason {
	faults := map[string]fleet.Reason{}
	for field, path := range map[string]string{"cert_file": s.CertFile, "key_file": s.KeyFile} {
		if err := readable(path); err != nil {
			faults[field] = fleet.Why("tls.unreadable", "file", path, "why", err.Error())
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return map[string]fleet.Reason{"cert_file": fleet.Why("tls.no-pair", "why", err.Error())}
}

// checkPair looks at the dates of a certificate and whether it is made out for our names.
func (a *Appliance) checkPair(c *tls.Certificate) map[string]fleet.Reason {
	leaf := leafOf(c)
	if leaf == nil {
		return map[string]fleet.Reason{"cert_file": fleet.Why("tls.no-pair", "why", "no certificate")}
	}
	if now := a.config.Clock(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return map[string]fleet.Reason{"cert_file": fleet.Why("tls.not-valid-now", "from", leaf.NotBefore.UTC().Format(time.RFC3339), "until", leaf.NotAfter.UTC().Format(time.RFC3339))}
	}
	for _, name := range a.hosts() {
		if leaf.VerifyHostname(name) != nil {
			return map[string]fleet.Reason{"cert_file": fleet.Why("tls.name-missing", "name", name)}
		}
	}
	return nil
}

// acmeDirectory is what we look at in a directory (RFC 8555, 7.1.1).
type acmeDirectory struct {
	NewNonce   string `json:"newNonce"`
	NewAccount string `json:"newAccount"`
	NewOrder   string `json:"newOrder"`
	Meta       struct {
		ExternalAccountRequired bool `json:"externalAccountRequired"`
	} `json:"meta"`
}

// checkDirectory asks the authority for its directory.
func checkDirectory(ctx context.Context, s fleet.ServerTLS) map[string]fleet.Reason {
	d, _, err := readDirectory(ctx, s)
	switch {
	case err != nil:
		return map[string]fleet.Reason{"directory": fleet.Why("tls.ca-unreachable", "ca", s.Directory, "why", err.Error())}
	case d.NewNonce == "" || d.NewAccount == "" || d.NewOrder == "":
		return map[string]fleet.Reason{"directory": fleet.Why("tls.not-acme", "ca", s.Directory)}
	case d.Meta.ExternalAccountRequired && s.EABKeyID == "":
		return map[string]fleet.Reason{"eab_key_id": fleet.Why("tls.eab-required")}
	}
	return nil
}

// readDirectory gets the directory and the authority's time. What is no JSON is an empty directory.
func readDirectory(ctx context.Context, s fleet.ServerTLS) (d acmeDirectory, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	if roots := fleet.ParseRoots(s.Roots); roots != nil {
		pool := x509.NewCertPool()
		for _, c := range roots {
			pool.AddCert(c)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Directory, nil)
	if err != nil {
		return d, at, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return d, at, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return d, at, fmt.Errorf("the answer was %s", resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return d, at, err
	}
	_ = json.Unmarshal(raw, &d)
	at, _ = http.ParseTime(resp.Header.Get("Date"))
	return d, at, nil
}
