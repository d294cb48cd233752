package windows

import (
	"context"
	"testing"

	"muster/appliance/fleet"
)

// TestFirstAnswerLost is a PC that never got its certificate: Windows undoes the enrolment, the person makes another code on the same page
// and begins again with a new key. The identity that nobody has is good no longer.
func TestFirstAnswerLost(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ticket := w.ticket(w.person, fleet.Corporate).Secret
	first := w.newPC(testID)
	code, err := w.windows.NewCode(ctx, ticket)
	must(t, err)
	security := nameAndCode(code.User, code.Code)
	if status, body := first.soap(EnrolmentPath, first.tokenRequest(security, csr(t, first.key, tagUTF8))); status != 200 {
		t.Fatalf("enrolment: %d %s", status, body)
	} else {
		first.provision(document(t, body), "User") // which the real one never could
	}

	code, err = w.windows.NewCode(ctx, ticket)
	must(t, err)
	again := w.newPC(testID)
	again.enrol(nameAndCode(code.User, code.Code))
	if got := again.run(); got != 200 {
		t.Fatalf("session: %d", got)
	}
	if got := w.device(testID).State; got != fleet.Managed {
		t.Errorf("state %s", got)
	}
	if got := first.run(); got == 200 {
		t.Error("the certificate that was lost on the way opens a session")
	}
	if _, err := w.windows.NewCode(ctx, ticket); err == nil {
		t.Error("a managed PC's invitation page makes another code")
	}
}
