package sim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"muster/appliance/sim"

	"software.sslmate.com/src/go-pkcs12"
)

const (
	guid    = "%7B3B8E3A52-6A6C-5C5E-9E0B-6E1C9F9B2A10%7D"
	email2  = "./User/Vendor/MSFT/EMAIL2/" + guid
	eas     = "./User/Vendor/MSFT/ActiveSync/Accounts/" + guid
	lock    = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/"
	wlan    = "./Device/Vendor/MSFT/WiFi/Profile/Office/WlanXml"
	wlanXML = `<WLANProfile xmlns="http://www.microsoft.com/networking/WLAN/profile/v1"><name>Office</name><SSIDConfig><SSID><hex>4F6666696365</hex><name>Office</name></SSID></SSIDConfig><connectionType>ESS</connectionType><connectionMode>auto</connectionMode><MSM><security><authEncryption><authentication>WPA2PSK</authentication><encryption>AES</encryption><useOneX>false</useOneX></authEncryption><sharedKey><keyType>passPhrase</keyType><protected>false</protected><keyMaterial>correct horse</keyMaterial></sharedKey></security></MSM></WLANProfile>`
)

// mailAdds is a complete mail account.
func mailAdds() []string {
	var out []string
	for _, n := range [][2]string{{"SERVICENAME", "Work mail"}, {"ACCOUNTTYPE", "Email"}, {"SERVICETYPE", "IMAP4"}, {"INSERVER", "imap.example.org:993"}, {"OUTSERVER", "smtp.example.org:465"},
		{"AUTHNAME", "ada"}, {"REPLYADDR", "ada@example.org"}, {"SYNCINGCONTENTTYPES", "2"}, {"TAGPROPS/8128000B", "1"}, {"TAGPROPS/812C000B", "1"}} {
		out = append(out, cmd("Add", email2+"/"+n[0], "chr", n[1]))
	}
	return out
}

