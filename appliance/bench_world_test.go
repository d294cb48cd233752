package appliance

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micromdm/plist"
	"github.com/micromdm/scep/v2/cryptoutil/x509util"
	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"

	"muster/appliance/fleet"
)

// The benchmarks run the appliance in a process of its own (real listeners, TLS, synced store) and the load in this one. All
// devices got into the store through the protocol.

// benchDevices is how many devices are in the store: 10,000, or MUSTER_BENCH_DEVICES.
func benchDevices() int {
	if n, err := strconv.Atoi(os.Getenv("MUSTER_BENCH_DEVICES")); err == nil {
		return n
	}
	return 10_000
}

// benchWorld is the appliance in its own process, and the devices enrolled there.
type benchWorld struct {
	url, deviceURL string
	roots          *x509.CertPool
	ca             []byte // root, DER
	server         *exec.Cmd
	start          func() *exec.Cmd // starts a server on the same directory and waits until it listens
	config         Config
	metrics        string // where the server tells them
	token          string
	pushes         atomic.Int64 // that reached the push service
	keys           []*rsa.PrivateKey
	devices        []*benchDevice
	links          []string
	accepted       atomic.Int64
	next           atomic.Int64
}

type benchDevice struct {
	udid      string
	identity  tls.Certificate
	installed map[string]string // profile identifier → marker
	conn      *benchConn
}

var bench struct {
	once  sync.Once
	world *benchWorld
	err   error
}

// theBenchWorld makes the world once for all benchmarks of a run.
func theBenchWorld(b *testing.B) *benchWorld {
	b.Helper()
	bench.once.Do(func() { bench.world, bench.err = makeBenchWorld(b) })
	if bench.world == nil {
		b.Fatal(bench.err)
	}
	return bench.world
}

func makeBenchWorld(b *testing.B) (*benchWorld, error) {
	dir, err := os.MkdirTemp("", "muster-bench-")
	if err != nil {
		return nil, err
	}
	cleanups = append(cleanups, func() { os.RemoveAll(dir) })
	if kept := benchKept(); kept != "" {
		if bw, err := fetchBenchWorld(b, kept, dir); bw != nil || err != nil {
			return bw, err
		}
	}
	w := newWorldIn(b, dir)
	n := benchDevices()
	var links []string
	for i := range n/50 + 600 { // a person has one device or a few
		name, mail := fmt.Sprintf("Person %d", i), fmt.Sprintf("person%d@noordhaven.example", i)
		p, err := w.Appliance.fleet.CreatePerson(b.Context(), w.Actor, fleet.PersonInput{Name: &name, Mail: &mail})
		if err != nil {
			return nil, err
		}
		w.people[name] = p.ID
		links = append(links, w.invitation(name, fleet.IOS, fleet.Corporate, 50))
	}
	_, token, err := w.Appliance.fleet.CreateToken(b.Context(), w.Actor, "load", fleet.AllPermissions, 30*24*time.Hour)
	if err != nil {
		return nil, err
	}
	w.stop()
	bw := &benchWorld{url: w.config.URL, deviceURL: w.config.DeviceURL, roots: w.roots, ca: w.Appliance.pki.Root().Raw, config: w.config, token: token, links: links}
	for range 32 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		bw.keys = append(bw.keys, k)
	}
	bw.begin(b)
	start := time.Now()
	if bw.devices, err = bw.enrol(n); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "bench: %d devices enrolled through the protocol in %s\n", n, time.Since(start).Round(time.Second))
	return bw, bw.keep(dir)
}

// begin starts the server, and a push service that takes whatever comes, as Apple's does on a good day.
func (w *benchWorld) begin(b *testing.B) {
	push := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { w.pushes.Add(1) }))
	push.EnableHTTP2 = true
	push.StartTLS()
	w.metrics = "127.0.0.1:" + ownPort(b)
	config := childConfig{Push: push.URL, PushRoot: push.Certificate().Raw, Metrics: w.metrics}
	if os.Getenv("MUSTER_BENCH_PUSH") == "dead" {
		config.Push = ""
	}
	world := &world{t: b, config: w.config, roots: w.roots}
	w.start = func() *exec.Cmd {
		child := world.child(config)
		world.serving()
		return child
	}
	w.server = w.start()
	cleanups = append(cleanups, func() { w.server.Process.Kill(); w.server.Wait(); push.Close() })
}

// enrol takes n devices the whole way: page, acceptance, profile, SCEP, Authenticate, TokenUpdate.
func (w *benchWorld) enrol(n int) ([]*benchDevice, error) {
	out := make([]*benchDevice, n)
	err := parallel(16, n, func(worker, i int) error {
		d, err := w.enrolOne()
		out[i] = d
		return err
	})
	return out, err
}

// parallel runs n calls on so many workers and returns the first error.
func parallel(workers, n int, do func(worker, i int) error) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	var first atomic.Value
	for worker := range workers {
		wg.Go(func() {
			for first.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(worker, i); err != nil {
					first.CompareAndSwap(nil, err)
				}
			}
		})
	}
	wg.Wait()
	if err, ok := first.Load().(error); ok {
		return err
	}
	return nil
}

