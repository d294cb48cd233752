package sim_test

import (
	"testing"

	"muster/appliance/sim"
)

// FuzzProfile gives a device arbitrary files: it may refuse them in whatever way, but
// not break, and a file that it refuses leaves nothing behind.
func FuzzProfile(f *testing.F) {
	s := newServer(f)
	e := s.enrolment()
	f.Add(encode(f, e))
	f.Add(s.signedBy(encode(f, e)))
	f.Add(encode(f, profileOf("p", 20, easPayload(21, nil), imapPayload(22, nil))))
	f.Add(encode(f, profileOf("p", 40, payloadOf("com.apple.security.pkcs12", "p.x", 41, dict{"PayloadContent": []byte{0x30, 0x80}}))))
	f.Add([]byte("bplist00"))
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := sim.NewApple(sim.Options{Roots: s.roots(), Keys: deviceKeys()})
		if contains(b, "com.apple.security.scep") {
			return // it would go to whatever address the file names
		}
		if err := d.EnrolProfile(t.Context(), b); err != nil && len(d.State().Profiles) != 0 {
			t.Errorf("refused with %v and kept %v", err, d.State().Profiles)
		}
	})
}