// TestWindowsStatus holds the status of single commands.
func TestWindowsStatus(t *testing.T) {
	for name, c := range map[string]struct {
		send string
		want string
		pc   func(*sim.WindowsOptions)
	}{
		"read a fact":                       {get("./DevDetail/Ext/Microsoft/SMBIOSSerialNumber"), "200", nil},
		"read what is not there":            {get("./DevDetail/Ext/Microsoft/TotalStorage"), "404", nil},
		"read an unknown node":              {get("./Device/Vendor/MSFT/Nothing"), "404", nil},
		"a LocURI without its dot":          {get("/DevDetail/SwV"), "404", nil},
		"without regard to case":            {get("./devdetail/SWV"), "200", nil},
		"write a fact":                      {cmd("Replace", "./DevDetail/SwV", "chr", "1"), "405", nil},
		"read what can only be done":        {get("./Device/Vendor/MSFT/RemoteWipe/doWipe"), "405", nil},
		"a query that nobody knows":         {get("./DevDetail/SwV?list=Other"), "406", nil},
		"a subtree where there is none":     {get("./DevDetail?list=StructData"), "406", nil},
		"a subtree":                         {get("./Device/Vendor/MSFT/EnterpriseModernAppManagement/AppManagement/AppStore?list=StructData"), "200", nil},
		"a wrong format":                    {cmd("Replace", lock+"DevicePasswordEnabled", "chr", "0"), "415", nil},
		"no number":                         {cmd("Replace", lock+"DevicePasswordEnabled", "int", "yes"), "415", nil},
		"a number out of range":             {cmd("Replace", lock+"MinDevicePasswordLength", "int", "17"), "500", nil},
		"a range with a gap":                {cmd("Replace", lock+"MaxDevicePasswordFailedAttempts", "int", "3"), "500", nil},
		"a value of that range":             {cmd("Replace", lock+"MaxDevicePasswordFailedAttempts", "int", "4"), "200", nil},
		"a policy of the 2024 update":       {cmd("Replace", lock+"PasswordComplexity", "int", "1"), "404", nil},
		"the same on its branch":            {cmd("Replace", lock+"PasswordComplexity", "int", "1"), "200", func(o *sim.WindowsOptions) { o.OSVersion = "10.0.22631.5126" }},
		"the same later":                    {cmd("Replace", lock+"PasswordComplexity", "int", "1"), "200", func(o *sim.WindowsOptions) { o.OSVersion = "10.0.26100.1" }},
		"a wipe that came with 1709":        {cmd("Exec", "./Device/Vendor/MSFT/RemoteWipe/doWipePersistUserData", "chr", "-"), "404", func(o *sim.WindowsOptions) { o.OSVersion = "10.0.15063" }},
		"a wipe without recovery":           {cmd("Exec", "./Device/Vendor/MSFT/RemoteWipe/doWipe", "chr", "-"), "500", func(o *sim.WindowsOptions) { o.NoWinRE = true }},
		"a restart on Home":                 {cmd("Exec", "./Device/Vendor/MSFT/Reboot/RebootNow", "null", "-"), "404", func(o *sim.WindowsOptions) { o.Edition = "Home" }},
		"a lock":                            {cmd("Exec", "./Device/Vendor/MSFT/RemoteLock/Lock", "null", "-"), "405", nil},
		"delete what is not there":          {cmd("Delete", email2, "", "-"), "404", nil},
		"for a user who is not there":       {get(email2 + "/NAME"), "500", func(o *sim.WindowsOptions) { o.Mood.SignedOut = true }},
		"another server's settings":         {cmd("Replace", "./Device/Vendor/MSFT/DMClient/Provider/Other/UPN", "chr", "x"), "425", nil},
		"add twice":                         {cmd("Add", "./Device/Vendor/MSFT/DMClient/Provider/Example/EntDMID", "chr", "x"), "418", nil},
		"replace in an account to come":     {cmd("Replace", wlan, "chr", wlanXML), "404", nil},
		"add a Wi-Fi profile":               {cmd("Add", wlan, "chr", wlanXML), "200", nil},
		"a Wi-Fi profile of another name":   {cmd("Add", strings.Replace(wlan, "Office", "Home", 1), "chr", wlanXML), "500", nil},
		"a Wi-Fi profile of https":          {cmd("Add", wlan, "chr", strings.Replace(wlanXML, "http:", "https:", 1)), "500", nil},
		"an SSID in wrong digits":           {cmd("Add", wlan, "chr", strings.Replace(wlanXML, "4F66", "4F67", 1)), "500", nil},
		"a Wi-Fi proxy":                     {cmd("Add", "./Device/Vendor/MSFT/WiFi/Profile/Office/Proxy", "chr", "proxy:80"), "500", nil},
		"a VPN profile":                     {cmd("Add", "./User/Vendor/MSFT/VPNv2/Work/ProfileXML", "chr", `<VPNProfile><NativeProfile><Servers>vpn.example.org</Servers><NativeProtocolType>IKEv2</NativeProtocolType></NativeProfile></VPNProfile>`), "200", nil},
		"half a VPN profile":                {cmd("Add", "./User/Vendor/MSFT/VPNv2/Work/ProfileXML", "chr", `<VPNProfile/>`), "500", nil},
		"a backed policy not yet known":     {cmd("Replace", "./Device/Vendor/MSFT/Policy/Config/Outlook~Policy~x/y", "chr", "<enabled/>"), "404", nil},
		"a mood":                            {get("./DevDetail/SwV"), "405", func(o *sim.WindowsOptions) { o.Mood.Answers = map[string]int{"./DevDetail/": 405} }},
		"a half mail account":               {cmd("Add", email2+"/NAME", "chr", "x"), "500", nil},
		"no data for a channel":             {cmd("Replace", "./Device/Vendor/MSFT/DMClient/Provider/Example/Push/PFN", "chr", "x"), "200", nil},
		"a redeployment without its tenant": {cmd("Exec", "./Device/Vendor/MSFT/RemoteWipe/AutomaticRedeployment/doAutomaticRedeployment", "chr", "-"), "500", nil},
		"an app job for another product":    {cmd("Exec", "./Device/Vendor/MSFT/EnterpriseDesktopAppManagement/MSI/"+guid+"/DownloadInstall", "xml", `<MsiInstallJob id="{x}"/>`), "500", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWinServer(t)
			d := s.pc(c.pc)
			if codes, _ := s.run(d, c.send); !slices.Equal(codes, []string{c.want}) {
				t.Errorf("codes %q, want %s", codes, c.want)
			}
		})
	}
}

