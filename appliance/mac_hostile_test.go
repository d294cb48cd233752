package appliance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// bootstrapOf is the bootstrap token that the server gives back.
func (r *rogue) bootstrapOf() []byte {
	r.w.t.Helper()
	a := r.want(200, r.checkIn(r.check("GetBootstrapToken")))
	var got struct{ BootstrapToken []byte }
	plistInto(r.w.t, []byte(a.body), &got)
	return got.BootstrapToken
}

func TestMacCheckIns(t *testing.T) {
	w := newStrict(t)
	macOf := func(o fleet.Ownership) (*rogue, fleet.DeviceID) {
		r := w.newRogue()
		r.platform = fleet.MacOS
		return r, r.enrol(w.invitation("Eva", fleet.MacOS, o, 1))
	}
	corporate, _ := macOf(fleet.Corporate)
	personal, _ := macOf(fleet.Personal)
	secret := []byte("bootstrap of a Mac")

	w.run(t, "the bootstrap token of a corporate Mac is kept, given back to it alone, and forgotten when it says so", func(t *testing.T) {
		if got := corporate.bootstrapOf(); len(got) != 0 {
			t.Errorf("a token before there is one: %q", got)
		}
		corporate.want(200, corporate.checkIn(corporate.check("SetBootstrapToken", "BootstrapToken", secret)))
		if got := corporate.bootstrapOf(); !bytes.Equal(got, secret) {
			t.Errorf("given back: %q", got)
		}
		if got := personal.bootstrapOf(); len(got) != 0 {
			t.Errorf("another Mac gets it: %q", got)
		}
		thief := *personal
		thief.udid = corporate.udid
		thief.want(400, thief.checkIn(thief.check("GetBootstrapToken")))
		corporate.want(200, corporate.checkIn(corporate.check("SetBootstrapToken", "BootstrapToken", []byte{})))
		if got := corporate.bootstrapOf(); len(got) != 0 {
			t.Errorf("not forgotten: %q", got)
		}
		big := corporate.checkIn(corporate.check("SetBootstrapToken", "BootstrapToken", make([]byte, 700<<10)))
		if big.status != 400 {
			t.Errorf("a token of 700 KB is answered %d", big.status)
		}
	})
	w.run(t, "that of a personal Mac is never kept", func(t *testing.T) {
		personal.want(200, personal.checkIn(personal.check("SetBootstrapToken", "BootstrapToken", secret)))
		if got := personal.bootstrapOf(); len(got) != 0 {
			t.Errorf("given back: %q", got)
		}
		raw := string(personal.profile)
		if !strings.Contains(string(corporate.profile), "com.apple.mdm.bootstraptoken") || strings.Contains(raw, "com.apple.mdm.bootstraptoken") {
			t.Error("its profile asks for the token")
		}
	})
	w.run(t, "it ends with the enrolment", func(t *testing.T) {
		r, id := macOf(fleet.Corporate)
		r.want(200, r.checkIn(r.check("SetBootstrapToken", "BootstrapToken", secret)))
		d := r.device()
		r.settle()
		w.act(id, fleet.ActRetire, fleet.ActionOptions{})
		r.settle()
		if !r.left {
			t.Fatalf("not retired: %v", r.commands)
		}
		r.turnedAway()
		_, err := w.Appliance.fleet.ReadSecret(t.Context(), fleet.Contact{Identity: fleet.Identity{Enrolment: d.Enrolment, Device: d.ID}}, "bootstrap-token")
		if err == nil {
			t.Error("the token outlives it")
		}
	})
	w.run(t, "UserAuthenticate is declined with 410, on both rounds", func(t *testing.T) {
		for _, pairs := range [][]any{{"UserID", "u-1", "UserShortName", "eva"}, {"UserID", "u-1", "UserShortName", "eva", "DigestResponse", "MD5 x"}} {
			if a := corporate.checkIn(corporate.check("UserAuthenticate", pairs...)); a.status != http.StatusGone || a.body != "" {
				t.Errorf("answered %d %q, want an empty 410", a.status, a.body)
			}
		}
	})
	t.Run("the tokens of declarative management stay as they are", func(t *testing.T) {
		ask := func(endpoint string) answer {
			return corporate.checkIn(corporate.check("DeclarativeManagement", "Endpoint", endpoint))
		}
		tokens, items := ask("tokens"), ask("declaration-items")
		var told struct {
			SyncTokens struct{ DeclarationsToken, Timestamp string }
		}
		var declared struct {
			Declarations      map[string][]any
			DeclarationsToken string
		}
		if err := json.Unmarshal([]byte(tokens.body), &told); err != nil || told.SyncTokens.DeclarationsToken == "" || tokens.kind != "application/json" {
			t.Fatalf("%s %q: %v", tokens.kind, tokens.body, err)
		}
		if err := json.Unmarshal([]byte(items.body), &declared); err != nil || declared.DeclarationsToken != told.SyncTokens.DeclarationsToken || len(declared.Declarations) != 4 {
			t.Errorf("%q: %v", items.body, err)
		}
		w.restart()
		if again := ask("tokens"); again.body != tokens.body {
			t.Errorf("they change while nothing changes: %s and %s", tokens.body, again.body)
		}
		corporate.want(200, corporate.checkIn(corporate.check("DeclarativeManagement", "Endpoint", "status", "Data", []byte(`{"StatusItems":{}}`))))
		corporate.want(200, corporate.checkIn(corporate.check("DeclarativeManagement", "Endpoint", "status", "Data", []byte(`{{{`))))
		corporate.want(404, ask("declaration/configuration/none"))
	})
	w.run(t, "a user channel that floods", func(t *testing.T) {
		limited := 0
		for i := range 60 {
			a := corporate.checkIn(corporate.check("TokenUpdate", "Topic", corporate.topic, "PushMagic", "m", "Token", []byte("t"), "UserID", "user-"+string(rune('a'+i%26))+strings.Repeat("x", i), "UserShortName", "u"))
			if a.status == 400 {
				limited++
			}
		}
		if n := len(corporate.device().Channels); n > 32 || limited == 0 {
			t.Errorf("%d channels, %d refused", n, limited)
		}
		if a := corporate.checkIn(corporate.check("CheckOut", "Topic", corporate.topic, "UserID", "user-a")); a.status != 200 || corporate.device().State != fleet.Managed {
			t.Errorf("one user who goes takes the Mac along: %d", a.status)
		}
	})
	corporate.works()
	personal.settle()
	personal.works()
}