func (w *benchWorld) enrolOne() (*benchDevice, error) {
	n := w.next.Add(1)
	key := w.keys[int(n)%len(w.keys)]
	profile, err := w.profile()
	if err != nil {
		return nil, err
	}
	message, finish, err := w.scepMessage(profile, key)
	if err != nil {
		return nil, err
	}
	resp, err := w.people().Post(profile.scepURL+"?operation=PKIOperation", "application/x-pki-message", bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	cert, err := finish(raw)
	if err != nil {
		return nil, err
	}
	d := &benchDevice{udid: fmt.Sprintf("00008101-%016X", n), identity: tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}
	for _, body := range [][]byte{d.authenticate(profile.topic), d.tokenUpdate(profile.topic)} {
		if _, err := w.send(d, "checkin", body); err != nil {
			return nil, err
		}
	}
	d.hangUp()
	return d, nil
}

// enrolmentProfile is what the load needs of a .mobileconfig.
type enrolmentProfile struct{ scepURL, challenge, topic string }

var shared struct {
	once   sync.Once
	people *http.Client
}

// people is a client as a browser has one, with connections kept.
func (w *benchWorld) people() *http.Client {
	shared.once.Do(func() {
		shared.people = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32, TLSClientConfig: &tls.Config{RootCAs: w.roots}}}
	})
	return shared.people
}

var (
	hidden  = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*>`)
	attr    = regexp.MustCompile(`(name|value)="([^"]*)"`)
	fetchIt = regexp.MustCompile(`<a[^>]*data-step="profile"[^>]*>`)
	href    = regexp.MustCompile(`href="([^"]*)"`)
)

// profile accepts the invitation once more and fetches the profile that belongs to it.
func (w *benchWorld) profile() (*enrolmentProfile, error) {
	jar, _ := cookiejar.New(nil)
	person := *w.people()
	person.Jar = jar
	link := w.links[int(w.accepted.Add(1)-1)%len(w.links)]
	page, err := read(person.Get(link))
	if err != nil {
		return nil, err
	}
	form := url.Values{"accept": {"yes"}}
	for _, input := range hidden.FindAllString(page, -1) {
		var name, value string
		for _, a := range attr.FindAllStringSubmatch(input, -1) {
			if a[1] == "name" {
				name = a[2]
			} else {
				value = a[2]
			}
		}
		form.Set(name, value)
	}
	page, err = read(person.PostForm(link, form))
	if err != nil {
		return nil, err
	}
	found := href.FindStringSubmatch(fetchIt.FindString(page))
	if found == nil {
		return nil, fmt.Errorf("no profile on the page: %.400s", page)
	}
	file, err := read(person.Get(w.url + strings.ReplaceAll(found[1], "&amp;", "&")))
	if err != nil {
		return nil, err
	}
	raw := []byte(file)
	if p7, err := pkcs7.Parse(raw); err == nil {
		raw = p7.Content
	}
	var loose struct{ PayloadContent []map[string]any }
	if err := plist.Unmarshal(raw, &loose); err != nil {
		return nil, err
	}
	out := &enrolmentProfile{}
	for _, payload := range loose.PayloadContent {
		switch payload["PayloadType"] {
		case "com.apple.security.scep":
			inner, _ := payload["PayloadContent"].(map[string]any)
			out.scepURL, _ = inner["URL"].(string)
			out.challenge, _ = inner["Challenge"].(string)
		case "com.apple.mdm":
			out.topic, _ = payload["Topic"].(string)
		}
	}
	return out, nil
}

func read(resp *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.300s", resp.Request.Method, resp.Request.URL, resp.Status, b)
	}
	return string(b), err
}

var caCerts struct {
	once  sync.Once
	certs []*x509.Certificate
	err   error
}

// scepMessage makes a PKCSReq as a phone does; finish opens the answer.
func (w *benchWorld) scepMessage(p *enrolmentProfile, key *rsa.PrivateKey) ([]byte, func([]byte) (*x509.Certificate, error), error) {
	caCerts.once.Do(func() {
		var raw string
		if raw, caCerts.err = read(w.people().Get(p.scepURL + "?operation=GetCACert")); caCerts.err == nil {
			caCerts.certs, caCerts.err = scep.CACerts([]byte(raw))
		}
	})
	if caCerts.err != nil {
		return nil, nil, caCerts.err
	}
	csr, err := requestWithChallenge(key, p.challenge)
	if err != nil {
		return nil, nil, err
	}
	signer, err := selfSigned(key)
	if err != nil {
		return nil, nil, err
	}
	var ra []*x509.Certificate
	for _, c := range caCerts.certs {
		if c.PublicKeyAlgorithm == x509.RSA {
			ra = append(ra, c)
		}
	}
	msg, err := scep.NewCSRRequest(csr, &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: ra, SignerKey: key, SignerCert: signer})
	if err != nil {
		return nil, nil, err
	}
	return msg.Raw, func(raw []byte) (*x509.Certificate, error) {
		answer, err := scep.ParsePKIMessage(raw, scep.WithCACerts(caCerts.certs))
		if err != nil {
			return nil, err
		}
		if answer.PKIStatus != scep.SUCCESS {
			return nil, fmt.Errorf("SCEP status %s, %s", answer.PKIStatus, answer.FailInfo)
		}
		if err := answer.DecryptPKIEnvelope(signer, key); err != nil {
			return nil, err
		}
		return answer.CertRepMessage.Certificate, nil
	}, nil
}