func TestWindowsItemsApart(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	two := strings.Replace(get("./DevDetail/SwV"), "</Get>", "<Item><Target><LocURI>./DevDetail/Nothing</LocURI></Target></Item></Get>", 1)
	codes, found := s.run(d, two)
	if !slices.Equal(codes, []string{"200", "404"}) || found["./DevDetail/SwV"] == "" {
		t.Errorf("%q %q", codes, found)
	}
}

func TestWindowsAtomic(t *testing.T) {
	set := func(name, v string) string { return cmd("Replace", lock+name, "int", v) }
	good := []string{set("DevicePasswordEnabled", "0"), set("MinDevicePasswordLength", "8")}
	for name, c := range map[string]struct {
		kids []string
		want string
		pc   func(*sim.WindowsOptions)
	}{
		"all":                     {good, "200 200 200", nil},
		"none":                    {append(slices.Clone(good), set("MinDevicePasswordLength", "99"), set("AllowSimpleDevicePassword", "0")), "507 216 216 500 215", nil},
		"cannot go back":          {append(slices.Clone(good), set("MinDevicePasswordLength", "99")), "507 516 516 500", func(o *sim.WindowsOptions) { o.Mood.RollbackBad = true }},
		"a Get":                   {append(slices.Clone(good), get("./DevDetail/SwV")), "507 216 216 500", nil},
		"an Atomic":               {append(slices.Clone(good), whole(set("AllowSimpleDevicePassword", "0"))), "507 216 216 500", nil},
		"user and device":         {append(slices.Clone(good), cmd("Add", email2+"/NAME", "chr", "x")), "507 500 215 215", nil},
		"a user who is away":      {[]string{cmd("Add", email2+"/NAME", "chr", "x")}, "507 500", func(o *sim.WindowsOptions) { o.Mood.SignedOut = true }},
		"a mail account":          {mailAdds(), "200" + strings.Repeat(" 200", 10), nil},
		"half a mail account":     {mailAdds()[:5], "507" + strings.Repeat(" 216", 5), nil},
		"a name that is too long": {append([]string{cmd("Add", email2+"/SERVICENAME", "chr", strings.Repeat("x", 33))}, mailAdds()[1:]...), "507 500" + strings.Repeat(" 215", 9), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWinServer(t)
			d := s.pc(c.pc)
			codes, _ := s.run(d, whole(c.kids...))
			if got := strings.Join(codes, " "); got != c.want {
				t.Errorf("codes %s, want %s", got, c.want)
			}
			st := d.State()
			kept := len(st.Policies) + len(st.MailAccounts)
			if failed := strings.HasPrefix(c.want, "507"); failed == (kept > 0) && c.pc == nil {
				t.Errorf("kept %v %v", st.Policies, st.MailAccounts)
			}
		})
	}
}

func TestWindowsMailAccount(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	s.run(d, whole(mailAdds()...))
	codes, found := s.run(d, get("./User/Vendor/MSFT/EMAIL2")+cmd("Replace", email2+"/SERVICENAME", "chr", "x")+cmd("Replace", email2+"/NAME", "chr", "Ada")+
		cmd("Add", email2+"/SERVICENAME", "chr", "x")+cmd("Delete", email2, "", "-"))
	if !slices.Equal(codes, []string{"200", "405", "200", "418", "200"}) || found["./User/Vendor/MSFT/EMAIL2"] != "" || len(d.State().MailAccounts) != 0 {
		t.Errorf("%q %q %q", codes, found, d.State().MailAccounts)
	}
}

func TestWindowsExchangeAccount(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	account := whole(cmd("Add", eas+"/EmailAddress", "chr", "ada@example.org"), cmd("Add", eas+"/ServerName", "chr", "mail.example.org"), cmd("Add", eas+"/Password", "chr", "x"))
	s.run(d, account)
	_, found := s.run(d, get("./User/Vendor/MSFT/ActiveSync/Accounts")+get(eas+"/Password"))
	if found["./User/Vendor/MSFT/ActiveSync/Accounts"] != guid || found[eas+"/Password"] != "********" || !slices.Equal(d.State().MailAccounts, []string{"ada@example.org"}) {
		t.Errorf("%q", found)
	}
	codes, _ := s.run(d, account)
	if codes[0] != "507" || codes[1] != "418" || len(d.State().MailAccounts) != 0 {
		t.Errorf("an Add over an account: %q, %q", codes, d.State().MailAccounts)
	}
}

