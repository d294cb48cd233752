package sim

import (
	"crypto/x509"
	"log/slog"
	"time"
)

// WindowsOptions describe one PC. Blank names and numbers are made up from Seed.
type WindowsOptions struct {
	Name, Serial, DeviceID string
	OSVersion              string // 10.0.<build> or 10.0.<build>.<revision>; blank: 10.0.22631
	Edition                string // Home, Pro, Education or Enterprise; blank: Pro
	Seed                   int64  // the same seed makes the same PC

	Roots   *x509.CertPool // trusted for TLS before enrolment; nil: the system's
	Keys    *Keys          // where private keys come from; nil: each is generated when needed
	KeyBits int            // least size of RSA keys; 0: what the server's policy asks for

	Poll   time.Duration    // pause between sessions; 0: the schedule that the server set in DMClient
	Clock  func() time.Time // by which it counts days without contact; nil: time.Now
	Minute time.Duration    // how long a minute of the server's schedules and back-offs lasts; 0: a minute

	Code         string // invitation code that the person types when a sign-in page asks for one; blank: the last part of the link
	UTF8Subject  bool   // the request's odd common name as UTF8String instead of PrintableString
	SHA1Request  bool   // the request is signed with SHA-1, as without a policy
	FreshBrowser bool   // the sign-in window shares no cookies with the browser that opened the invitation, as on a real PC
	EnrolDevice  bool   // EnrollmentType Device instead of Full: the certificate belongs into My/System
	NoTLSCert    bool   // shows no client certificate in sessions, as behind a proxy: only the digest login remains
	PKIClient    bool   // appends /pkiclient.exe to SCEP addresses, as some builds do
	NoWinRE      bool   // the recovery environment is missing: wipes answer 500
	MaxMsgSize   int    // announced in every message; 0: not announced
	Channel      string // push channel address once a package family name is set; blank: one under notify.windows.com

	Mood   WindowsMood
	Logger *slog.Logger // nil: silent
}

// WindowsMood is how a PC departs from the obedient one. The zero mood is obedient.
type WindowsMood struct {
	Answers      map[string]int // LocURI, or the beginning of some → status code that every command on it gets instead of being done
	LosesAnswers int            // so many answers of the server get lost; the PC sends the same message again
	BreaksOff    int            // so many sessions end after their first commands, whose statuses never arrive
	RollbackBad  bool           // what a failed Atomic did cannot be taken back: 516 instead of 216
	Slow         time.Duration  // pause before each message but a session's first

	OfflineAfterEnrol time.Duration // goes offline so long after enrolment (with OfflineFor)
	OfflineFor        time.Duration // stays offline so long; 0: never goes offline

	UnenrolsItselfAfter time.Duration // the person disconnects so long after enrolment; 0: never
	SilentUnenrol       bool          // its unenrolment alert (1226) never arrives

	SignedOut   bool // nobody is signed in: user targets answer 500
	SessionZero bool // the first session is number 0
}
