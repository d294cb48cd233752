package appliance

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestWindowsDoors shows that a PC finds discovery under either name, in any case of letters, and that a session without certificate is
// told so.
func TestWindowsDoors(t *testing.T) {
	w := newWorld(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}}}
	public, device := w.Appliance.config.URL, w.Appliance.config.DeviceURL
	for _, tt := range []struct {
		name, method, url string
		want              int
	}{
		{"discovery, public", "GET", public + "/EnrollmentServer/Discovery.svc", 200},
		{"discovery, device", "GET", device + "/enrollmentserver/discovery.svc", 200},
		{"policies of nobody", "POST", device + "/EnrollmentServer/Policy.svc", 500},
		{"session without certificate", "POST", device + "/mdm/windows/session?mode=Maintenance", 400},
		{"SCEP with the suffix", "GET", device + "/scep/pkiclient.exe?operation=GetCACaps", 200},
	} {
		req, err := http.NewRequest(tt.method, tt.url, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, resp.StatusCode, body, tt.want)
		}
	}
}
