package appliance

import (
	"io"
	"net/http"
	"testing"

	"muster/appliance/apple"
	"muster/pki"
)

// TestSCEPAuthoritiesForEachClient: Apple's devices get the whole chain, and clients written in Go what they can encrypt to.
func TestSCEPAuthoritiesForEachClient(t *testing.T) {
	w := newWorld(t)
	c := w.browser()
	for _, x := range []struct{ agent, message, want string }{
		{"mdmclient/1.0 CFNetwork Darwin", apple.SCEPBundle, pki.ContentTypeCABundle},
		{"Go-http-client/1.1", apple.SCEPBundle, pki.ContentTypeCA},
		{"Go-http-client/2.0", apple.SCEPBundle, pki.ContentTypeCA},
		{"Mozilla/4.0 (compatible; Win32; NDES client)", "", pki.ContentTypeCABundle},
		{"", apple.SCEPBundle, pki.ContentTypeCABundle},
		{"", pki.SCEPNameRA, pki.ContentTypeCA},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.config.DeviceURL+"/scep?operation=GetCACert&message="+x.message, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", x.agent)
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if got := res.Header.Get("Content-Type"); err != nil || got != x.want {
			t.Errorf("%q, named %q: %s, want %s (%v)", x.agent, x.message, got, x.want, err)
		}
	}
}