// requestWithChallenge is a PKCS #10 request with a challengePassword (RFC 2985, section 5.4.1).
func requestWithChallenge(key *rsa.PrivateKey, challenge string) (*x509.CertificateRequest, error) {
	der, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: "phone"}}, ChallengePassword: challenge,
	}, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificateRequest(der)
}

// selfSigned is the throw-away certificate that signs a SCEP request.
func selfSigned(key *rsa.PrivateKey) (*x509.Certificate, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "phone"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (d *benchDevice) serial() string { return "B" + d.udid[len(d.udid)-9:] }

func (d *benchDevice) authenticate(topic string) []byte {
	return message("MessageType", "Authenticate", "UDID", d.udid, "Topic", topic, "OSVersion", "26.1", "BuildVersion", "23B85",
		"ProductName", "iPhone15,2", "SerialNumber", d.serial(), "DeviceName", "iPhone", "Model", "MQ0G3", "ModelName", "iPhone")
}

func (d *benchDevice) tokenUpdate(topic string) []byte {
	token, _ := hex.DecodeString(strings.Repeat("ab", 24) + d.udid[len(d.udid)-16:])
	var b bytes.Buffer
	plist.NewEncoder(&b).Encode(map[string]any{"MessageType": "TokenUpdate", "UDID": d.udid, "Topic": topic, "PushMagic": "magic-" + d.udid, "Token": token})
	return b.Bytes()
}

// message is a plist of strings.
func message(pairs ...string) []byte {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	var b bytes.Buffer
	plist.NewEncoder(&b).Encode(m)
	return b.Bytes()
}

// resident is the server's memory in MB: now and its highest (Linux).
func (w *benchWorld) resident() (now, peak float64) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.server.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for _, line := range strings.Split(string(raw), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			now = kb / 1024
		case "VmHWM:":
			peak = kb / 1024
		}
	}
	return now, peak
}

// processor is the processor time that the server has used (Linux): it tells more than the rate on a machine that does other work too.
func (w *benchWorld) processor() time.Duration {
	return processorOf(strconv.Itoa(w.server.Process.Pid))
}

// processorOf is that of any process; "self" is the load.
func processorOf(process string) time.Duration {
	raw, err := os.ReadFile("/proc/" + process + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name before it may hold blanks
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100) // in hundredths: USER_HZ
}

// keep notes the identifier and marker of an installed profile, for ProfileList. They are its own, and so stand behind those of its payloads.
func (d *benchDevice) keep(command []byte) {
	_, payload, _ := bytes.Cut(command, []byte("<data>"))
	payload, _, _ = bytes.Cut(payload, []byte("</data>"))
	raw, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(payload), nil)))
	if err != nil {
		return
	}
	if d.installed == nil {
		d.installed = map[string]string{}
	}
	d.installed[lastOf(raw, "PayloadIdentifier")] = lastOf(raw, "PayloadUUID")
}

// lastOf finds the last text that stands under a key of a property list: enough for the load, and cheap.
func lastOf(list []byte, key string) string {
	at := bytes.LastIndex(list, []byte("<key>"+key+"</key>"))
	if at < 0 {
		return ""
	}
	_, rest, _ := bytes.Cut(list[at:], []byte("<string>"))
	text, _, _ := bytes.Cut(rest, []byte("</string>"))
	return string(text)
}

// call uses the API, as an administrator's program does.
func (w *benchWorld) call(method, path, body string, out any) error {
	req, err := http.NewRequest(method, w.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.people().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %.300s", method, path, resp.Status, raw)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// idOf asks for the id of a device.
func (w *benchWorld) idOf(d *benchDevice) (string, error) {
	var l struct{ Items []struct{ ID, Serial string } }
	serial := d.serial()
	if err := w.call("GET", "/devices?q="+serial, "", &l); err != nil {
		return "", err
	}
	for _, item := range l.Items {
		if item.Serial == serial {
			return item.ID, nil
		}
	}
	return "", fmt.Errorf("no device with serial %s", serial)
}

func (d *benchDevice) profiles() []any {
	out := []any{}
	for identifier, marker := range d.installed {
		out = append(out, map[string]any{"PayloadIdentifier": identifier, "PayloadUUID": marker, "PayloadVersion": 1})
	}
	return out
}