func TestWindowsPolicy(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	s.run(d, whole(cmd("Replace", lock+"DevicePasswordEnabled", "int", "0"), cmd("Replace", lock+"MinDevicePasswordLength", "int", "8")))
	_, found := s.run(d, get("./Device/Vendor/MSFT/Policy/Result/DeviceLock/MinDevicePasswordLength")+get("./Device/Vendor/MSFT/Policy/Config/DeviceLock"))
	if found["./Device/Vendor/MSFT/Policy/Result/DeviceLock/MinDevicePasswordLength"] != "8" || found["./Device/Vendor/MSFT/Policy/Config/DeviceLock"] != "DevicePasswordEnabled/MinDevicePasswordLength" {
		t.Errorf("%q", found)
	}
	if st := d.State(); !st.MustChangePassword || st.Policies[lock+"MinDevicePasswordLength"] != "8" || len(st.Complaints) != 0 {
		t.Errorf("%+v", st)
	}
	codes, _ := s.run(d, cmd("Add", "./Device/Vendor/MSFT/Policy/ConfigOperations/ADMXInstall/Outlook/Policy/file", "chr", `<policyDefinitions/>`),
		cmd("Replace", "./User/Vendor/MSFT/Policy/Config/Outlook~Policy~L_x/y", "chr", "<enabled/>")+cmd("Delete", lock+"MinDevicePasswordLength", "", "-")+get(lock+"MinDevicePasswordLength"))
	if !slices.Equal(codes, []string{"200", "200", "200", "404"}) {
		t.Errorf("codes %q", codes)
	}
}

func TestWindowsRoot(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	other := selfCA(t, s.caKey)
	at := "./Device/Vendor/MSFT/RootCATrustedCertificates/Root/" + thumb(other.Raw)
	data := base64.StdEncoding.EncodeToString(other.Raw)
	codes, _ := s.run(d, cmd("Add", at+"/EncodedCertificate", "b64", data[:10]+"\n"+data[10:])+cmd("Add", strings.Replace(at, at[len(at)-2:], "00", 1)+"/EncodedCertificate", "b64", data)+
		cmd("Add", at+"/EncodedCertificate", "b64", data)+get(at+"/IssuedTo")+get("./Device/Vendor/MSFT/CertificateStore/ROOT/System/"+thumb(other.Raw)+"/EncodedCertificate")+
		cmd("Add", "./User/Vendor/MSFT/RootCATrustedCertificates/Root/"+thumb(other.Raw)+"/EncodedCertificate", "b64", data))
	if !slices.Equal(codes, []string{"500", "500", "200", "200", "200", "404"}) || len(d.State().Roots) != 1 {
		t.Errorf("codes %q, %d roots", codes, len(d.State().Roots))
	}
	codes, _ = s.run(d, cmd("Delete", at, "", "-")+get("./Device/Vendor/MSFT/CertificateStore/ROOT/System/"+thumb(other.Raw)+"/EncodedCertificate"))
	if !slices.Equal(codes, []string{"200", "404"}) || len(d.State().Roots) != 0 {
		t.Errorf("after removal: %q", codes)
	}
}

