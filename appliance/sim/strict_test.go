package sim_test

import (
	"encoding/base64"
	"encoding/pem"
	"testing"
	"time"

	"muster/appliance/sim"
)

// easPayload is an Exchange account that a device accepts.
func easPayload(n int, keys dict) dict {
	p := payloadOf("com.apple.eas.account", "example.mail.eas", n, dict{"EmailAddress": "anna@example.org", "Host": "mail.example.org", "SSL": true,
		"UserName": "anna@example.org", "MailNumberOfPastDaysToSync": 14, "PreventMove": true})
	for k, v := range keys {
		p[k] = v
	}
	return p
}

func imapPayload(n int, keys dict) dict {
	p := payloadOf("com.apple.mail.managed", "example.mail.imap", n, dict{"EmailAccountType": "EmailTypeIMAP", "EmailAddress": "anna@example.org",
		"IncomingMailServerAuthentication": "EmailAuthPassword", "IncomingMailServerHostName": "imap.example.org", "IncomingMailServerUsername": "anna",
		"OutgoingMailServerAuthentication": "EmailAuthPassword", "OutgoingMailServerHostName": "smtp.example.org", "OutgoingMailServerUsername": "anna"})
	for k, v := range keys {
		p[k] = v
	}
	return p
}

// TestStrictness holds the device against profiles that a real one refuses, given by InstallProfile.
func TestStrictness(t *testing.T) {
	s := newServer(t)
	phone, mac := enrolled(t, s, options(s, sim.IPhone)), enrolled(t, s, options(s, sim.Mac))
	change := func(p dict, f func(dict)) dict { f(p); return p }
	mail := func(keys dict) dict { return profileOf("example.mail", 20, easPayload(21, keys)) }
	scep := func(f func(inner dict)) dict {
		p := s.scepPayload("example.id", 31)
		f(p["PayloadContent"].(dict))
		return profileOf("example.identity", 30, p)
	}
	root := func(kind string, content any) dict {
		return profileOf("example.root", 40, payloadOf(kind, "example.root.ca", 41, dict{"PayloadContent": content}))
	}
	passcode := func(keys dict) dict {
		return profileOf("example.pass", 50, payloadOf("com.apple.mobiledevice.passwordpolicy", "example.pass.rule", 51, keys))
	}
	update := func(f func(top, mdm dict)) dict {
		e := s.enrolment()
		f(e, e["PayloadContent"].([]any)[1].(dict))
		return e
	}
	pemOf := func() []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Raw}) }
	const install, prof, payl, cert, eas, mdm = "MCInstallationErrorDomain", "MCProfileErrorDomain", "MCPayloadErrorDomain", "MCCertificateErrorDomain", "MCEASErrorDomain", "MCMDMErrorDomain"
	for _, c := range []struct {
		name    string
		payload any // dict, []byte or whatever else Payload may wrongly be
		domain  string
		code    int
		mac     string // "ok": a Mac takes it; "": the same refusal; "-": not tried
	}{
		{"not a property list", []byte("hello"), prof, 1000, ""},
		{"base64 twice", []byte(base64.StdEncoding.EncodeToString(encode(t, mail(nil)))), prof, 1000, ""},
		{"a string", "text", prof, 1000, ""},
		{"an array", []byte(`<?xml version="1.0"?><plist version="1.0"><array/></plist>`), prof, 1000, ""},
		{"another PayloadType", change(root("com.apple.security.root", s.ca.Raw), func(p dict) { p["PayloadType"] = "Other" }), install, 4011, ""},
		{"no top PayloadVersion", change(passcode(nil), func(p dict) { delete(p, "PayloadVersion") }), prof, 1002, "ok"},
		{"top PayloadVersion 2", change(passcode(nil), func(p dict) { p["PayloadVersion"] = 2 }), prof, 1001, "ok"},
		{"PayloadVersion as text", change(passcode(nil), func(p dict) { p["PayloadVersion"] = "1" }), prof, 1003, ""},
		{"no top identifier", change(passcode(nil), func(p dict) { delete(p, "PayloadIdentifier") }), prof, 1002, ""},
		{"empty top identifier", change(passcode(nil), func(p dict) { p["PayloadIdentifier"] = "" }), prof, 1010, ""},
		{"no top UUID", change(passcode(nil), func(p dict) { delete(p, "PayloadUUID") }), prof, 1002, ""},
		{"no content", change(passcode(nil), func(p dict) { p["PayloadContent"] = []any{} }), prof, 1005, ""},
		{"removal date gone by", change(passcode(nil), func(p dict) { p["RemovalDate"] = time.Now().Add(-time.Hour) }), install, 4006, ""},
		{"top boolean as integer", change(passcode(nil), func(p dict) { p["PayloadRemovalDisallowed"] = 1 }), prof, 1003, "ok"},
		{"payload without version", profileOf("p", 60, change(payloadOf("com.apple.mobiledevice.passwordpolicy", "p.a", 61, dict{"minLength": 4}), func(p dict) { delete(p, "PayloadVersion") })), payl, 2002, "ok"},
		{"payload version 2", passcode(dict{"PayloadVersion": 2}), payl, 2001, "ok"},
		{"payload that is no dictionary", change(passcode(nil), func(p dict) { p["PayloadContent"] = []any{"x"} }), payl, 2000, ""},
		{"payload boolean as integer", passcode(dict{"forcePIN": 1}), payl, 2003, "ok"},
		{"payload integer as text", passcode(dict{"minLength": "6"}), payl, 2003, ""},
		{"policy out of bounds", passcode(dict{"minLength": 17}), payl, 2004, ""},
		{"half an hour to lock", passcode(dict{"maxInactivity": 30}), payl, 2004, "ok"},
		{"UUID twice", profileOf("p", 60, payloadOf("x.y", "p.a", 61, nil), payloadOf("x.y", "p.b", 61, nil)), prof, 1007, ""},
		{"UUID of the profile again", profileOf("p", 60, payloadOf("x.y", "p.a", 60, nil)), prof, 1007, ""},
		{"identifier twice", profileOf("p", 60, payloadOf("x.y", "p.a", 61, nil), payloadOf("x.y", "p.a", 62, nil)), prof, 1008, ""},
		{"UUID of another installed profile", profileOf("p", 60, payloadOf("x.y", "p.a", 2, nil)), install, 4002, ""},
		{"top UUID of another installed profile", profileOf("p", 1, payloadOf("x.y", "p.a", 61, nil)), install, 4002, ""},

		{"mail without address", change(mail(nil), func(p dict) { delete(p["PayloadContent"].([]any)[0].(dict), "EmailAddress") }), payl, 2002, "-"},
		{"mail without user name", mail(dict{"UserName": ""}), payl, 2004, "-"},
		{"mail without host", mail(dict{"Host": ""}), eas, 21003, "-"},
		{"mail with no service", mail(dict{"EnableMail": false, "EnableContacts": false, "EnableCalendars": false, "EnableReminders": false, "EnableNotes": false}), eas, 21009, "-"},
		{"mail for 5 days", mail(dict{"MailNumberOfPastDaysToSync": 5}), payl, 2004, "-"},
		{"mail with a certificate of another profile", mail(dict{"PayloadCertificateUUID": uuid(2)}), payl, 2004, "-"},
		{"mail with a root for identity", profileOf("example.mail", 20, easPayload(21, dict{"PayloadCertificateUUID": uuid(22)}),
			payloadOf("com.apple.security.root", "example.mail.root", 22, dict{"PayloadContent": s.ca.Raw})), cert, 9006, "-"},
		{"two accounts alike", profileOf("example.mail", 20, easPayload(21, nil), easPayload(22, dict{"PayloadIdentifier": "example.mail.other"})), eas, 21005, "-"},
		{"IMAP with unknown authentication", profileOf("example.mail", 20, imapPayload(21, dict{"IncomingMailServerAuthentication": "Password"})), payl, 2004, "-"},
		{"Exchange for Mac", profileOf("p", 60, payloadOf("com.apple.ews.account", "p.a", 61, dict{"EmailAddress": "a@b", "UserName": "a"})), install, 4023, ""},

		{"SCEP key type without its blank", scep(func(i dict) { delete(i, "Key Type"); i["KeyType"] = "RSA" }), payl, 2004, ""},
		{"SCEP key usage without its blank", scep(func(i dict) { i["KeyUsage"] = 5 }), payl, 2004, ""},
		{"SCEP with elliptic curves", scep(func(i dict) { i["Key Type"] = "EC" }), payl, 2004, ""},
		{"SCEP with 3072 bits", scep(func(i dict) { i["Keysize"] = 3072 }), payl, 2004, ""},
		{"SCEP without URL", scep(func(i dict) { delete(i, "URL") }), payl, 2002, ""},
		{"SCEP subject on two levels", scep(func(i dict) { i["Subject"] = []any{[]any{"CN", "x"}} }), payl, 2003, ""},
		{"SCEP subject as text", scep(func(i dict) { i["Subject"] = "CN=x" }), payl, 2003, ""},
		{"SCEP subject of unknown type", scep(func(i dict) { i["Subject"] = []any{[]any{[]any{"CommonName", "x"}}} }), payl, 2003, ""},
		{"SCEP alternative name of a wrong type", scep(func(i dict) { i["SubjectAltName"] = dict{"ntPrincipalName": []any{"x"}} }), payl, 2003, ""},
		{"SCEP settings at payload level", profileOf("example.identity", 30, payloadOf("com.apple.security.scep", "example.id", 31, dict{"URL": s.URL})), payl, 2002, ""},

		{"root that is no certificate", root("com.apple.security.root", []byte("x")), cert, 9005, ""},
		{"root in PEM as DER", root("com.apple.security.root", pemOf()), cert, 9005, ""},
		{"root as text", root("com.apple.security.root", "x"), payl, 2003, ""},
		{"PEM in DER", root("com.apple.security.pem", s.ca.Raw), cert, 9005, ""},
		{"two certificates in one PEM", root("com.apple.security.pem", append(pemOf(), pemOf()...)), cert, 9001, ""},
		{"PKCS #12 that cannot be opened", root("com.apple.security.pkcs12", []byte("x")), cert, 9000, ""},

		{"update with another topic", update(func(_, m dict) { m["Topic"] = "com.apple.mgmt.External.x" }), mdm, 12012, ""},
		{"update with another server", update(func(_, m dict) { m["ServerURL"] = "https://other.example.org/mdm" }), mdm, 12012, ""},
		{"update with a check-in address", update(func(_, m dict) { m["CheckInURL"] = s.URL + "/mdm2" }), mdm, 12012, ""},
		{"update that drops the user channel", update(func(_, m dict) { delete(m, "ServerCapabilities") }), mdm, 12012, ""},
		{"update with empty topic", update(func(_, m dict) { m["Topic"] = "" }), mdm, 12022, ""},
		{"update without rights", update(func(_, m dict) { m["AccessRights"] = 0 }), mdm, 12000, ""},
		{"rights that need others", update(func(_, m dict) { m["AccessRights"] = 2 }), mdm, 12000, ""},
		{"update over http", update(func(_, m dict) { m["ServerURL"] = "http://mdm.example.org" }), mdm, 12034, ""},
		{"update whose identity is elsewhere", update(func(_, m dict) { m["IdentityCertificateUUID"] = uuid(99) }), mdm, 12005, ""},
		{"update with another identifier", update(func(p, _ dict) { p["PayloadIdentifier"] = "other" }), install, 4010, ""},
		{"update without management", change(s.enrolment(), func(p dict) { p["PayloadContent"] = p["PayloadContent"].([]any)[:1] }), install, 4015, ""},
	} {
		for who, d := range map[string]*sim.Apple{"iPhone": phone, "Mac": mac} {
			if who == "Mac" && c.mac == "-" {
				continue
			}
			t.Run(c.name+" on "+who, func(t *testing.T) {
				payload := c.payload
				if p, ok := payload.(dict); ok {
					payload = encode(t, p)
				}
				r := run(t, s, d, "InstallProfile", dict{"Payload": payload})
				if who == "Mac" && c.mac == "ok" {
					if r["Status"] != "Acknowledged" {
						t.Errorf("a Mac answered %v", r)
					}
					run(t, s, d, "RemoveProfile", dict{"Identifier": c.payload.(dict)["PayloadIdentifier"]})
					return
				}
				wantError(t, r, c.domain, c.code)
			})
		}
	}
	for _, d := range []*sim.Apple{phone, mac} {
		if st := d.State(); len(st.Profiles) != 1 || len(st.Accounts) != 0 {
			t.Errorf("something stayed: %+v", st.Profiles)
		}
	}
}

// run gives a device one command and returns its answer.
func run(t *testing.T, s *server, d *sim.Apple, kind string, keys dict) dict {
	t.Helper()
	id := s.order(kind, keys)
	if err := d.Connect(t.Context()); err != nil {
		t.Fatalf("connect: %v", err)
	}
	r := s.result(id)
	if r == nil {
		t.Fatalf("no answer to %s", kind)
	}
	return r
}

// wantError checks the innermost element of an ErrorChain, and that it has more than one when a profile was refused.
func wantError(t *testing.T, r dict, domain string, code int) {
	t.Helper()
	chain, _ := r["ErrorChain"].([]any)
	if r["Status"] != "Error" || len(chain) == 0 {
		t.Errorf("answer %v, want %s %d", r, domain, code)
		return
	}
	last := chain[len(chain)-1].(dict)
	n, _ := last["ErrorCode"].(uint64)
	if last["ErrorDomain"] != domain || int(n) != code || last["LocalizedDescription"] == "" {
		t.Errorf("refused with %v, want %s %d", chain, domain, code)
	}
}
