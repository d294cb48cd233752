package fleet

import (
	"context"
	"time"
)

// Settings of the organisation. A setting given as a flag is Locked.
type Settings struct {
	Organisation string          `json:"organisation"`
	Contact      string          `json:"contact"` // whom people ask for help
	Language     string          `json:"language"`
	URL          string          `json:"url"`           // public address of UI, portal and enrolment pages
	DeviceURL    string          `json:"device_url"`    // address that devices call
	SignMessages bool            `json:"sign_messages"` // Apple: identity by Mdm-Signature as well as TLS
	SignProfiles bool            `json:"sign_profiles"`
	Switches     map[string]bool `json:"switches"`     // optional facts of personal devices: phone-number, carrier, mac, managed-apps ...
	DoorDays     int             `json:"door_days"`    // how long a removed device's identity may still fetch its removal (default 30)
	FactsEvery   time.Duration   `json:"facts_every"`  // how often facts are asked anew (default 24 h)
	RenewBefore  time.Duration   `json:"renew_before"` // identities are renewed this long before their end (default 60 days)
	AuditDays    int             `json:"audit_days"`   // 0 = kept for ever
	Locked       []string        `json:"locked,omitempty"`
	Version      int             `json:"version"`
}

func (f *Fleet) Settings(ctx context.Context) (*Settings, error) { panic("unbuilt") }
func (f *Fleet) SaveSettings(ctx context.Context, a Actor, s Settings) (*Settings, error) {
	panic("unbuilt")
}

// PushCertificate is what is known of a platform's push certificate (Apple: the MDM push certificate).
type PushCertificate struct {
	Topic        string    `json:"topic"`
	AppleAccount string    `json:"apple_account"`
	NotAfter     time.Time `json:"not_after"`
	Fingerprint  string    `json:"fingerprint"`
	Uploaded     time.Time `json:"uploaded"`
	By           string    `json:"by"`
}

// MakePushCSR makes a key and returns the request to be signed, PEM.
func (f *Fleet) MakePushCSR(ctx context.Context, a Actor) ([]byte, error) { panic("unbuilt") }

// UploadPush takes the certificate from Apple's portal. Topic guard: ErrConflict "push.topic-differs" while devices are enrolled
// under another topic.
func (f *Fleet) UploadPush(ctx context.Context, a Actor, certPEM []byte, appleAccount string) (*PushCertificate, error) {
	panic("unbuilt")
}

// PushCertificate returns nil, nil when there is none yet.
func (f *Fleet) PushCertificate(ctx context.Context) (*PushCertificate, error) { panic("unbuilt") }