func TestWindowsPFX(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	blob, err := pkcs12.Modern.Encode(s.caKey, s.ca, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	const at = "./User/Vendor/MSFT/ClientCertificateInstall/PFXCertInstall/id-1"
	install := func(password string) string {
		return whole(cmd("Add", at+"/KeyLocation", "int", "3"), cmd("Add", at+"/PFXCertBlob", "chr", base64.StdEncoding.EncodeToString(blob)),
			cmd("Add", at+"/PFXCertPassword", "chr", password), cmd("Add", at+"/PFXKeyExportable", "bool", "false"))
	}
	_, found := s.run(d, install("wrong"), get(at+"/Status"), cmd("Delete", at, "", "-"))
	if found[at+"/Status"] != "86" || len(d.State().Certificates) != 0 {
		t.Errorf("with a wrong password: %q", found)
	}
	_, found = s.run(d, install("secret"), get(at+"/Status")+get(at+"/Thumbprint"))
	if found[at+"/Status"] != "0" || found[at+"/Thumbprint"] != thumb(s.ca.Raw) || len(d.State().Certificates) != 1 {
		t.Errorf("%q", found)
	}
	s.run(d, cmd("Delete", at, "", "-"))
	if len(d.State().Certificates) != 0 {
		t.Error("the identity outlived its node")
	}
}

func TestWindowsSCEP(t *testing.T) {
	const at = "./User/Vendor/MSFT/ClientCertificateInstall/SCEP/id-1"
	for name, c := range map[string]struct {
		pc        func(*sim.WindowsOptions)
		root      string // "": the right one
		challenge string
		status    string
	}{
		"enrols":            {nil, "", "once", "1"},
		"at pkiclient.exe":  {func(o *sim.WindowsOptions) { o.PKIClient = true }, "", "once", "1"},
		"another root":      {nil, strings.Repeat("0", 40), "once", "16"},
		"another challenge": {nil, "", "twice", "16"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWinServer(t)
			d := s.pc(c.pc)
			root := c.root
			if root == "" {
				root = thumb(s.ca.Raw)
			}
			var adds []string
			for _, n := range [][3]string{{"ServerURL", "chr", s.URL + "/scep"}, {"Challenge", "chr", c.challenge}, {"EKUMapping", "chr", "1.3.6.1.5.5.7.3.2"}, {"KeyUsage", "int", "160"},
				{"SubjectName", "chr", `CN="Ada, Countess",O=Example`}, {"SubjectAlternativeNames", "chr", "11+ada@example.org;2+ada@example.org"}, {"KeyLength", "int", "2048"},
				{"HashAlgorithm", "chr", "SHA-2"}, {"CAThumbprint", "chr", root}, {"RetryCount", "int", "1"}} {
				adds = append(adds, cmd("Add", at+"/Install/"+n[0], n[1], n[2]))
			}
			codes, _ := s.run(d, whole(append(adds, cmd("Exec", at+"/Install/Enroll", "null", "-"))...))
			if slices.ContainsFunc(codes, func(c string) bool { return c != "200" }) {
				t.Fatalf("codes %q", codes)
			}
			_, found := s.run(d, get(at+"/Status"))
			if found[at+"/Status"] != c.status {
				t.Fatalf("status %q, last error %q", found[at+"/Status"], d.State().LastError)
			}
			if c.status != "1" {
				return
			}
			csr := s.scep.csrs[0]
			if certs := d.State().Certificates; len(certs) != 1 || certs[0].CommonName != "Ada, Countess" || csr.EmailAddresses[0] != "ada@example.org" {
				t.Errorf("%+v", certs)
			}
			_, found = s.run(d, get(at+"/CertThumbprint"))
			if len(found[at+"/CertThumbprint"]) != 40 {
				t.Errorf("%q", found)
			}
			if n := len(d.State().Complaints); n != 0 {
				t.Errorf("complaints %q", d.State().Complaints)
			}
		})
	}
}

func TestWindowsWipes(t *testing.T) {
	wipe := func(how string) string { return cmd("Exec", "./Device/Vendor/MSFT/RemoteWipe/"+how, "chr", "-") }
	t.Run("everything", func(t *testing.T) {
		s := newWinServer(t)
		d := s.pc(nil)
		if err := s.session(d, wipe("doWipe")); err != nil && d.State().Enrolled {
			t.Fatal(err)
		}
		if codes, _ := s.answers(); !slices.Equal(codes, []string{"200"}) {
			t.Errorf("codes %q", codes)
		}
		if st := d.State(); st.Enrolled || st.Wiped != "doWipe" || len(st.Policies) != 0 {
			t.Errorf("%+v", st)
		}
	})
	t.Run("keeping enrolment and account", func(t *testing.T) {
		s := newWinServer(t)
		d := s.pc(nil)
		s.run(d, whole(cmd("Replace", lock+"DevicePasswordEnabled", "int", "0")))
		s.run(d, wipe("doWipePersistUserData"))
		if st := d.State(); !st.Enrolled || st.Wiped != "" || len(st.Policies) != 0 || st.Restarts != 1 || !slices.Equal(st.Resets, []string{"doWipePersistUserData"}) {
			t.Errorf("%+v", st)
		}
		if codes, _ := s.run(d, get("./Device/Vendor/MSFT/DMClient/Provider/Example/EntDMID")); !slices.Equal(codes, []string{"200"}) {
			t.Errorf("codes %q", codes)
		}
	})
}

func TestWindowsRestarts(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	s.run(d, cmd("Exec", "./Device/Vendor/MSFT/Reboot/RebootNow", "null", "-"))
	if n := d.State().Restarts; n != 1 {
		t.Errorf("%d restarts", n)
	}
}

