package sim

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The server's messages that the protocol sheet prints, as they stand there.
var printedMessages = map[string]string{
	"frame": `<SyncML xmlns="SYNCML:SYNCML1.2">
  <SyncHdr>
    <VerDTD>1.2</VerDTD>
    <VerProto>DM/1.2</VerProto>
    <SessionID>4</SessionID>
    <MsgID>1</MsgID>
    <Target><LocURI>A1B2C3D4E5F60718293A4B5C6D7E8F90</LocURI></Target>
    <Source><LocURI>https://mdm.example.org/ManagementServer/MDM.svc</LocURI></Source>
  </SyncHdr>
  <SyncBody>
    <Final/>
  </SyncBody>
</SyncML>`,
	"answer": `<SyncML xmlns="SYNCML:SYNCML1.2">
  <SyncHdr>
    <VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>4</SessionID><MsgID>1</MsgID>
    <Target><LocURI>A1B2C3D4E5F60718293A4B5C6D7E8F90</LocURI></Target>
    <Source><LocURI>https://mdm.example.org/ManagementServer/MDM.svc</LocURI></Source>
  </SyncHdr>
  <SyncBody>
    <Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>
    <Status><CmdID>2</CmdID><MsgRef>1</MsgRef><CmdRef>2</CmdRef><Cmd>Alert</Cmd><Data>200</Data></Status>
    <Status><CmdID>3</CmdID><MsgRef>1</MsgRef><CmdRef>3</CmdRef><Cmd>Alert</Cmd><Data>200</Data></Status>
    <Status><CmdID>4</CmdID><MsgRef>1</MsgRef><CmdRef>4</CmdRef><Cmd>Replace</Cmd><Data>200</Data></Status>
    <Get>
      <CmdID>5</CmdID>
      <Item><Target><LocURI>./DevDetail/SwV</LocURI></Target></Item>
      <Item><Target><LocURI>./DevDetail/Ext/Microsoft/SMBIOSSerialNumber</LocURI></Target></Item>
    </Get>
    <Replace>
      <CmdID>6</CmdID>
      <Item>
        <Target><LocURI>./Device/Vendor/MSFT/DMClient/Provider/Muster/EntDeviceName</LocURI></Target>
        <Meta><Format xmlns="syncml:metinf">chr</Format><Type xmlns="syncml:metinf">text/plain</Type></Meta>
        <Data>Ada's laptop</Data>
      </Item>
    </Replace>
    <Final/>
  </SyncBody>
</SyncML>`,
	"challenge": printedFrame(`<Status>
  <CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd>
  <Chal>
    <Meta>
      <Format xmlns="syncml:metinf">b64</Format>
      <Type xmlns="syncml:metinf">syncml:auth-md5</Type>
      <NextNonce xmlns="syncml:metinf">MDEyMzQ1Njc4OWFiY2RlZg==</NextNonce>
    </Meta>
  </Chal>
  <Data>407</Data>
</Status>`),
	"mail": printedFrame(`<Atomic>
  <CmdID>10</CmdID>
  <Add><CmdID>11</CmdID><Item>
    <Target><LocURI>./User/Vendor/MSFT/EMAIL2/%7B3B8E3A52-6A6C-5C5E-9E0B-6E1C9F9B2A10%7D/SERVICENAME</LocURI></Target>
    <Meta><Format xmlns="syncml:metinf">chr</Format></Meta><Data>Work mail</Data></Item></Add>
  <Add><CmdID>12</CmdID><Item>
    <Target><LocURI>./User/Vendor/MSFT/EMAIL2/%7B3B8E3A52-6A6C-5C5E-9E0B-6E1C9F9B2A10%7D/SERVICETYPE</LocURI></Target>
    <Meta><Format xmlns="syncml:metinf">chr</Format></Meta><Data>IMAP4</Data></Item></Add>
</Atomic>`),
	"unenroll": printedFrame(`<Exec>
  <CmdID>2</CmdID>
  <Item>
    <Target><LocURI>./Device/Vendor/MSFT/DMClient/Provider/Muster/Unenroll</LocURI></Target>
    <Meta><Format xmlns="syncml:metinf">chr</Format><Type xmlns="syncml:metinf">text/plain</Type></Meta>
    <Data>Muster</Data>
  </Item>
</Exec>`),
}

func printedFrame(body string) string {
	return `<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>4</SessionID><MsgID>1</MsgID><Target><LocURI>A1B2C3D4E5F60718293A4B5C6D7E8F90</LocURI></Target><Source><LocURI>https://mdm.example.org/ManagementServer/MDM.svc</LocURI></Source></SyncHdr><SyncBody>` +
		body + `<Final/></SyncBody></SyncML>`
}

