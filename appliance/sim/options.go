package sim

import (
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"
)

// Kind is a family of Apple devices.
type Kind string

// The families that can be simulated.
const (
	IPhone Kind = "iPhone"
	IPad   Kind = "iPad"
	Mac    Kind = "Mac"
)

// Identity says how a device proves who it is to the server.
type Identity string

// Ways to show the identity certificate. A real device shows it in the TLS handshake
// whenever it is asked, and signs messages when SignMessage says so.
const (
	IdentityBoth      Identity = ""          // as a real device
	IdentityTLS       Identity = "tls"       // never signs messages, whatever SignMessage says
	IdentitySignature Identity = "signature" // shows no certificate in the handshake (as behind a proxy)
)

// Options describe one device. Blank names and numbers are made up from Seed.
type Options struct {
	Kind                                       Kind // blank: iPhone
	Name, Serial, UDID, OSVersion, ProductName string
	Seed                                       int64 // the same seed makes the same device
	Supervised                                 bool  // an iPhone or iPad prepared by Apple Configurator; an enrolled Mac always counts as supervised

	Roots     *x509.CertPool  // trusted for TLS and for signed profiles; nil: the system's
	Transport *http.Transport // shared by devices for pages, SCEP and, with IdentitySignature, management; it must trust the server; nil: each has its own
	Identity  Identity        // how it shows who it is; blank: by TLS and by signature
	Keys      *Keys           // where private keys come from; nil: each is generated when needed
	KeyBits   int             // least size of RSA keys; 0: what the profile asks for

	Push *APNs         // the push service; nil: the device polls
	Poll time.Duration // pause between polls, and before a NotNow is reconsidered; 0: 5 s

	ManualAccount string // e-mail address of an Exchange account set up by hand
	Passcode      string // set before enrolment; blank: none

	Mood   Mood
	Logger *slog.Logger // nil: silent
}

// Mood is how a device departs from the obedient one. The zero Mood is obedient.
type Mood struct {
	NotNow       int           // so many InstallProfile commands are answered NotNow (the screen is locked)
	NotNowFor    time.Duration // how long until the person unlocks a locked screen and the device reconnects by itself (in Run); 0: Poll
	LosesAnswers int           // so many commands are executed while their acknowledgement is lost; the device reconnects

	OfflineAfterEnrol time.Duration // goes offline so long after enrolment (with OfflineFor)
	OfflineFor        time.Duration // stays offline so long; 0: never goes offline

	RemovesItselfAfter time.Duration // the person removes management so long after enrolment; 0: never
	NoCheckOut         bool          // its CheckOut never arrives

	UserLogsInAfter time.Duration // Mac: somebody logs in so long after enrolment, which opens the user channel; 0: only by UserLogsIn
	DirectoryUser   bool          // Mac: that somebody is a directory user, announced by UserAuthenticate

	BER bool // SCEP requests in BER with indefinite lengths, as Apple's own encoder emits
}