func TestWindowsChannel(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	const push = "./Device/Vendor/MSFT/DMClient/Provider/Example/Push/"
	_, found := s.run(d, get(push+"Status")+get(push+"ChannelURI"), cmd("Replace", push+"PFN", "chr", "Example.Muster_8wekyb3d8bbwe"), get(push+"ChannelURI")+get(push+"Status"))
	if !strings.Contains(found[push+"ChannelURI"], ".notify.windows.com/") || found[push+"Status"] != "0" || d.State().Channel != found[push+"ChannelURI"] {
		t.Errorf("%q", found)
	}
	if s.mustSession(d.Push(t.Context())); s.alerts()[len(s.alerts())-2] != "1200" {
		t.Errorf("alerts %q", s.alerts())
	}
}

func (s *winServer) mustSession(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestWindowsMSI(t *testing.T) {
	const at = "./Device/Vendor/MSFT/EnterpriseDesktopAppManagement/MSI/" + guid
	job := func(s *winServer, content string) string {
		sum := sha256.Sum256([]byte(content))
		return `<MsiInstallJob id="{3B8E3A52-6A6C-5C5E-9E0B-6E1C9F9B2A10}"><Product Version="1.4.0"><Download><ContentURLList><ContentURL>` + s.URL + `/agent.msi</ContentURL></ContentURLList></Download><Validation><FileHash>` +
			hex.EncodeToString(sum[:]) + `</FileHash></Validation><Enforcement><CommandLine>/quiet</CommandLine><TimeOut>10</TimeOut><RetryCount>3</RetryCount><RetryInterval>5</RetryInterval></Enforcement></Product></MsiInstallJob>`
	}
	for content, want := range map[string]string{"an installer": "70", "another": "60"} {
		s := newWinServer(t)
		d := s.pc(nil)
		s.run(d, cmd("Add", at+"/DownloadInstall", "xml", "")+cmd("Exec", at+"/DownloadInstall", "xml", job(s, content)))
		_, found := s.run(d, get(at+"/Status"))
		if found[at+"/Status"] != want || !slices.ContainsFunc(s.alerts(), func(a string) bool { return strings.Contains(a, "win32csp_install") }) {
			t.Errorf("%s: %q, alerts %q", content, found, s.alerts())
		}
		if apps := d.State().Apps; (want == "70") != (len(apps) == 1) {
			t.Errorf("apps %q", apps)
		}
	}
}

func TestWindowsAccountSecret(t *testing.T) {
	s := newWinServer(t)
	s.login = "md5"
	d := s.pc(func(o *sim.WindowsOptions) { o.NoTLSCert = true })
	const account = "./SyncML/DMAcc/0x0000800c"
	uri := ""
	_, found := s.run(d, get("./SyncML/DMAcc"))
	if uri = "./SyncML/DMAcc/" + found["./SyncML/DMAcc"]; !strings.HasPrefix(uri, account) {
		t.Fatalf("%q", found)
	}
	codes, _ := s.run(d, cmd("Replace", uri+"/AppAuth/CLCRED/AAuthSecret", "chr", "other")+get(uri+"/AppAuth/CLCRED/AAuthSecret")+cmd("Add", uri+"/Ext/Microsoft/InitiateSession", "null", ""))
	if len(codes) < 3 || !slices.Equal(codes[:3], []string{"200", "405", "200"}) {
		t.Errorf("codes %q", codes)
	}
}

func TestWindowsFacts(t *testing.T) {
	a, b := sim.NewWindows(sim.WindowsOptions{Seed: 3}), sim.NewWindows(sim.WindowsOptions{Seed: 3})
	if a.State().Serial != b.State().Serial || a.State().DeviceID != b.State().DeviceID || len(a.State().DeviceID) != 32 {
		t.Error("the same seed makes different PCs")
	}
	c := sim.NewWindows(sim.WindowsOptions{Name: "PC-1", Serial: "S1", Edition: "Enterprise", OSVersion: "10.0.26100.1742"}).State()
	if c.Name != "PC-1" || c.Serial != "S1" || c.EditionSKU != 4 || c.OSVersion != "10.0.26100.1742" {
		t.Errorf("%+v", c)
	}
	if v, there := a.Node("./DevInfo/DmV"); !there || v != "1.3" {
		t.Errorf("DmV %q", v)
	}
}
