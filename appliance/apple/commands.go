package apple

// The commands that Muster sends (schema: mdm/commands). Field names are Apple's keys.

type envelope struct {
	CommandUUID string
	Command     any
}

type bareCommand struct {
	RequestType string // SecurityInfo, ManagedApplicationList
}

type deviceInformation struct {
	RequestType string
	Queries     []string
}

type managedOnlyList struct {
	RequestType string // ProfileList, CertificateList
	ManagedOnly bool   // iOS 13, macOS 10.15; older ones list all
}

type installedApplicationList struct {
	RequestType     string
	ManagedAppsOnly bool
	Items           []string `plist:",omitempty"` // iOS 14; a Mac decides by itself
}

type installProfile struct {
	RequestType string
	Payload     []byte // raw: the encoder makes base64 of it, once
}

type removeProfile struct {
	RequestType string
	Identifier  string
}

type deviceLock struct {
	RequestType string
	Message     string `plist:",omitempty"`
	PhoneNumber string `plist:",omitempty"`
	PIN         string `plist:",omitempty"` // Macs only, and there obligatory
}

type clearPasscode struct {
	RequestType string
	UnlockToken []byte
}

type restartDevice struct {
	RequestType string
	NotifyUser  bool `plist:",omitempty"` // macOS 11.3
}

type eraseDevice struct {
	RequestType            string
	PreserveDataPlan       bool   `plist:",omitempty"` // iOS 11
	DisallowProximitySetup bool   `plist:",omitempty"` // iOS 11.3
	PIN                    string `plist:",omitempty"` // macOS
	ObliterationBehavior   string `plist:",omitempty"` // macOS 12
}

// appItems is all that is asked of an app: never its size.
var appItems = []string{"Identifier", "Name", "ShortVersion", "Version"}
