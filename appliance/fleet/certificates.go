package fleet

import (
	"context"
	"time"
)

// CertificateView is an issued certificate for people to look at.
type CertificateView struct {
	Serial, Subject, Purpose string
	Fingerprint              string
	Device                   DeviceID
	DeviceName               string
	Profile                  ProfileID
	NotBefore, NotAfter      time.Time
	State                    string // live, superseded, revoked, expired
	RevokedAt                *time.Time
	Evidence                 Evidence // seen on the device
}

type CertificateFilter struct {
	Device        DeviceID
	ExpiresBefore time.Time
	State         string
}

func (f *Fleet) Certificates(ctx context.Context, a Actor, fl CertificateFilter, q ListQuery) (List[CertificateView], error) {
	panic("unbuilt")
}

// RevokeCertificate revokes one access certificate; the profile is issued a new one at the next contact.
func (f *Fleet) RevokeCertificate(ctx context.Context, a Actor, serial string) error {
	panic("unbuilt")
}
