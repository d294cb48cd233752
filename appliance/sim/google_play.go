package sim

import (
	"bytes"
	"encoding/base64"
	"image"
	_ "image/jpeg" // the kinds of icons
	_ "image/png"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// playApp is an app that the stand-in's Play has, with the settings that it takes by managed configuration.
type playApp struct {
	title    string
	settings []playSetting
	reports  bool // it tells by keyed app states how its configuration fared
	system   bool // comes with the phone
}

// playSetting is one key of a managed configuration.
type playSetting struct{ key, kind, title string } // kind: BOOL, STRING, INTEGER, CHOICE, MULTISELECT, HIDDEN, BUNDLE, BUNDLE_ARRAY

// Packages of apps that play a part.
const (
	packageGmail   = "com.google.android.gm"
	packageOutlook = "com.microsoft.office.outlook"
	packageNine    = "com.ninefolders.hd3.work"
	packageSamsung = "com.samsung.android.email.provider"
	packageKnox    = "com.samsung.android.knox.kpu"
	packageAgent   = "com.google.android.apps.work.clouddpc"
)

func settings(kind string, keys ...string) []playSetting {
	var out []playSetting
	for _, k := range keys {
		out = append(out, playSetting{k, kind, strings.ReplaceAll(k, "_", " ")})
	}
	return out
}

// playStore is what Play has at first. Names of settings that their makers do not print are the stand-in's own: a client must read
// them by applications.get.
func playStore() map[string]playApp {
	outlook := func(keys ...string) []string {
		for i := range keys {
			keys[i] = "com.microsoft.outlook." + keys[i]
		}
		return keys
	}
	return map[string]playApp{
		packageGmail: {title: "Gmail", system: true, settings: slices.Concat(
			settings("STRING", "email_address", "exchange_host", "exchange_username", "exchange_device_id", "exchange_login_certificate_alias", "default_signature"),
			settings("BOOL", "exchange_ssl_required", "exchange_trust_all_certificates", "allow_unmanaged_accounts"), settings("CHOICE", "exchange_authentication_type"), settings("INTEGER", "default_sync_window"))},
		packageNine: {title: "Nine Work", reports: true, settings: slices.Concat(
			settings("STRING", "AppServicePublisher", "AppServiceHost", "AppServiceHosts", "AppServiceSecondaryHost", "AppServiceSecondaryHosts", "AppSecondaryEmailDomains",
				"UserName", "UserEmail", "UserDomain", "UserDisplayName", "UserSignature", "UserLicenseNumber", "AppServiceCertificateAlias"),
			settings("INTEGER", "AppServicePort"), settings("BOOL", "AppServiceUseSSL"))},
		packageOutlook: {title: "Microsoft Outlook", reports: true, settings: slices.Concat(
			settings("STRING", append(outlook("EmailProfile.EmailAddress", "EmailProfile.EmailUPN", "EmailProfile.EmailAccountName", "EmailProfile.ServerHostName", "EmailProfile.AccountDomain"),
				"com.microsoft.intune.mam.AllowedAccountUPNs")...),
			settings("CHOICE", outlook("EmailProfile.AccountType", "EmailProfile.ServerAuthentication")...),
			settings("BOOL", outlook("Mail.FocusedInbox", "Mail.BlockExternalImagesEnabled", "Mail.SMIMEEnabled", "Mail.DefaultSignatureEnabled", "Contacts.LocalSyncEnabled", "Calendar.NativeSyncEnabled",
				"Mail.FocusedInbox.UserChangeAllowed", "Mail.BlockExternalImagesEnabled.UserChangeAllowed", "Contacts.LocalSyncEnabled.UserChangeAllowed")...))},
		packageSamsung: {title: "Samsung Email", settings: slices.Concat(
			settings("STRING", "email_address", "eas_server", "eas_user", "eas_domain", "eas_certificate_alias", "account_name", "signature"), settings("BOOL", "eas_use_ssl", "allow_add_account"))},
		packageKnox: {title: "Knox Service Plugin", reports: true, settings: slices.Concat(
			settings("STRING", "profileName", "kpeLicenseKey"), settings("BOOL", "verboseMode"), settings("BUNDLE", "doPolicies", "poPolicies", "doAppMgmt"))},
		packageAgent:                     {title: "Android Device Policy", system: true},
		"com.android.chrome":             {title: "Google Chrome", system: true, settings: settings("STRING", "HomepageLocation")},
		"com.google.android.contacts":    {title: "Contacts", system: true},
		"com.google.android.calendar":    {title: "Google Calendar"},
		"com.microsoft.office.word":      {title: "Microsoft Word"},
		"com.microsoft.teams":            {title: "Microsoft Teams"},
		"org.videolan.vlc":               {title: "VLC"},
		"com.example.kiosk":              {title: "Example kiosk"},
		"com.example.agent":              {title: "Example certificate agent", reports: true, settings: settings("STRING", "server_url", "device_key")},
		"com.google.android.apps.maps":   {title: "Google Maps", system: true},
		"com.google.android.apps.docs":   {title: "Google Drive"},
		"com.whatsapp":                   {title: "WhatsApp Messenger"},
		"com.android.vending":            {title: "Google Play Store", system: true},
		"com.google.android.gms":         {title: "Google Play services", system: true},
		"com.google.android.documentsui": {title: "Files", system: true},
	}
}

// Publish puts an app into the stand-in's Play.
func (g *Google) Publish(pkg, title string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.play[pkg] = playApp{title: title}
}

// Withdraw takes an app out of it.
func (g *Google) Withdraw(pkg string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.play, pkg)
}

