package appliance

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// stored stops the appliance and returns everything in its store, decrypted: keys and values.
func (s *strict) stored() []byte {
	s.t.Helper()
	s.stop()
	keys, err := store.OpenKeys(s.config.Data, s.config.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	db, err := store.Open(s.config.Data, store.Options{Key: keys.Store, SecretsKey: keys.Secrets})
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	var all bytes.Buffer
	if err := db.View(s.t.Context(), func(tx store.Tx) error {
		return tx.Scan(store.Range{}, func(key, value []byte) (bool, error) {
			all.Write(key)
			all.WriteByte(' ')
			all.Write(value)
			all.WriteByte('\n')
			return true, nil
		})
	}); err != nil {
		s.t.Fatal(err)
	}
	if all.Len() < 10_000 {
		s.t.Fatalf("only %d bytes in the store", all.Len())
	}
	return all.Bytes()
}

// around is what stands before and after a find.
func around(text []byte, needle string) string {
	i := bytes.Index(text, []byte(needle))
	return string(text[max(0, i-120):min(len(text), i+len(needle)+60)])
}

// A personal device that tells everything, asked or not: nothing of it is kept anywhere.
func TestPersonalDeviceThatTellsTooMuch(t *testing.T) {
	w := newStrict(t)
	r := w.newRogue()
	told := map[string]any{
		"IMEI": "356938035643809", "MEID": "A1000049D90E13", "ICCID": "8931087415926535897", "PhoneNumber": "+31612345678", "CurrentCarrierNetwork": "NEEDLE-CARRIER",
		"SubscriberCarrierNetwork": "NEEDLE-SUBSCRIBER", "WiFiMAC": "0a:1b:2c:3d:4e:5f", "BluetoothMAC": "0a:1b:2c:3d:4e:60", "EASDeviceIdentifier": "NEEDLEEASID",
		"DeviceName": "NEEDLE-NAME iPhone of Anna", "iTunesStoreAccountHash": "NEEDLE-ITUNES", "iTunesStoreAccountIsActive": true, "LocationName": "NEEDLE-PLACE",
		"Latitude": 52.370216123, "Longitude": 4.895168456, "ServiceSubscriptions": []any{map[string]any{"IMEI": "356938035643817", "ICCID": "8931087415926535905", "PhoneNumber": "+31687654321", "Label": "NEEDLE-SIM"}},
		"UserLongName": "NEEDLE-LONGNAME", "UserShortName": "NEEDLE-SHORTNAME", "LocalHostName": "NEEDLE-HOST", "LastCloudBackupDate": "NEEDLE-BACKUP",
	}
	r.facts = told
	id := r.enrol(w.invitation("Anna", fleet.IOS, fleet.Personal, 1))
	unlock := bytes.Repeat([]byte("NEEDLE-UNLOCK"), 40)
	r.want(200, r.checkIn(r.check("TokenUpdate", "Topic", r.topic, "PushMagic", "m", "Token", []byte("12345678901234567890123456789012"), "UnlockToken", unlock)))
	r.want(200, r.checkIn(r.check("SetBootstrapToken", "BootstrapToken", []byte("NEEDLE-BOOTSTRAP"))))
	// To each question it gives the answers to all of them.
	apps := []any{map[string]any{"Identifier": "com.needle.dating", "Name": "NEEDLE-APP", "ShortVersion": "1", "BundleSize": 123456789}}
	a := r.want(200, r.connect(r.idle()))
	asked := ""
	for range 60 {
		if a.body == "" {
			break
		}
		c := commandIn(t, a.body)
		asked += a.body
		var result map[string]any
		plistInto(t, r.obey(c), &result)
		if c.Command.RequestType != "InstallProfile" {
			result["QueryResponses"], result["InstalledApplicationList"], result["ManagedApplicationList"] = told, apps, map[string]any{"com.needle.dating": map[string]any{"Status": "UserInstalledApp"}}
			result["SecurityInfo"] = map[string]any{"PasscodePresent": true, "IMEI": told["IMEI"], "FDE_PersonalRecoveryKeyCMS": []byte("NEEDLE-RECOVERY")}
			result["Latitude"], result["Longitude"] = told["Latitude"], told["Longitude"]
			if _, there := result["ProfileList"]; !there {
				result["ProfileList"] = []any{}
			}
			result["ProfileList"] = append(result["ProfileList"].([]any), map[string]any{"PayloadIdentifier": "com.needle.vpn", "PayloadUUID": "NEEDLE-PROFILE", "PayloadDisplayName": "NEEDLE-PROFILE"})
		}
		a = r.want(200, r.connect(encode(result)))
	}
	for _, never := range []string{"IMEI", "ICCID", "PhoneNumber", "DeviceLocation", "WiFiMAC", "EASDeviceIdentifier", "DeviceName", "iTunesStoreAccount"} {
		if strings.Contains(asked, "<string>"+never) {
			t.Errorf("a personal device is asked for %s", never)
		}
	}
	facts, err := w.Appliance.fleet.Facts(t.Context(), w.Actor, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		switch f.Key {
		case fleet.FactIMEI, fleet.FactICCID, fleet.FactPhoneNumber, fleet.FactDeviceName, fleet.FactWiFiMAC, fleet.FactApps, fleet.FactIP, fleet.FactCarrier, fleet.FactLocation, fleet.FactUnlockToken:
			t.Errorf("kept: %s = %v", f.Key, f.Value)
		}
	}
	if len(facts) == 0 {
		t.Error("nothing at all is known of it")
	}
	if list, err := w.Appliance.fleet.Apps(t.Context(), w.Actor, id); err != nil || len(list) > 0 {
		t.Errorf("apps %v, %v", list, err)
	}
	all, err := w.Appliance.fleet.Acceptances(t.Context(), w.Actor, "", fleet.ListQuery{})
	if err != nil || len(all.Items) != 1 || all.Items[0].Terms == "" {
		t.Errorf("acceptances: %d of 1, %v", len(all.Items), err)
	}
	r.works()
	d := r.device()
	if strings.Contains(d.Name, "NEEDLE") || d.LastFrom != "" {
		t.Errorf("device %+v", d)
	}
	contact := fleet.Contact{Identity: fleet.Identity{Enrolment: d.Enrolment, Device: d.ID}}
	for _, name := range []string{"unlock-token", "bootstrap-token"} {
		if _, err := w.Appliance.fleet.ReadSecret(t.Context(), contact, name); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	log, disk := []byte(w.log.text()), w.stored()
	for _, needle := range needles(told) {
		for name, text := range map[string][]byte{"log": log, "store": disk} {
			if bytes.Contains(text, []byte(needle)) {
				t.Errorf("%q in the %s: … %s …", needle, name, around(text, needle))
			}
		}
	}
}

// needles are the values to look for, in the forms that they could stand in.
func needles(told map[string]any) []string {
	out := []string{"NEEDLE", "com.needle", base64.StdEncoding.EncodeToString([]byte("NEEDLE-UNLOCK"))[:16], "356938035643817", "8931087415926535905", "+31687654321", "52.370216", "4.895168"}
	for _, v := range told {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Secrets are nowhere in the clear: not in the log, not in the audit log, not in the store behind its encryption; and the store's files show nothing.
func TestSecretsStayInTheirPlace(t *testing.T) {
	w := newStrict(t)
	f := w.Appliance.fleet
	secrets := map[string]string{"password": demoPassword, "session": w.session}
	link := w.invitation("Anna", fleet.IOS, fleet.Corporate, 1)
	secrets["invitation code"] = strings.TrimPrefix(link, w.config.URL+"/enroll/")
	r := w.newRogue()
	r.open(link)
	secrets["ticket"], secrets["challenge"] = r.ticket, r.challenge
	r.obtain()
	r.want(200, r.checkIn(r.authenticate()))
	unlock, magic := bytes.Repeat([]byte{0xa5, 0x17, 0x33}, 300), "MAGIC-5f0c9d"
	token := bytes.Repeat([]byte{0x6e, 0x21}, 16)
	r.want(200, r.checkIn(r.check("TokenUpdate", "Topic", r.topic, "PushMagic", magic, "Token", token, "UnlockToken", unlock)))
	secrets["unlock token"], secrets["unlock token, hex"], secrets["unlock token, raw"] = base64.StdEncoding.EncodeToString(unlock), hex.EncodeToString(unlock), string(unlock)
	secrets["push magic"], secrets["push token"], secrets["push token, hex"] = magic, base64.StdEncoding.EncodeToString(token), hex.EncodeToString(token)
	id := r.id()
	w.act(id, fleet.ActClearPasscode, fleet.ActionOptions{})
	for _, c := range r.settleKeeping() {
		if i := strings.Index(c, "Challenge</key>"); i >= 0 {
			secrets["mail certificate's challenge"] = strings.Split(strings.Split(c[i:], "<string>")[1], "</string>")[0]
		}
	}

	mac := w.newRogue()
	mac.platform = fleet.MacOS
	macID := mac.enrol(w.invitation("Bram", fleet.MacOS, fleet.Corporate, 1))
	bootstrap := bytes.Repeat([]byte{0xb0, 0x07}, 24)
	mac.want(200, mac.checkIn(mac.check("SetBootstrapToken", "BootstrapToken", bootstrap)))
	secrets["bootstrap token"], secrets["bootstrap token, raw"] = base64.StdEncoding.EncodeToString(bootstrap), string(bootstrap)
	mac.settle()
	lock := w.act(macID, fleet.ActLock, fleet.ActionOptions{PIN: "806173"})
	if pin, err := f.RevealPIN(t.Context(), w.Actor, lock.ID); err != nil || pin != "806173" {
		t.Fatalf("PIN %q, %v", pin, err)
	}
	secrets["PIN"] = "806173"

	mail, name, password, role, all := "second@noordhaven.example", "Second", "quiet-meadow-anchor-91", fleet.RoleOwner, true
	if _, err := f.CreateAdmin(t.Context(), w.Actor, fleet.AdminInput{Mail: &mail, Name: &name, Password: &password, Role: &role, AllTags: &all}); err != nil {
		t.Fatal(err)
	}
	secrets["second password"] = password
	first, err := f.SignIn(t.Context(), mail, password, "127.0.0.1", "test")
	if err != nil {
		t.Fatal(err)
	}
	otp, _ := url.Parse(first.TOTPURL)
	secrets["pending sign-in"], secrets["TOTP secret"] = first.Pending, otp.Query().Get("secret")
	code, err := totp(otp.Query().Get("secret"), w.now())
	if err != nil {
		t.Fatal(err)
	}
	done, err := f.SignInCode(t.Context(), first.Pending, code, "127.0.0.1", "test")
	if err != nil {
		t.Fatal(err)
	}
	secrets["second session"] = done.Session
	if len(done.Codes) == 0 {
		t.Error("no recovery codes")
	}
	for i, c := range done.Codes {
		secrets["recovery code "+string(rune('0'+i%10))] = c
	}
	_, bearer, err := f.CreateToken(t.Context(), w.Actor, "test", fleet.AllPermissions, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	secrets["API token"] = bearer

	// What administrators type for others to use.
	secrets["Wi-Fi password"], secrets["VPN secret"], secrets["relay's secret"], secrets["secret for pushes to PCs"] = "wifi-marked-41f09", "vpn-marked-82ce1", "relay-marked-77aa0", "wns-marked-0b1d6"
	secrets["account key for ACME"] = base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0x9d, 0x41}, 16))
	for kind, settings := range map[fleet.ProfileType]map[string]any{
		fleet.TypeWiFi: {"ssid": "Office", "password": secrets["Wi-Fi password"]},
		fleet.TypeVPN:  {"server": "vpn.noordhaven.example", "sign_in": "secret", "secret": secrets["VPN secret"]},
	} {
		raw, _ := json.Marshal(settings)
		name := "marked " + string(kind)
		p, err := f.CreateProfile(t.Context(), w.Actor, fleet.ProfileInput{Type: kind, Name: &name, Settings: raw})
		if err != nil {
			t.Fatal(err)
		}
		again := "renamed " + string(kind)
		if _, err := f.UpdateProfile(t.Context(), w.Actor, p.ID, fleet.ProfileInput{Name: &again}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.SaveGoogle(t.Context(), w.Actor, fleet.GoogleInput{Kind: fleet.GoogleRelay, RelayURL: "https://127.0.0.1:9", RelaySecret: secrets["relay's secret"], Enterprise: "enterprises/LC1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Appliance.android.Check(t.Context(), w.Actor); err != nil { // nobody answers there: what is said of it may stand in the log
		t.Fatal(err)
	}
	if _, err := f.SaveWindowsPush(t.Context(), w.Actor, fleet.WindowsPushInput{Family: "Noordhaven.Muster_abcdefghjkmnp", SID: "ms-app://s-1-15-2-1-2-3-4-5-6-7", Secret: secrets["secret for pushes to PCs"]}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.SaveServerTLS(t.Context(), w.Actor, fleet.ServerTLS{Mode: fleet.TLSInternal, EABKeyID: "noordhaven", EABKey: secrets["account key for ACME"]}); err != nil {
		t.Fatal(err)
	}
	_, recovery, err := f.NewRecovery(t.Context(), w.Actor)
	if err != nil {
		t.Fatal(err)
	}
	secrets["recovery key"] = recovery
	if secrets["set-up token"], err = f.SetupLink(t.Context(), setupActor("test")); err != nil {
		delete(secrets, "set-up token") // it is set up: none is given any more
	}
	var export bytes.Buffer
	if err := f.ExportAudit(t.Context(), w.Actor, fleet.AuditQuery{}, &export); err != nil {
		t.Fatal(err)
	}
	if export.Len() < 1000 {
		t.Fatalf("an export of %d bytes", export.Len())
	}
	c := newClient(t, w.world)
	var api bytes.Buffer
	for _, path := range []string{"/devices", "/devices/" + string(macID), "/devices/" + string(macID) + "/actions", "/devices/" + string(macID) + "/timeline", "/devices/" + string(id) + "/facts", "/invitations", "/admins", "/tokens", "/audit?limit=500", "/profiles?limit=500", "/settings", "/settings/tls", "/settings/google", "/recovery-key"} {
		_, body := c.do("GET", path, nil, 200, nil)
		api.Write(body)
	}
	shown := strings.ReplaceAll(api.String()+export.String(), `_hash":"(hidden)"`, "")
	for _, hash := range []string{`_hash":"`, "argon2id"} {
		if strings.Contains(shown, hash) {
			t.Errorf("hashes of secrets are given out: %s", around([]byte(shown), hash))
		}
	}
	var made struct{ Code, Secret, Token string }
	_, body := c.do("POST", "/invitations", map[string]any{"person": w.people["Anna"], "platform": "ios", "ownership": "corporate"}, 201, map[string][]string{"Idempotency-Key": {"key-1"}})
	if json.Unmarshal(body, &made); len(made.Code) < 20 {
		t.Fatalf("no code: %s", body)
	}
	secrets["code of an invitation made by the API"] = made.Code
	log, disk, files := []byte(w.log.text()), w.stored(), w.files()
	for what, secret := range secrets {
		if len(secret) < 6 {
			t.Errorf("%s is %q: nothing to look for", what, secret)
			continue
		}
		for where, text := range map[string][]byte{"log": log, "audit export": export.Bytes(), "API": api.Bytes(), "store": disk} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("the %s stands in the %s: … %q …", what, where, around(text, secret))
			}
		}
	}
	seal, err := os.ReadFile(w.config.Key)
	if err != nil {
		t.Fatal(err)
	}
	if rel, err := filepath.Rel(w.config.Data, w.config.Key); err == nil && !strings.HasPrefix(rel, "..") {
		t.Errorf("the seal key is inside the data directory: %s", w.config.Key)
	}
	if info, err := os.Stat(w.config.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the seal key can be read by others: %v", info.Mode())
	}
	if info, err := os.Stat(w.config.Data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory can be read by others: %v", info.Mode())
	}
	clear := slices.Collect(func(yield func(string) bool) {
		for _, s := range []string{string(bytes.TrimSpace(seal)), "anna@noordhaven.example", "Noordhaven Architecten", r.serial, r.udid, "BEGIN PRIVATE KEY", "BEGIN EC PRIVATE KEY"} {
			if !yield(s) {
				return
			}
		}
	})
	if len(files) < 3 {
		t.Fatalf("only %d files", len(files))
	}
	for path, content := range files {
		for _, s := range clear {
			if bytes.Contains(content, []byte(s)) {
				t.Errorf("%s shows %.20q", path, s)
			}
		}
		for what, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s shows the %s", path, what)
			}
		}
	}
}

// A seal key inside the data directory is refused: whoever has a copy of the directory would have all.
func TestSealKeyInsideTheDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "data", "seal.key")
	c := Config{Data: filepath.Join(dir, "data"), Key: inside, Listen: "127.0.0.1:0", URL: "https://127.0.0.1:1", TLS: TLSInternal, Logger: testLog(t)}
	a, err := Open(t.Context(), c)
	if err == nil {
		a.Close()
		t.Fatal("it was taken")
	}
	if _, err := os.Stat(inside); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made there: %v", err)
	}
	link := filepath.Join(dir, "elsewhere")
	if err := os.Symlink(filepath.Join(dir, "data"), link); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	c.Key = filepath.Join(link, "seal.key")
	if a, err := Open(t.Context(), c); err == nil {
		a.Close()
		t.Error("it was taken through a symbolic link")
	}
}
