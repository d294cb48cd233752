package appliance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// targetWorld knows how to enrol a device for each target, and settings of each type that everything declared for it takes.
type targetWorld struct {
	*androids
	identity, root fleet.ProfileID
	seed           int64
}

// enrolFor enrols a device for a target and gives its id. Whoever declares targets on a new platform or mode adds the way here.
func (w *targetWorld) enrolFor(t fleet.Target, person string) (fleet.DeviceID, bool) {
	w.seed++
	name := fmt.Sprintf("%s %s %s", t.Platform, t.Mode, t.Ownership)
	kinds := map[fleet.Platform]sim.Kind{fleet.IOS: sim.IPhone, fleet.IPadOS: sim.IPad, fleet.MacOS: sim.Mac}
	switch {
	case t.Platform == fleet.Android:
		if t.Mode == fleet.ModeKiosk {
			person = "" // belongs to nobody
		}
		_, id := w.phone(person, t.Mode, sim.AndroidOptions{Seed: w.seed, Password: "482913"})
		return id, true
	case t.Mode != fleet.ModeDevice:
	case t.Platform == fleet.Windows:
		_, id := w.pc(sim.WindowsOptions{Name: strings.ToUpper(string(t.Ownership)) + "-PC", Seed: w.seed}, w.invitation(person, fleet.Windows, t.Ownership, 1))
		return id, true
	case kinds[t.Platform] != "":
		d, id := w.device(sim.Options{Kind: kinds[t.Platform], Name: name, Seed: 700 + w.seed, Passcode: "482913"}, person, t.Ownership)
		if t.Platform == fleet.MacOS {
			if err := d.UserLogsIn(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		}
		return id, true
	}
	return "", false
}

// sample are settings of a type for a platform. Whoever declares a type, or a platform with a field of its own, adds them here.
func (w *targetWorld) sample(t fleet.ProfileType, p fleet.Platform) (map[string]any, bool) {
	switch t {
	case fleet.TypeTrustedRoot:
		return map[string]any{"source": "internal"}, true
	case fleet.TypeIdentity:
		return map[string]any{"root": w.root, "delivery": "pkcs12"}, true
	case fleet.TypeEmail:
		return map[string]any{"account": "exchange", "host": "mail.example.org"}, true
	case fleet.TypePasscode:
		return map[string]any{"min_length": 6}, true
	case fleet.TypeWiFi:
		return map[string]any{"ssid": "Office", "password": "correct horse battery"}, true
	case fleet.TypeVPN:
		return map[string]any{"server": "vpn.example.org", "identity": w.identity, "root": w.root}, true
	case fleet.TypeWebLink:
		return map[string]any{"label": "Intranet", "url": "https://intranet.example.org/"}, true
	case fleet.TypeRestrictions:
		return map[string]any{"no_screenshots": true, "no_camera": true}, true
	case fleet.TypeCustom:
		return map[string]any{"apple_payload": guestNetwork, "android_policy": `{"shortSupportMessage":{"defaultMessage":"Ask IT"}}`, "windows_nodes": "./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService int 1"}, true
	case fleet.TypeWorkSharing:
		return map[string]any{"copy_paste": true}, true
	case fleet.TypePersonalUse:
		return map[string]any{"camera": false}, true
	case fleet.TypeKiosk:
		return map[string]any{"app": "com.example.kiosk"}, true
	case fleet.TypeApp:
		if p == fleet.Android {
			return map[string]any{"kind": "play", "package": "com.android.chrome"}, true
		}
		link, sum := w.served("/healthz")
		return map[string]any{"kind": "msi", "product_code": "5B0A6F2E-8F6B-4A7C-9B1E-3B6C7F0E1A22", "version": "1.4.0", "url": link, "sha256": sum}, true
	}
	return nil, false
}

// guestNetwork is a custom payload.
const guestNetwork = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>PayloadType</key><string>com.apple.wifi.managed</string>
<key>SSID_STR</key><string>Guests</string><key>EncryptionType</key><string>None</string></dict></plist>`

// served is the address of something that the appliance serves, and its SHA-256: it stands for a package.
func (w *targetWorld) served(path string) (link, sum string) {
	w.t.Helper()
	link = w.Appliance.config.URL + path
	resp, err := w.browser().Get(link)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	h := sha256.Sum256(b)
	return link, hex.EncodeToString(h[:])
}

// TestEveryTargetIsDelivered is the promise behind every list of targets: what is declared is rendered, taken by a device, and read back from it.
func TestEveryTargetIsDelivered(t *testing.T) {
	w := &targetWorld{androids: newAndroids(t)}
	f := w.Appliance.fleet
	l, err := f.Profiles(t.Context(), w.Actor, fleet.ListQuery{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Items { // those of the first day are not needed here
		if err := f.Assign(t.Context(), w.Actor, p.ID, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	everyone := []fleet.Assignment{{To: fleet.ToAllPeople}, {To: fleet.ToAllDevices}}
	wants := map[fleet.Target][]string{}
	makeSampleFor := func(d fleet.Declaration, name string, chosen func(fleet.Platform) bool) fleet.ProfileID {
		t.Helper()
		var platforms []fleet.Platform
		for _, target := range d.Targets {
			if !chosen(target.Platform) {
				continue
			}
			if !slices.Contains(platforms, target.Platform) {
				platforms = append(platforms, target.Platform)
			}
			wants[target] = append(wants[target], name)
		}
		settings, ok := w.sample(d.Type, platforms[0])
		if !ok {
			t.Fatalf("no sample of %s", d.Type)
		}
		raw, err := json.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.CreateProfile(t.Context(), w.Actor, fleet.ProfileInput{Type: d.Type, Name: &name, Platforms: &platforms, Settings: raw})
		if err != nil {
			t.Fatalf("%s: %v", d.Type, err)
		}
		if err := f.Assign(t.Context(), w.Actor, p.ID, everyone, false); err != nil {
			t.Fatalf("%s: %v", d.Type, err)
		}
		return p.ID
	}
	makeSample := func(d fleet.Declaration) fleet.ProfileID {
		t.Helper()
		name := "Sample " + string(d.Type)
		if d.Type == fleet.TypeApp { // a kind of app is for one platform
			makeSampleFor(d, name+" on Androids", func(p fleet.Platform) bool { return p == fleet.Android })
			return makeSampleFor(d, name, func(p fleet.Platform) bool { return p != fleet.Android })
		}
		return makeSampleFor(d, name, func(fleet.Platform) bool { return true })
	}
	types := map[fleet.ProfileType]fleet.Declaration{}
	for _, d := range fleet.ProfileTypes() {
		types[d.Type] = d
	}
	w.root = makeSample(types[fleet.TypeTrustedRoot])
	w.identity = makeSample(types[fleet.TypeIdentity])
	for _, d := range fleet.ProfileTypes() {
		if len(d.Targets) == 0 {
			t.Errorf("%s can go nowhere", d.Type)
		}
		if d.Type != fleet.TypeTrustedRoot && d.Type != fleet.TypeIdentity {
			makeSample(d)
		}
	}

	people := slices.Sorted(maps.Keys(w.people))
	targets := slices.SortedFunc(maps.Keys(wants), func(a, b fleet.Target) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	devices := map[fleet.Target]fleet.DeviceID{}
	for i, target := range targets {
		id, ok := w.enrolFor(target, people[i%len(people)])
		if !ok {
			t.Fatalf("profiles are declared for %v, and this test cannot enrol such a device", target)
		}
		devices[target] = id
	}
	for _, target := range targets {
		hopeless := false
		missing := func() (out []string) {
			now := w.statuses(devices[target])
			for _, name := range wants[target] {
				if s := now[name]; s.Status != fleet.StatusSucceeded || s.Evidence.None() {
					out = append(out, fmt.Sprintf("%s is %s (%v)", name, s.Status, s.Reason))
					hopeless = hopeless || s.Status == fleet.StatusNotApplicable
				}
			}
			return out
		}
		// Many devices share a slow machine: as long as they get on, there is no hurry.
		for deadline := time.Now().Add(3 * time.Minute); len(missing()) > 0 && !hopeless && time.Now().Before(deadline); {
			time.Sleep(100 * time.Millisecond)
		}
		for _, m := range missing() {
			t.Errorf("%v: %s", target, m)
		}
	}
}
