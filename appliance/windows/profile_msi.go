package windows

import (
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
)

const msiNode = "./Device/Vendor/MSFT/EnterpriseDesktopAppManagement/MSI/"

// msi has the PC fetch a Windows Installer package and install it for everybody on it (MS-MDM, EnterpriseDesktopAppManagement). The job is made
// by an Add of its node and begun by an Exec; a job that is there already (418) is as good. The PC fetches the package by itself, without its
// certificate, and answers before it has begun: how it went is read at the product's Status.
func msi(p *fleet.Profile) *rendered {
	v := p.Values()
	product := "{" + strings.ToUpper(strings.Trim(v.String("product_code"), "{}")) + "}"
	base := msiNode + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(product)
	add := command{Verb: verbAdd, URI: base + "/DownloadInstall", OK: []int{418}}
	run := set(verbExec, base+"/DownloadInstall", "xml", string(fill(`<MsiInstallJob id="{{id}}"><Product Version="{{version}}">`+
		`<Download><ContentURLList><ContentURL>{{url}}</ContentURL></ContentURLList></Download>`+
		`<Validation><FileHash>{{hash}}</FileHash></Validation>`+
		`<Enforcement><CommandLine>{{arguments}}</CommandLine><TimeOut>{{timeout}}</TimeOut><RetryCount>{{retries}}</RetryCount>`+
		`<RetryInterval>{{interval}}</RetryInterval></Enforcement></Product></MsiInstallJob>`,
		"id", product, "version", v.String("version"), "url", v.String("url"), "hash", strings.ToUpper(v.String("sha256")), "arguments", v.String("arguments"),
		"timeout", strconv.Itoa(v.Int("timeout")), "retries", strconv.Itoa(v.Int("retries")), "interval", strconv.Itoa(v.Int("retry_interval")))))
	// All tries with their waits, and an hour for what comes before and between.
	tries := v.Int("retries") + 1
	return &rendered{
		batches: []batch{{Commands: []command{add}}, {Commands: []command{run}}},
		nodes:   []string{base},
		msi:     &msiJob{Base: base, Version: v.String("version"), Within: time.Duration(tries*(v.Int("timeout")+v.Int("retry_interval")))*time.Minute + time.Hour},
	}
}

// msiJob is what the ledger keeps of an installation, to see how it goes.
type msiJob struct {
	Base    string        `json:"base"`
	Version string        `json:"version"`
	Within  time.Duration `json:"within"` // then it counts as not there
}

func (m *msiJob) reads() []command {
	return []command{get(m.Base + "/Status"), get(m.Base + "/LastError"), get(m.Base + "/LastErrorDesc"), get(m.Base + "/Version")}
}

// msiSteps are the states in which a job is still at work, as people know them.
var msiSteps = map[string]string{
	"10": "windows.msi.begun", "20": "windows.msi.downloading", "25": "windows.msi.downloading", "40": "windows.msi.downloaded",
	"48": "windows.msi.waits-for-session", "50": "windows.msi.installing", "55": "windows.msi.installing",
}

// compareMSI reads the state of a job.
func (d *delivery) compareMSI(read map[string]*command, now time.Time) (found, fleet.Reason) {
	value := func(name string) string {
		if x := read[d.MSI.Base+name]; x != nil && x.good() && x.Value != nil {
			return strings.TrimSpace(*x.Value)
		}
		return ""
	}
	x := read[d.MSI.Base+"/Status"]
	switch {
	case x == nil:
		return foundNot, why(codeNoAnswer)
	case x.Code == 404:
		return foundNone, fleet.Reason{}
	case !x.good():
		return foundNot, explain(x)
	}
	state := value("/Status")
	step := msiSteps[state]
	switch {
	case d.Removed && now.Sub(d.At) < d.MSI.Within && step != "":
		return foundLater, why(step)
	case d.Removed:
		return foundSome, fleet.Reason{}
	case state == "70":
		// The state may still be that of the version before.
		if at := value("/Version"); at == "" || sameProductVersion(at, d.MSI.Version) {
			return foundAll, fleet.Reason{}
		}
		step = "windows.msi.begun"
	case state == "30":
		return foundSome, msiFailed("windows.msi.download", value("/LastError"), value("/LastErrorDesc"))
	case state == "60":
		return foundSome, msiFailed("windows.msi.failed", value("/LastError"), value("/LastErrorDesc"))
	case step == "":
		step = "windows.msi.begun"
	}
	if now.Sub(d.At) < d.MSI.Within {
		return foundLater, why(step)
	}
	return foundSome, why("windows.msi.too-long")
}

// sameProductVersion compares the three numbers that Windows Installer looks at.
func sameProductVersion(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range 3 {
		var m, n int
		if i < len(x) {
			m, _ = strconv.Atoi(x[i])
		}
		if i < len(y) {
			n, _ = strconv.Atoi(y[i])
		}
		if m != n {
			return false
		}
	}
	return true
}

// msiErrors explains what a job most often fails of, by the number that people look for.
var msiErrors = map[string]string{
	"0x80070642": "windows.msi.cancelled",      // ERROR_INSTALL_USEREXIT
	"0x80070643": "windows.msi.fatal",          // ERROR_INSTALL_FAILURE
	"0x80070652": "windows.msi.busy",           // ERROR_INSTALL_ALREADY_RUNNING
	"0x80070653": "windows.msi.package",        // ERROR_INSTALL_PACKAGE_OPEN_FAILED
	"0x80070654": "windows.msi.package",        // ERROR_INSTALL_PACKAGE_INVALID
	"0x80070661": "windows.msi.wrong-platform", // ERROR_INSTALL_PLATFORM_UNSUPPORTED
	"0x80070666": "windows.msi.other-version",  // ERROR_PRODUCT_VERSION
	"0x8007000D": "windows.msi.hash",           // ERROR_INVALID_DATA
	"0x80070005": "windows.msi.denied",         // ERROR_ACCESS_DENIED
	"0x80070070": "windows.msi.disk",           // ERROR_DISK_FULL
	"0x80072EE7": "windows.msi.unreachable",    // ERROR_WINHTTP_NAME_NOT_RESOLVED
	"0x80072EFD": "windows.msi.unreachable",    // ERROR_WINHTTP_CANNOT_CONNECT
	"0x80072EE2": "windows.msi.unreachable",    // ERROR_WINHTTP_TIMEOUT
	"0x80072F8F": "windows.msi.untrusted",      // ERROR_WINHTTP_SECURE_FAILURE
	"0x80190194": "windows.msi.not-found",      // HTTP 404
	"0x80190193": "windows.msi.not-found",      // HTTP 403
}

// msiFailed says why a job failed, with Windows' own number and words.
func msiFailed(code, number, words string) fleet.Reason {
	n := hresult(number)
	if known := msiErrors[n]; known != "" {
		code = known
	}
	r := why(code)
	r.DeviceWords = strings.TrimSpace(n + " " + clip(words))
	return r
}
