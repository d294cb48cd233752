package appliance

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/rsa"
)

// benchPCs are the PCs of the bench world: as many as there are devices, enrolled through the protocol when the first benchmark wants them.
var benchPCs struct {
	once sync.Once
	list []*benchDevice
	err  error
}

func (w *benchWorld) pcs(b *testing.B) []*benchDevice {
	b.Helper()
	benchPCs.once.Do(func() {
		n := benchDevices()
		if len(benchPCs.list) == n {
			return // kept by an earlier run
		}
		const each = 500 // uses of an invitation
		links := make([]string, (n+each-1)/each)
		for i := range links {
			if links[i], benchPCs.err = w.pcLink(each); benchPCs.err != nil {
				return
			}
		}
		start := time.Now()
		benchPCs.list = make([]*benchDevice, n)
		benchPCs.err = parallel(connections, n, func(_, i int) error {
			d, err := w.enrolPC(links[i/each], w.keys[i%len(w.keys)], i)
			benchPCs.list[i] = d
			return err
		})
		if benchPCs.err == nil {
			fmt.Fprintf(os.Stderr, "bench: %d PCs enrolled through the protocol in %s\n", n, time.Since(start).Round(time.Second))
			benchPCs.err = w.keep(filepath.Dir(w.config.Data))
		}
	})
	if benchPCs.err != nil {
		b.Fatal(benchPCs.err)
	}
	return benchPCs.list
}

// pcLink is an invitation for so many PCs without a person, made through the API.
func (w *benchWorld) pcLink(uses int) (string, error) {
	body, _ := json.Marshal(map[string]any{"platform": "windows", "mode": "device", "ownership": "corporate", "uses": uses})
	req, err := http.NewRequest("POST", w.url+"/api/v1/invitations", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	resp, err := w.people().Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var out struct{ URL string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.URL == "" {
		return "", fmt.Errorf("invitation: %s, %v", resp.Status, err)
	}
	return out.URL, nil
}

var (
	codeOnPage = regexp.MustCompile(`data-code[^>]*>([^<]*)<`)
	userOnLink = regexp.MustCompile(`username=([^&"]*)`)
	tokenBack  = regexp.MustCompile(`(?s)#base64binary">([^<]*)</BinarySecurityToken>`)
	identityIn = regexp.MustCompile(`(?s)type="My">.*?EncodedCertificate" value="([^"]*)"`)
	termsField = regexp.MustCompile(`name="terms" value="([^"]*)"`)
)

// enrolPC accepts the invitation, types the code, and fetches a certificate.
func (w *benchWorld) enrolPC(link string, key *rsa.PrivateKey, n int) (*benchDevice, error) {
	jar, _ := cookiejar.New(nil)
	person := *w.people()
	person.Jar = jar
	page, err := read(person.Get(link))
	if err != nil {
		return nil, err
	}
	form := url.Values{"accept": {"on"}}
	if m := termsField.FindStringSubmatch(page); m != nil {
		form.Set("terms", m[1])
	}
	if page, err = read(person.PostForm(link, form)); err != nil {
		return nil, err
	}
	code, user := codeOnPage.FindStringSubmatch(page), userOnLink.FindStringSubmatch(page)
	if code == nil || user == nil {
		return nil, fmt.Errorf("no code on the page: %.300s", page)
	}
	name, _ := url.QueryUnescape(strings.ReplaceAll(user[1], "&amp;", "&"))
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "bench"}}, key)
	if err != nil {
		return nil, err
	}
	id := fmt.Sprintf("%032X", n+1)
	request := `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header><Security><UsernameToken><Username>` + name + `</Username><Password>` + strings.ReplaceAll(code[1], " ", "") +
		`</Password></UsernameToken></Security></s:Header><s:Body><RequestSecurityToken><RequestType>http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue</RequestType>` +
		`<BinarySecurityToken ValueType="http://schemas.microsoft.com/windows/pki/2009/01/enrollment#PKCS10">` + base64.StdEncoding.EncodeToString(csr) + `</BinarySecurityToken>` +
		`<AdditionalContext><ContextItem Name="DeviceID"><Value>` + id + `</Value></ContextItem><ContextItem Name="OSVersion"><Value>10.0.26100.1742</Value></ContextItem></AdditionalContext></RequestSecurityToken></s:Body></s:Envelope>`
	answer, err := read(w.people().Post(w.url+"/EnrollmentServer/Enrollment.svc", "application/soap+xml; charset=utf-8", strings.NewReader(request)))
	if err != nil {
		return nil, err
	}
	token := tokenBack.FindStringSubmatch(answer)
	if token == nil {
		return nil, fmt.Errorf("no document: %.300s", answer)
	}
	doc, err := base64.StdEncoding.DecodeString(token[1])
	if err != nil {
		return nil, err
	}
	own := identityIn.FindSubmatch(doc)
	if own == nil {
		return nil, fmt.Errorf("no identity: %.300s", doc)
	}
	der, err := base64.StdEncoding.DecodeString(string(own[1]))
	if err != nil {
		return nil, err
	}
	return &benchDevice{udid: id, identity: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}, nil
}

