package android

import (
	"net"

	"muster/appliance/fleet"
)

// Android has no mail accounts that a policy could set: each mail app takes its account as its own managed configuration. These are the apps that
// are known here, and their keys.
const (
	appGmail   = "com.google.android.gm"
	appNine    = "com.ninefolders.hd3.work"
	appOutlook = "com.microsoft.office.outlook"
	appSamsung = "com.samsung.android.email.provider"
	appKnox    = "com.samsung.android.knox.kpu" // Knox Service Plugin
)

var mailApps = map[string]string{"gmail": appGmail, "nine": appNine, "outlook": appOutlook}

// emailApplies says what of a mail account the chosen app cannot be told.
func emailApplies(v fleet.Values) (bool, fleet.Reason) {
	app := v.String("android_app")
	switch {
	case v.String("account") == "imap":
		return false, why("android.not-applicable.imap")
	case app == "gmail" && v.String("sign_in") == "oauth":
		return false, why("android.not-applicable.gmail-oauth")
	case app == "nine" && v.String("sign_in") != "password":
		return false, why("android.not-applicable.nine-sign-in")
	case app == "outlook" && v.String("sign_in") == "certificate":
		return false, why("android.not-applicable.outlook-certificate")
	}
	return true, fleet.Reason{}
}

// email renders a mail account into the managed configuration of a mail app. The person types the password; no key for it is ever set.
func (r *rendering) email(p *fleet.Profile) (tree, error) {
	v, err := fleet.Fill(p, r.person)
	if err != nil {
		return nil, err
	}
	var config map[string]any
	pkg := mailApps[v.String("android_app")]
	switch pkg {
	case appNine:
		config = map[string]any{"AppServicePublisher": "Muster", "AppServiceHost": v.String("host"), "AppServicePort": 443}
	case appOutlook:
		config = r.outlook(v)
	default:
		pkg = appGmail
		config = r.gmail(v)
	}
	t := tree{"applications": map[string]any{pkg: map[string]any{"installType": "FORCE_INSTALLED", "managedConfiguration": config}}}
	if v.String("sign_in") == "certificate" {
		t["choosePrivateKeyRules"] = mayUse(fleet.ProfileID(v.String("identity")), pkg)
	}
	return t, nil
}

// gmail: https://support.google.com/a/answer/9062283 lists the keys.
func (r *rendering) gmail(v fleet.Values) map[string]any {
	out := map[string]any{
		"email_address":                   v.String("address"),
		"exchange_host":                   net.JoinHostPort(v.String("host"), "443"),
		"exchange_username":               r.userName(v),
		"exchange_ssl_required":           true,
		"exchange_trust_all_certificates": false,
		"allow_unmanaged_accounts":        false,
		"default_sync_window":             gmailWindow(v.Int("days")),
	}
	if v.String("sign_in") == "certificate" {
		out["exchange_login_certificate_alias"] = alias(fleet.ProfileID(v.String("identity")))
	}
	return out
}

// gmailWindow is how much mail is kept on the device.
func gmailWindow(days int) int {
	switch {
	case days == 0:
		return 0
	case days <= 1:
		return 1
	case days <= 3:
		return 2
	case days <= 7:
		return 3
	case days <= 14:
		return 4
	}
	return 5
}

// outlook: https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/outlook-for-ios-and-android lists the keys.
func (r *rendering) outlook(v fleet.Values) map[string]any {
	const prefix = "com.microsoft.outlook.EmailProfile."
	out := map[string]any{
		prefix + "EmailAddress":                       v.String("address"),
		prefix + "EmailUPN":                           r.upn(),
		"com.microsoft.intune.mam.AllowedAccountUPNs": r.upn(),
	}
	if v.String("sign_in") == "oauth" {
		out[prefix+"AccountType"] = "ModernAuth"
		return out
	}
	out[prefix+"AccountType"] = "BasicAuth"
	out[prefix+"ServerAuthentication"] = "Username and Password"
	out[prefix+"ServerHostName"] = v.String("host")
	out[prefix+"EmailAccountName"] = r.userName(v)
	return out
}

// userName is with what the account signs in.
func (r *rendering) userName(v fleet.Values) string {
	switch v.String("user_name_from") {
	case "upn":
		return r.upn()
	case "mail":
		if r.person != nil {
			return r.person.Mail
		}
	}
	return v.String("user_name")
}

func (r *rendering) upn() string {
	if r.person == nil {
		return ""
	}
	return firstOf(r.person.UPN, r.person.Mail)
}
