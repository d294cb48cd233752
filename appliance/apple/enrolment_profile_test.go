package apple

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"muster/appliance/fleet"
)

func TestEnrolmentProfile(t *testing.T) {
	s := loadSchema(t)
	ctx := context.Background()
	for _, c := range []struct {
		platform  fleet.Platform
		ownership fleet.Ownership
		ownRoot   bool
		sign      bool // messages
		rights    int64
		caps      []any
	}{
		{fleet.IOS, fleet.Corporate, true, true, 8191, []any{"com.apple.mdm.per-user-connections", "com.apple.mdm.bootstraptoken"}},
		{fleet.IOS, fleet.Personal, false, true, 7927, []any{"com.apple.mdm.per-user-connections"}},
		{fleet.MacOS, fleet.Corporate, false, false, 8191, []any{"com.apple.mdm.per-user-connections", "com.apple.mdm.bootstraptoken"}},
		{fleet.MacOS, fleet.Personal, true, true, 7927, []any{"com.apple.mdm.per-user-connections"}},
	} {
		name := string(c.platform) + "_" + string(c.ownership)
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(k *Config) {
				if !c.ownRoot {
					k.ServerRoots = nil
				}
			})
			r.fleet.settings.SignMessages = c.sign
			r.fleet.enrolment = &fleet.Enrolment{ID: "01ENROLMENT", Platform: c.platform, Mode: fleet.ModeDevice, Ownership: c.ownership}
			xml, err := r.apple.EnrolmentProfile(ctx, "good")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range s.checkProfile(xml, targetOf(c.platform, fleet.DeviceChannel)) {
				t.Error(f)
			}
			top, err := readPlist(xml)
			if err != nil {
				t.Fatal(err)
			}
			content := top.list("PayloadContent")
			scep, mdm := content[0].(dict), content[1].(dict)
			if scep.text("PayloadType") != "com.apple.security.scep" || mdm.text("PayloadType") != "com.apple.mdm" {
				t.Fatalf("payloads are %s, %s: the identity must come first", scep.text("PayloadType"), mdm.text("PayloadType"))
			}
			if (len(content) == 3) != c.ownRoot {
				t.Errorf("%d payloads with own root %v", len(content), c.ownRoot)
			}
			if mdm.text("IdentityCertificateUUID") != scep.text("PayloadUUID") || mdm["AccessRights"] != c.rights ||
				!slices.Equal(mdm.list("ServerCapabilities"), c.caps) || mdm["CheckOutWhenRemoved"] != true || mdm["SignMessage"] != c.sign ||
				mdm.text("Topic") != testTopic || mdm.text("ServerURL") != "https://mdm.example.nl/mdm/apple/connect" ||
				mdm.text("CheckInURL") != "https://mdm.example.nl/mdm/apple/checkin" {
				t.Errorf("management payload %v", mdm)
			}
			challenge := scep.dict("PayloadContent").text("Challenge")
			shown := bytes.ReplaceAll(r.withoutRoot(xml), []byte(challenge), []byte("CHALLENGE"))
			if c.ownRoot {
				shown = bytes.ReplaceAll(shown, []byte(r.pki.Root().Subject.CommonName), []byte("Root CA"))
			}
			golden(t, "enrolment_"+name, shown)

			// Renewal: byte for byte the same but for the challenge, whatever the settings say meanwhile.
			r.fleet.settings.DeviceURL, r.fleet.settings.Organisation, r.fleet.settings.SignMessages = "https://elsewhere.example.nl", "Other", !c.sign
			r.fleet.push = &fleet.PushCertificate{Topic: "com.apple.mgmt.External.other"}
			d := deviceOf(c.platform, c.ownership)
			cmd, err := r.apple.renew(ctx, &fleet.Order{ID: "1", Device: d, Renewal: "NEW", Step: fleet.Step{Kind: fleet.StepRenew}})
			if err != nil {
				t.Fatal(err)
			}
			if want := bytes.ReplaceAll(xml, []byte(challenge), []byte("NEW")); !bytes.Equal(cmd.(installProfile).Payload, want) {
				t.Error("the renewed profile differs in more than the challenge: a device would refuse it")
			}
		})
	}
}

func TestEnrolmentProfileRefusals(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		ticket string
		change func(*fakeFleet)
		kind   error
		code   string
	}{
		{"no push certificate yet", "good", func(f *fakeFleet) { f.push = nil }, fleet.ErrNotApplicable, codeNoPush},
		{"an address that is not https", "good", func(f *fakeFleet) { f.settings.DeviceURL = "http://mdm.example.nl" }, fleet.ErrNotApplicable, codeNoAddress},
		{"a ticket that has run out", "old", func(*fakeFleet) {}, fleet.ErrGone, "ticket.gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.fleet.enrolment = &fleet.Enrolment{ID: "01E", Platform: fleet.IOS}
			c.change(r.fleet)
			_, err := r.apple.EnrolmentProfile(ctx, c.ticket)
			var ref *fleet.Refusal
			if !errors.Is(err, c.kind) || !errors.As(err, &ref) || ref.Reason.Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func TestEachFetchHasItsOwnChallenge(t *testing.T) {
	r := newRig(t)
	r.fleet.enrolment = &fleet.Enrolment{ID: "01E", Platform: fleet.IOS, Ownership: fleet.Corporate}
	seen := map[string]bool{}
	for range 3 {
		xml, err := r.apple.EnrolmentProfile(context.Background(), "good")
		if err != nil {
			t.Fatal(err)
		}
		top, err := readPlist(xml)
		if err != nil {
			t.Fatal(err)
		}
		seen[top.list("PayloadContent")[0].(dict).dict("PayloadContent").text("Challenge")] = true
	}
	if len(seen) != 3 || seen[""] {
		t.Errorf("challenges: %v", seen)
	}
}

func TestSignedEnrolmentProfile(t *testing.T) {
	r := newRig(t)
	r.fleet.settings.SignProfiles = true
	r.fleet.enrolment = &fleet.Enrolment{ID: "01E", Platform: fleet.IOS, Ownership: fleet.Corporate}
	der, err := r.apple.EnrolmentProfile(context.Background(), "good")
	if err != nil {
		t.Fatal(err)
	}
	verifyCMS(t, der)
	if !bytes.Contains(der, []byte("<string>com.apple.mdm</string>")) {
		t.Error("the signed message does not hold the profile")
	}
}

func TestRenewalWithoutItsData(t *testing.T) {
	r := newRig(t)
	_, err := r.apple.renew(context.Background(), &fleet.Order{Device: deviceOf(fleet.IOS, fleet.Corporate), Renewal: "NEW"})
	var u *unrenderable
	if !errors.As(err, &u) || u.outcome != fleet.Failed || u.reason.Code != codeNoEnrolment {
		t.Errorf("got %v", err)
	}
}
