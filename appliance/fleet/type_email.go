package fleet

import "strings"

// TypeEmail is a mail account. The password is never part of it (B6): the person types it on the device.
//
// Apple renders account "exchange" as com.apple.eas.account on iPhone and iPad and com.apple.ews.account on the Mac, "imap" as
// com.apple.mail.managed; Windows as ActiveSync and EMAIL2 accounts, which know a password only. The bounds and the platforms of fields are those of Apple's payload keys.
func emailDeclaration() Declaration {
	phones := []Platform{IOS, IPadOS}
	apple := []Platform{IOS, IPadOS, MacOS}
	synced := []Platform{IOS, IPadOS, Windows}
	keeping := []Platform{IOS, IPadOS, Windows, Android}
	return Declaration{
		Type:      TypeEmail,
		Targets:   targetsOf(TypeEmail),
		PerPerson: true,
		NameHint:  "profile.email.name-hint",
		Check:     checkEmail,
		Fields: []Field{
			{Key: "account", Kind: KindChoice, Default: "exchange", Required: true, Options: []string{"exchange", "imap"}, Group: "account"},
			{Key: "account_name", Kind: KindText, Default: "{{mail}}", Required: true, Max: 100, Template: true, Group: "account"},
			{Key: "address", Kind: KindMail, Default: "{{mail}}", Required: true, Template: true, Group: "account"},
			{Key: "sender_name", Kind: KindText, Default: "{{name}}", Max: 100, Template: true, When: "account=imap", Group: "account"},

			// Android has no mail accounts of its own: the account is given to a mail app.
			{Key: "android_app", Kind: KindChoice, Default: "gmail", Options: []string{"gmail", "nine", "outlook"}, Platforms: []Platform{Android}, Group: "account"},

			// host is the Exchange server, or the IMAP server.
			{Key: "host", Kind: KindHost, Required: true, Group: "server"},
			{Key: "port", Kind: KindPort, Default: 993, Required: true, When: "account=imap", Group: "server"},
			{Key: "security", Kind: KindChoice, Default: "tls", Required: true, Options: []string{"tls", "starttls"}, When: "account=imap", Group: "server"},
			{Key: "path_prefix", Kind: KindText, Max: 100, Platforms: apple, When: "account=imap", Group: "server", Advanced: true},
			{Key: "smtp_host", Kind: KindHost, Required: true, When: "account=imap", Group: "server"},
			{Key: "smtp_port", Kind: KindPort, Default: 587, Required: true, When: "account=imap", Group: "server"},
			{Key: "smtp_security", Kind: KindChoice, Default: "starttls", Required: true, Options: []string{"tls", "starttls"}, When: "account=imap", Group: "server"},
			{Key: "smtp_sign_in", Kind: KindBool, Default: true, When: "account=imap", Group: "server", Advanced: true},
			{Key: "ews_port", Kind: KindPort, Platforms: []Platform{MacOS}, When: "account=exchange", Group: "server", Advanced: true},
			{Key: "ews_path", Kind: KindText, Max: 200, Platforms: []Platform{MacOS}, When: "account=exchange", Group: "server", Advanced: true},
			{Key: "external_host", Kind: KindHost, Platforms: []Platform{MacOS}, When: "account=exchange", Group: "server", Advanced: true},

			{Key: "sign_in", Kind: KindChoice, Default: "password", Required: true, Options: []string{"password", "oauth", "certificate"}, Group: "sign-in"},
			{Key: "identity", Kind: KindProfile, RefType: TypeIdentity, Required: true, When: "sign_in=certificate", Group: "sign-in"},
			{Key: "oauth_sign_in_url", Kind: KindURL, When: "sign_in=oauth", Group: "sign-in", Advanced: true},
			{Key: "oauth_token_url", Kind: KindURL, Platforms: phones, When: "sign_in=oauth", Group: "sign-in", Advanced: true},
			{Key: "user_name_from", Kind: KindChoice, Default: "upn", Required: true, Options: []string{"upn", "mail", "template"}, Group: "sign-in"},
			{Key: "user_name", Kind: KindText, Max: 200, Required: true, Template: true, When: "user_name_from=template", Group: "sign-in"},

			// Days of mail to keep on the device; 0 is all of it.
			{Key: "days", Kind: KindDays, Default: 7, Options: []string{"1", "3", "7", "14", "31", "0"}, Platforms: keeping, When: "account=exchange", Group: "sync"},
			{Key: "sync_mail", Kind: KindBool, Default: true, Platforms: synced, When: "account=exchange", Group: "sync"},
			{Key: "sync_contacts", Kind: KindBool, Default: true, Platforms: synced, When: "account=exchange", Group: "sync"},
			{Key: "sync_calendars", Kind: KindBool, Default: true, Platforms: synced, When: "account=exchange", Group: "sync"},
			{Key: "sync_reminders", Kind: KindBool, Default: true, Platforms: synced, When: "account=exchange", Group: "sync"},
			{Key: "sync_notes", Kind: KindBool, Default: true, Platforms: phones, When: "account=exchange", Group: "sync"},
			{Key: "sync_changeable", Kind: KindBool, Default: true, Platforms: phones, When: "account=exchange", Group: "sync"},

			{Key: "prevent_move", Kind: KindBool, Default: true, Platforms: phones, Group: "limits"},
			{Key: "prevent_other_apps", Kind: KindBool, Default: false, Platforms: phones, Group: "limits"}, // on, pictures cannot be sent from Photos
			{Key: "prevent_recents", Kind: KindBool, Default: false, Platforms: phones, Group: "limits"},
			{Key: "mail_drop", Kind: KindBool, Default: false, Platforms: apple, Group: "limits", Advanced: true},
		},
	}
}

func checkEmail(v Values) map[string]Reason {
	bad := map[string]Reason{}
	if v.String("account") == "imap" && v.String("sign_in") != "password" {
		bad["sign_in"] = Why("email.exchange-only", "sign_in", v.String("sign_in"))
	}
	// With a sign-in page of its own the device asks no autodiscovery, and needs where to fetch tokens.
	if v.String("oauth_token_url") != "" && v.String("oauth_sign_in_url") == "" {
		bad["oauth_sign_in_url"] = Why("email.sign-in-url-needed")
	}
	if v.String("account") == "exchange" {
		on := false
		for _, key := range []string{"sync_mail", "sync_contacts", "sync_calendars", "sync_reminders", "sync_notes"} {
			on = on || v.Bool(key)
		}
		if !on {
			bad["sync_mail"] = Why("email.no-service") // Apple refuses the account (MCEASErrorDomain 21009)
		}
	}
	if s := v.String("ews_path"); s != "" && !strings.HasPrefix(s, "/") {
		bad["ews_path"] = Why("email.path")
	}
	return bad
}

// asksAgain are the settings of an account whose change makes the device ask for the password, or the sign-in, once more (P70).
var asksAgain = []string{"account", "host", "port", "smtp_host", "address", "sign_in", "identity", "user_name_from", "user_name", "oauth_sign_in_url", "oauth_token_url"}
