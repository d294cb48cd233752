package ui

import (
	"context"
	"time"
)

// System is what the appliance says of itself, beside what the domain knows.
type System struct {
	Version      string
	Started      time.Time
	StoreBytes   int64 // what the store takes on the disk; 0 = not known
	Certificates []SystemCertificate
}

// SystemCertificate is a certificate of the appliance itself. Kind is "tls", "root" or "issuing".
type SystemCertificate struct {
	Kind, Subject, Fingerprint string
	NotAfter                   time.Time
	Source                     string // of "tls": internal, acme or files
}

// system asks the appliance; without one (tests of single pages) nothing is known.
func (u *UI) system(ctx context.Context) (System, error) {
	if u.about == nil {
		return System{}, nil
	}
	return u.about(ctx)
}