// syncML is a message of a PC; without statuses it begins a session.
func (d *benchDevice) syncML(session, msg int, statuses string) []byte {
	body := statuses
	if msg == 1 {
		body = `<Alert><CmdID>2</CmdID><Data>1201</Data></Alert><Alert><CmdID>3</CmdID><Data>1224</Data><Item><Meta><Type xmlns="syncml:metinf">com.microsoft/MDM/LoginStatus</Type></Meta><Data>user</Data></Item></Alert>` +
			`<Replace><CmdID>4</CmdID><Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Data>` + d.udid + `</Data></Item><Item><Source><LocURI>./DevInfo/Man</LocURI></Source><Data>LENOVO</Data></Item>` +
			`<Item><Source><LocURI>./DevInfo/Mod</LocURI></Source><Data>21CB</Data></Item><Item><Source><LocURI>./DevInfo/DmV</LocURI></Source><Data>1.3</Data></Item><Item><Source><LocURI>./DevInfo/Lang</LocURI></Source><Data>en-US</Data></Item></Replace>`
	}
	return fmt.Appendf(nil, `<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>%X</SessionID><MsgID>%d</MsgID><Target><LocURI>https://device/mdm/windows/session</LocURI></Target>`+
		`<Source><LocURI>%s</LocURI></Source></SyncHdr><SyncBody>%s<Final/></SyncBody></SyncML>`, session, msg, d.udid, body)
}

// say sends a SyncML message and returns the answer.
func (w *benchWorld) say(d *benchDevice, body []byte) ([]byte, error) {
	if err := w.connected(d); err != nil {
		return nil, err
	}
	return d.conn.request("POST", "/mdm/windows/session?mode=Maintenance&Platform=WoA", "application/vnd.syncml.dm+xml", body)
}

// rest has a PC answer what it is asked until nothing is asked.
func (w *benchWorld) rest(d *benchDevice) error {
	for session := 1; session < 10; session++ {
		answer, err := w.say(d, d.syncML(session, 1, ""))
		for msg := 2; err == nil && msg < 50; msg++ {
			var told struct {
				Body struct {
					Commands []struct {
						XMLName xml.Name
						ID      string `xml:"CmdID"`
					} `xml:",any"`
				} `xml:"SyncBody"`
			}
			if err := xml.Unmarshal(answer, &told); err != nil {
				return err
			}
			statuses, asked := fmt.Sprintf(`<Status><CmdID>1</CmdID><MsgRef>%d</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>200</Data></Status>`, msg-1), 0
			for i, c := range told.Body.Commands {
				verb, code := c.XMLName.Local, 200
				switch verb {
				case "Status", "Final":
					continue
				case "Get":
					code = 404
				}
				asked++
				statuses += fmt.Sprintf(`<Status><CmdID>%d</CmdID><MsgRef>%d</MsgRef><CmdRef>%s</CmdRef><Cmd>%s</Cmd><Data>%d</Data></Status>`, i+2, msg-1, c.ID, verb, code)
			}
			if asked == 0 {
				if msg == 2 {
					return nil
				}
				break
			}
			answer, err = w.say(d, d.syncML(session, msg, statuses))
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("PC %s never comes to rest", d.udid)
}

// BenchmarkIdlePC: an OMA-DM session of a PC with nothing to report and nothing to do, over mutual TLS, connections kept: one message and
// its answer.
func BenchmarkIdlePC(b *testing.B) {
	w := theBenchWorld(b)
	all := w.pcs(b)
	pcs := all[:min(connections, len(all))]
	if err := parallel(len(pcs), len(pcs), func(_, i int) error { return w.rest(pcs[i]) }); err != nil {
		b.Fatal(err)
	}
	bodies := make([][]byte, len(pcs))
	for i, d := range pcs {
		bodies[i] = d.syncML(77, 1, "")
	}
	load(b, w, 1, func(conn, _ int) error {
		answer, err := w.say(pcs[conn], bodies[conn])
		if err == nil && bytes.Contains(answer, []byte("<Item>")) {
			err = fmt.Errorf("not idle: %.300s", answer)
		}
		return err
	})
}