func (g *Google) getApplication(e *enterprise, c *call) (dict, *googleError) {
	pkg := c.parts[1]
	a, there := g.play[pkg]
	if !there {
		return nil, notThere(e.name + "/applications/" + pkg)
	}
	var props []any
	for _, s := range a.settings {
		props = append(props, dict{"key": s.key, "type": s.kind, "title": s.title})
	}
	v := dict{"name": e.name + "/applications/" + pkg, "title": a.title, "playStoreUrl": "https://play.google.com/store/apps/details?id=" + pkg, "distributionChannel": "PUBLIC_GOOGLE_HOSTED",
		"minAndroidSdkVersion": 26, "appPricing": "FREE", "contentRating": "THREE_YEARS", "author": "Stand-in"}
	if props != nil {
		v["managedProperties"] = props
	}
	return v, nil
}

// checkWebApp holds a web app against its rules. Its shape has been checked.
func checkWebApp(v dict) *googleError {
	u, err := url.Parse(str(v, "startUrl"))
	icons := listOf(v, "icons")
	switch {
	case str(v, "title") == "":
		return invalid("web_app.title is needed.")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return invalid("web_app.start_url is not an address.")
	case !oneOf(str(v, "displayMode"), "MINIMAL_UI", "STANDALONE", "FULL_SCREEN"):
		return invalid("web_app.display_mode is needed.")
	case len(icons) == 0:
		return invalid("web_app.icons must have at least one element.")
	}
	for _, x := range icons {
		icon, _ := x.(dict)
		data := strings.TrimRight(str(icon, "imageData"), "=")
		b, err := base64.RawURLEncoding.DecodeString(data)
		if err != nil {
			return invalid("web_app.icons.image_data is not base64url.")
		}
		if c, _, err := image.DecodeConfig(bytes.NewReader(b)); err != nil || c.Width != c.Height {
			return invalid("web_app.icons.image_data is no square PNG or JPG.")
		}
	}
	return nil
}

func (g *Google) createWebApp(e *enterprise, c *call) (dict, *googleError) {
	if ref := checkWebApp(c.body); ref != nil {
		return nil, ref
	}
	pkg := "com.google.enterprise.webapp.x" + strings.ToLower(g.name(""))
	v := clone(c.body)
	v["name"], v["versionCode"] = e.name+"/webApps/"+pkg, "1"
	e.webApps[pkg] = v
	g.play[pkg] = playApp{title: str(v, "title")}
	return v, nil
}

// patchWebApp makes a new version of a web app; devices that have it get that by themselves.
func (g *Google) patchWebApp(e *enterprise, c *call) (dict, *googleError) {
	old, ref := g.getWebApp(e, c)
	if ref != nil {
		return nil, ref
	}
	next, ref := masked("WebApp", old, c.body, c.query.Get("updateMask"))
	if ref != nil {
		return nil, ref
	}
	if ref := checkWebApp(next); ref != nil {
		return nil, ref
	}
	next["name"], next["versionCode"] = old["name"], strconv.Itoa(wholeNumber(old["versionCode"])+1)
	e.webApps[c.parts[1]] = next
	g.play[c.parts[1]] = playApp{title: str(next, "title")}
	for _, d := range e.devices {
		d.phone.nudge()
	}
	return next, nil
}

// WebApps are the titles and addresses of an enterprise's web apps, by package.
func (g *Google) WebApps() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string]string{}
	for _, e := range g.enterprises {
		for pkg, v := range e.webApps {
			out[pkg] = str(v, "title") + " " + str(v, "startUrl")
		}
	}
	return out
}

// MakeWebApp is somebody making a web app in Google Play, and LoseWebApps somebody deleting all of them there.
func (g *Google) MakeWebApp(enterprise, title, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.enterprises[enterprise]
	pkg := "com.google.enterprise.webapp.x" + strings.ToLower(g.name(""))
	e.webApps[pkg] = dict{"name": enterprise + "/webApps/" + pkg, "title": title, "startUrl": address, "displayMode": "MINIMAL_UI", "versionCode": "1"}
	g.play[pkg] = playApp{title: title}
}

func (g *Google) LoseWebApps() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.enterprises {
		for pkg := range e.webApps {
			delete(e.webApps, pkg)
			delete(g.play, pkg)
		}
	}
}

func (g *Google) getWebApp(e *enterprise, c *call) (dict, *googleError) {
	v := e.webApps[c.parts[1]]
	if v == nil {
		return nil, notThere("web app")
	}
	return v, nil
}

func (g *Google) listWebApps(e *enterprise, c *call) (dict, *googleError) {
	var all []dict
	for _, k := range slices.Sorted(maps.Keys(e.webApps)) {
		all = append(all, e.webApps[k])
	}
	return pageOf(c, "webApps", all, 100, 100)
}

func (g *Google) deleteWebApp(e *enterprise, c *call) (dict, *googleError) {
	if _, ref := g.getWebApp(e, c); ref != nil {
		return nil, ref
	}
	delete(e.webApps, c.parts[1])
	delete(g.play, c.parts[1])
	return dict{}, nil
}
