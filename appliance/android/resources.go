package android

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// What is read of Google's resources. Unknown fields are passed over, absent ones are their zero value, and unknown values of
// enumerations stay text: the service grows.

// bigInt is a 64-bit number, which Google writes as text.
type bigInt int64

func (n *bigInt) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	if err != nil {
		v = 0 // a number that cannot be read says nothing; the rest of the device still counts
	}
	*n = bigInt(v)
	return nil
}

// moment is a time, the zero time where it cannot be read.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(b []byte) error {
	t, err := time.Parse(time.RFC3339Nano, strings.Trim(string(b), `"`))
	if err != nil {
		t = time.Time{}
	}
	m.Time = t
	return nil
}

// device is enterprises.devices, as far as it is looked at.
type device struct {
	Name                 string          `json:"name"`
	ManagementMode       string          `json:"managementMode"` // DEVICE_OWNER, PROFILE_OWNER
	Ownership            string          `json:"ownership"`      // COMPANY_OWNED, PERSONALLY_OWNED
	State                string          `json:"state"`
	AppliedState         string          `json:"appliedState"`
	PolicyName           string          `json:"policyName"`
	AppliedPolicyName    string          `json:"appliedPolicyName"`
	AppliedPolicyVersion bigInt          `json:"appliedPolicyVersion"`
	PolicyCompliant      bool            `json:"policyCompliant"`
	NonCompliance        []nonCompliance `json:"nonComplianceDetails"`
	EnrollmentTime       moment          `json:"enrollmentTime"`
	EnrollmentTokenData  string          `json:"enrollmentTokenData"`
	EnrollmentTokenName  string          `json:"enrollmentTokenName"`
	LastStatusReport     moment          `json:"lastStatusReportTime"`
	LastPolicySync       moment          `json:"lastPolicySyncTime"`
	APILevel             int             `json:"apiLevel"`
	Previous             []string        `json:"previousDeviceNames"`
	Hardware             struct {
		Brand        string `json:"brand"`
		Manufacturer string `json:"manufacturer"`
		Model        string `json:"model"`
		Serial       string `json:"serialNumber"`
		EnterpriseID string `json:"enterpriseSpecificId"`
		Baseband     string `json:"deviceBasebandVersion"`
	} `json:"hardwareInfo"`
	Software struct {
		Version  string `json:"androidVersion"`
		Build    string `json:"androidBuildNumber"`
		Kernel   string `json:"deviceKernelVersion"`
		Patch    string `json:"securityPatchLevel"`
		Language string `json:"primaryLanguageCode"`
	} `json:"softwareInfo"`
	Network struct {
		IMEI    string `json:"imei"`
		MEID    string `json:"meid"`
		WiFiMAC string `json:"wifiMacAddress"`
		SIMs    []struct {
			Number  string `json:"phoneNumber"`
			Carrier string `json:"carrierName"`
			ICCID   string `json:"iccId"`
		} `json:"telephonyInfos"`
	} `json:"networkInfo"`
	Memory struct {
		Storage bigInt `json:"totalInternalStorage"`
	} `json:"memoryInfo"`
	MemoryEvents []struct {
		Type  string `json:"eventType"`
		Bytes bigInt `json:"byteCount"`
		At    moment `json:"createTime"`
	} `json:"memoryEvents"`
	Settings *struct {
		Secure     bool   `json:"isDeviceSecure"`
		Encryption string `json:"encryptionStatus"`
	} `json:"deviceSettings"`
	Posture struct {
		Posture string `json:"devicePosture"`
	} `json:"securityPosture"`
	Apps []appReport `json:"applicationReports"`
}

// nonCompliance is one thing in which the device does not follow its policy.
type nonCompliance struct {
	Setting  string `json:"settingName"`
	Path     string `json:"fieldPath"`
	Package  string `json:"packageName"`
	Reason   string `json:"nonComplianceReason"`
	Specific string `json:"specificNonComplianceReason"`
	Install  string `json:"installationFailureReason"`
	Context  struct {
		WiFi struct {
			GUID string `json:"wifiGuid"`
		} `json:"oncWifiContext"`
	} `json:"specificNonComplianceContext"`
}

// appReport is one app as the device tells of it.
type appReport struct {
	Package string `json:"packageName"`
	Name    string `json:"displayName"`
	Version string `json:"versionName"`
	State   string `json:"state"` // INSTALLED, REMOVED
	Source  string `json:"applicationSource"`
	States  []struct {
		Key      string `json:"key"`
		Severity string `json:"severity"` // INFO, ERROR
		Message  string `json:"message"`
	} `json:"keyedAppStates"`
}

// heard is when the device itself spoke last.
func (d *device) heard() time.Time {
	if d.LastPolicySync.After(d.LastStatusReport.Time) {
		return d.LastPolicySync.Time
	}
	if d.LastStatusReport.IsZero() {
		return d.EnrollmentTime.Time
	}
	return d.LastStatusReport.Time
}

// deleted says whether the device has confirmed that it left management: this is told in a last report only.
func (d *device) deleted() bool { return d.State == "DELETED" || d.AppliedState == "DELETED" }

// operation is a command under way.
type operation struct {
	Name     string `json:"name"`
	Done     bool   `json:"done"`
	Metadata struct {
		Type      string `json:"type"`
		Created   moment `json:"createTime"`
		Duration  string `json:"duration"`
		ErrorCode string `json:"errorCode"` // UNKNOWN, API_LEVEL, MANAGEMENT_MODE, INVALID_VALUE, UNSUPPORTED
		Cleared   struct {
			Results map[string]struct {
				Result string `json:"clearingResult"`
			} `json:"results"`
		} `json:"clearAppsDataStatus"`
	} `json:"metadata"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// policy is what is read back of a policy.
type policy struct {
	Name    string `json:"name"`
	Version bigInt `json:"version"`
}

// enrollmentToken is a way in.
type enrollmentToken struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	QR      string `json:"qrCode"`
	Expires moment `json:"expirationTimestamp"`
}

// message is one notification of Pub/Sub.
type message struct {
	AckID   string `json:"ackId"`
	Message struct {
		ID         string            `json:"messageId"`
		Data       []byte            `json:"data"`
		Attributes map[string]string `json:"attributes"`
		Published  moment            `json:"publishTime"`
	} `json:"message"`
}

// readDevice reads a device from a notification.
func readDevice(b []byte) (*device, error) {
	d := new(device)
	if err := json.Unmarshal(b, d); err != nil {
		return nil, err
	}
	return d, nil
}

// enterpriseOf is the enterprise that a device's or an operation's name begins with; "" when it is no such name.
func enterpriseOf(name string) string {
	p := strings.Split(name, "/")
	if len(p) < 4 || p[0] != "enterprises" || p[2] != "devices" || p[1] == "" || p[3] == "" {
		return ""
	}
	return p[0] + "/" + p[1]
}

// deviceOf is the device that an operation's name begins with; "" when it is no such name.
func deviceOf(operation string) string {
	name, _, ok := strings.Cut(operation, "/operations/")
	if !ok || enterpriseOf(name) == "" {
		return ""
	}
	return name
}

// id is the last part of a resource name.
func id(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