// A Mac on which nobody ever logs in: what is meant for its user waits, says so, and holds up nothing else.
func TestUserChannelThatNeverComes(t *testing.T) {
	w := newStrict(t)
	mac, id := w.device(sim.Options{Kind: sim.Mac, Name: "Rack Mac", Seed: 31}, "Eva", fleet.Corporate)
	w.eventually("what the Mac itself can have is there", func() bool {
		for _, s := range w.statuses(id) {
			if s.Type == fleet.TypePasscode && s.Status == fleet.StatusSucceeded {
				return true
			}
		}
		return false
	})
	waits := 0
	for name, s := range w.statuses(id) {
		if s.Status == fleet.StatusSucceeded {
			continue
		}
		if s.Status != fleet.StatusPending && s.Status != fleet.StatusWaitsPerson || s.Reason.Code == "" {
			t.Errorf("%s: %s without a reason (%+v)", name, s.Status, s.Reason)
		}
		waits++
	}
	if waits > 0 { // then it must not turn in circles
		before := mac.State().Connections
		time.Sleep(1500 * time.Millisecond)
		if more := mac.State().Connections - before; more > 3 {
			t.Errorf("%d connections in a second and a half", more)
		}
	}
	if err := mac.UserLogsIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.world.settle(id, fleet.StatusSucceeded)
	if c := mac.State().Complaints; len(c) > 0 {
		t.Errorf("the Mac complains: %q", c)
	}
}