func TestPrintedMessages(t *testing.T) {
	for name, text := range printedMessages {
		m, err := parseSyncML([]byte(text))
		if err != nil || len(m.faults) != 0 || !m.final || m.header.session != "4" || m.header.message != "1" {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
	m, _ := parseSyncML([]byte(printedMessages["answer"]))
	if len(m.commands) != 6 || len(m.commands[4].items) != 2 || m.commands[5].items[0].data != "Ada's laptop" || m.commands[5].items[0].format != "chr" {
		t.Errorf("answer: %+v", m.commands)
	}
	m, _ = parseSyncML([]byte(printedMessages["challenge"]))
	if c := m.commands[0]; c.data != "407" || c.auth != "syncml:auth-md5" || string(c.nonce) != "0123456789abcdef" {
		t.Errorf("challenge: %+v", c)
	}
	m, _ = parseSyncML([]byte(printedMessages["mail"]))
	if c := m.commands[0]; c.verb != "Atomic" || len(c.kids) != 2 || c.kids[1].id != "12" {
		t.Errorf("mail: %+v", c)
	}
}

// TestFirstMessage holds the client's own first message against the printed one.
func TestFirstMessage(t *testing.T) {
	const want = `<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>4</SessionID><MsgID>1</MsgID><Target><LocURI>https://mdm.example.org/ManagementServer/MDM.svc</LocURI></Target><Source><LocURI>A1B2C3D4E5F60718293A4B5C6D7E8F90</LocURI></Source>` +
		`<Cred><Meta><Format xmlns="syncml:metinf">b64</Format><Type xmlns="syncml:metinf">syncml:auth-md5</Type></Meta><Data>SIa9I/NSljX5K9I4u3D05Q==</Data></Cred></SyncHdr><SyncBody>` +
		`<Alert><CmdID>2</CmdID><Data>1201</Data></Alert><Alert><CmdID>3</CmdID><Data>1224</Data><Item><Meta><Type xmlns="syncml:metinf">com.microsoft/MDM/LoginStatus</Type></Meta><Data>user</Data></Item></Alert>` +
		`<Replace><CmdID>4</CmdID><Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Data>A1B2C3D4E5F60718293A4B5C6D7E8F90</Data></Item><Item><Source><LocURI>./DevInfo/Man</LocURI></Source><Data>LENOVO</Data></Item>` +
		`<Item><Source><LocURI>./DevInfo/Mod</LocURI></Source><Data>21CB</Data></Item><Item><Source><LocURI>./DevInfo/DmV</LocURI></Source><Data>1.3</Data></Item><Item><Source><LocURI>./DevInfo/Lang</LocURI></Source><Data>en-US</Data></Item></Replace><Final/></SyncBody></SyncML>`
	nonce, _ := base64.StdEncoding.DecodeString("MDEyMzQ1Njc4OWFiY2RlZg==")
	d := NewWindows(WindowsOptions{DeviceID: "A1B2C3D4E5F60718293A4B5C6D7E8F90"})
	d.tree.put("./DevInfo/Man", "LENOVO")
	d.tree.put("./DevInfo/Mod", "21CB")
	m := &pcManagement{provider: "Muster", addr: "https://mdm.example.org/ManagementServer/MDM.svc", sessions: 4, deviceAuth: pcCredential{kind: "DIGEST", name: "dev-0001", secret: "s3cret-Pass", nonce: nonce}}
	s := d.newSession(m)
	w := &syncWriter{}
	w.header(s.id, "1", m.addr, d.hw.deviceID, s.cred(), 0)
	sent := s.first(w)
	got := strings.TrimPrefix(string(w.finish()), `<?xml version="1.0" encoding="utf-8"?>`)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(sent) != 3 || sent["2"] != "Alert" || sent["4"] != "Replace" {
		t.Errorf("sent %v", sent)
	}
}

// TestPrintedProvisioning reads the structure of the printed document; its certificates are placeholders.
func TestPrintedProvisioning(t *testing.T) {
	const doc = `<wap-provisioningdoc version="1.1"><characteristic type="CertificateStore"><characteristic type="My"><characteristic type="User"><characteristic type="PrivateKeyContainer"/></characteristic><characteristic type="WSTEP">
        <characteristic type="Renew">
          <parm name="ROBOSupport" value="true" datatype="boolean"/>
          <parm name="RenewPeriod" value="60" datatype="integer"/>
          <parm name="RetryInterval" value="4" datatype="integer"/>
        </characteristic>
      </characteristic></characteristic></characteristic>
  <characteristic type="APPLICATION">
    <parm name="APPID" value="w7"/>
    <parm name="PROVIDER-ID" value="Muster"/>
    <parm name="NAME" value="Example Ltd device management"/>
    <parm name="ADDR" value="https://mdm.example.org/ManagementServer/MDM.svc"/>
    <parm name="CONNRETRYFREQ" value="6"/>
    <parm name="INITIALBACKOFFTIME" value="30000"/>
    <parm name="MAXBACKOFFTIME" value="120000"/>
    <parm name="BACKCOMPATRETRYDISABLED"/>
    <parm name="DEFAULTENCODING" value="application/vnd.syncml.dm+xml"/>
    <characteristic type="APPAUTH">
      <parm name="AAUTHLEVEL" value="CLIENT"/>
      <parm name="AAUTHTYPE" value="DIGEST"/>
      <parm name="AAUTHSECRET" value="random-1"/>
      <parm name="AAUTHDATA" value="MTIzNDU2Nzg5MDEyMzQ1Ng=="/>
    </characteristic>
    <characteristic type="APPAUTH">
      <parm name="AAUTHLEVEL" value="APPSRV"/>
      <parm name="AAUTHTYPE" value="DIGEST"/>
      <parm name="AAUTHNAME" value="enrolment-id"/>
      <parm name="AAUTHSECRET" value="random-2"/>
      <parm name="AAUTHDATA" value="NjU0MzIxMDk4NzY1NDMyMQ=="/>
    </characteristic>
  </characteristic>
  <characteristic type="DMClient">
    <characteristic type="Provider">
      <characteristic type="Muster">
        <parm name="UPN" value="ada@example.org" datatype="string"/>
        <parm name="EntDeviceName" value="Ada's laptop" datatype="string"/>
        <parm name="EntDMID" value="enrolment-id" datatype="string"/>
        <characteristic type="Poll">
          <parm name="NumberOfFirstRetries" value="0" datatype="integer"/>
          <parm name="IntervalForFirstSetOfRetries" value="10" datatype="integer"/>
          <parm name="NumberOfSecondRetries" value="0" datatype="integer"/>
          <parm name="IntervalForSecondSetOfRetries" value="0" datatype="integer"/>
          <parm name="NumberOfRemainingScheduledRetries" value="0" datatype="integer"/>
          <parm name="IntervalForRemainingScheduledRetries" value="0" datatype="integer"/>
          <parm name="PollOnLogin" value="true" datatype="boolean"/>
          <parm name="AllUsersPollOnFirstLogin" value="true" datatype="boolean"/>
        </characteristic>
      </characteristic>
    </characteristic>
  </characteristic>
</wap-provisioningdoc>`
	r := wapReader{kind: "Full", build: 26200, note: func(f string, _ ...any) { t.Errorf("complaint: %s", f) }}
	_, err := r.read([]byte(doc))
	// Everything else is in order: what it lacks is the certificate.
	if w, ok := err.(*WindowsError); !ok || w.HRESULT != hrCertRequest {
		t.Errorf("got %v", err)
	}
	if r.p.provider != "Muster" || r.p.poll["IntervalForFirstSetOfRetries"] != "10" || r.p.device.name != "enrolment-id" || r.p.server.secret != "random-1" {
		t.Errorf("%+v", r.p)
	}
}

func TestAccountUID(t *testing.T) {
	if got := accountUID("Muster"); got != "0x0000800c7F27E495EA2C43175BBAE775F72A4CD6979C8E2587C62EDD5DB620A75C025C9C" {
		t.Error(got)
	}
}

func TestBuilds(t *testing.T) {
	for _, c := range []struct {
		builds          string
		build, revision int
		want            bool
	}{
		{"", 10240, 0, true}, {"16299", 15063, 999, false}, {"16299", 16299, 0, true}, {"19041.1202;19042.1202;22000", 19042, 1201, false},
		{"19041.1202;22000", 19045, 1202, true}, {"19041.1202;22000", 20348, 0, true}, {"22621.5126;26100", 22631, 5125, false}, {"22621.5126;26100", 22631, 5126, true}, {"22621.5126;26100", 26200, 1, true},
	} {
		if got := since(c.builds, c.build, c.revision); got != c.want {
			t.Errorf("%q on %d.%d: %v", c.builds, c.build, c.revision, got)
		}
	}
}

// TestSchedule follows the pattern of Microsoft's own service, and the one for ever.
func TestSchedule(t *testing.T) {
	d := NewWindows(WindowsOptions{Minute: 1})
	d.mdm, d.tree.provider = &pcManagement{provider: "Muster"}, "Muster"
	at := "./Device/Vendor/MSFT/DMClient/Provider/Muster/Poll/"
	pauses := func(sets ...int) (out []int) {
		for i, name := range []string{"First", "Second", "Remaining"} {
			long, count := "IntervalFor"+name+"SetOfRetries", "NumberOf"+name+"Retries"
			if name == "Remaining" {
				long, count = "IntervalForRemainingScheduledRetries", "NumberOfRemainingScheduledRetries"
			}
			d.tree.put(at+long, strconv.Itoa(sets[2*i]))
			d.tree.put(at+count, strconv.Itoa(sets[2*i+1]))
		}
		for n := range 5 {
			out = append(out, int(d.pause(n)))
		}
		return out
	}
	if got := pauses(15, 2, 60, 2, 1440, 0); !slices.Equal(got, []int{15, 15, 60, 60, 1440}) {
		t.Errorf("%v", got)
	}
	if got := pauses(10, 0, 60, 2, 1440, 0); !slices.Equal(got, []int{10, 10, 10, 10, 10}) {
		t.Errorf("%v", got)
	}
	if got := pauses(10, 1, 0, 0, 0, 0); !slices.Equal(got, []int{10, 1440, 1440, 1440, 1440}) {
		t.Errorf("%v", got)
	}
}

// TestLostContact: the PC leaves by itself after as many days as the server allowed.
func TestLostContact(t *testing.T) {
	d := NewWindows(WindowsOptions{Minute: time.Second})
	now := time.Now()
	d.mdm, d.tree.provider = &pcManagement{provider: "Muster", lastContact: now, client: &http.Client{}}, "Muster"
	d.tree.put(d.tree.own()+"NumberOfDaysAfterLostContactToUnenroll", "2")
	d.loseContact(now.Add(47 * time.Minute))
	if d.managed() == nil {
		t.Fatal("it left too early")
	}
	d.loseContact(now.Add(49 * time.Minute))
	if d.managed() != nil || d.State().EndedBecause == "" {
		t.Error("it did not leave")
	}
}

// FuzzSyncML gives an enrolled PC arbitrary messages: it may refuse them, but must not
// break, and it answers each command that it takes.
func FuzzSyncML(f *testing.F) {
	for _, text := range printedMessages {
		f.Add([]byte(text))
	}
	f.Add([]byte(printedFrame(`<Sequence><CmdID>1</CmdID><Get><CmdID>2</CmdID><Item><Target><LocURI>./Device/Vendor/MSFT/Policy/Config?list=StructData</LocURI></Target></Item></Get></Sequence>`)))
	f.Add([]byte(printedFrame(`<Delete><CmdID>1</CmdID><Item><Target><LocURI>./Device/Vendor/MSFT/DMClient/Provider/Muster</LocURI></Target></Item></Delete>`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseSyncML(b)
		if err != nil {
			return
		}
		d := NewWindows(WindowsOptions{})
		d.mdm = &pcManagement{provider: "Muster"}
		d.tree.provider, d.tree.uid = "Muster", accountUID("Muster")
		run := d.execute(&dmSession{d: d, m: d.mdm}, m)
		answers := 0
		for _, c := range m.commands {
			if c.verb != "Status" && c.verb != "Results" {
				answers++
			}
		}
		if len(run.answers) < answers {
			t.Errorf("%d commands got %d answers", answers, len(run.answers))
		}
		w := &syncWriter{}
		w.header("1", "2", "https://example.org", "x", "", 0)
		run.write(w)
		if _, err := parseXML(w.finish()); err != nil {
			t.Errorf("the answer cannot be read: %v", err)
		}
	})
}

// FuzzProvisioning gives a PC arbitrary provisioning documents.
func FuzzProvisioning(f *testing.F) {
	f.Add([]byte(`<wap-provisioningdoc version="1.1"><characteristic type="CertificateStore"><characteristic type="Root"><characteristic type="System"/></characteristic></characteristic><characteristic type="DMClient"/></wap-provisioningdoc>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wapReader{kind: "Full", note: func(string, ...any) {}}
		if p, err := r.read(b); err == nil && p.cert == nil {
			t.Error("a document without a certificate was taken")
		}
	})
}
