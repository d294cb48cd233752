package sim

import (
	"fmt"
	"slices"
	"strings"
)

// AndroidMail is an account that a mail app has made from its configuration.
type AndroidMail struct {
	App, Address, Host, User string
	Certificate              string // alias of the identity that it signs in with; blank: the person types a password
	Problem                  string // why it cannot be used; blank: it can
}

// mailKeys tells where each mail app's configuration names the parts of an account.
var mailKeys = map[string]AndroidMail{
	packageGmail:   {Address: "email_address", Host: "exchange_host", User: "exchange_username", Certificate: "exchange_login_certificate_alias"},
	packageNine:    {Address: "UserEmail", Host: "AppServiceHost", User: "UserName", Certificate: "AppServiceCertificateAlias"},
	packageSamsung: {Address: "email_address", Host: "eas_server", User: "eas_user", Certificate: "eas_certificate_alias"},
	packageOutlook: {Address: "com.microsoft.outlook.EmailProfile.EmailAddress", Host: "com.microsoft.outlook.EmailProfile.ServerHostName", User: "com.microsoft.outlook.EmailProfile.EmailUPN"},
}

// mailAccounts lists the accounts of the configured mail apps. d.mu is held.
func (d *Android) mailAccounts() []AndroidMail {
	var out []AndroidMail
	for pkg, keys := range mailKeys {
		config := d.work.apps[pkg].Config
		m := AndroidMail{App: pkg, Address: str(config, keys.Address), Host: str(config, keys.Host), User: str(config, keys.User)}
		if keys.Certificate != "" {
			m.Certificate = str(config, keys.Certificate)
		}
		if m.Address == "" || m.Host == "" && pkg != packageOutlook {
			continue
		}
		if m.Certificate != "" {
			m.Problem = d.certificateProblem(pkg, m.Certificate)
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b AndroidMail) int { return strings.Compare(a.App, b.App) })
	return out
}

// certificateProblem is why an app may not sign in with an identity: there is none of that alias, or no rule gives it to the app.
func (d *Android) certificateProblem(pkg, alias string) string {
	if d.work.ids[alias] == nil {
		return fmt.Sprintf("there is no certificate %q", alias)
	}
	for _, v := range listOf(d.work.policy, "choosePrivateKeyRules") {
		rule, _ := v.(dict)
		if str(rule, "privateKeyAlias") == alias && slices.Contains(stringList(rule, "packageNames"), pkg) {
			return ""
		}
	}
	return fmt.Sprintf("no rule lets the app use the certificate %q", alias)
}
