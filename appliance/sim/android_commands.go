package sim

import (
	"fmt"
	"time"
	"unicode"
)

// AndroidCommand is one command that came in, and what it came to.
type AndroidCommand struct {
	Type      string
	ErrorCode string // blank: done
	Name      string // of the operation
}

// obey carries out one command and confirms it. It reports whether management is gone afterwards.
func (d *Android) obey(in *enrolled, op *operation, now time.Time) bool {
	g := d.o.Google
	kind := str(op.command, "type")
	d.mu.Lock()
	code, more, ends := d.execute(kind, op.command, now)
	if forced := d.mood.Answers[kind]; forced != "" {
		code, more, ends = forced, nil, ""
	}
	d.seen.commands = keepLast(d.seen.commands, AndroidCommand{Type: kind, ErrorCode: code, Name: op.name})
	d.mu.Unlock()
	g.finish(in, op, code, more)
	if ends == "" {
		return false
	}
	d.mu.Lock()
	d.forget("the command "+kind, ends)
	d.mu.Unlock()
	g.removed(in)
	return true
}

// execute does what a command says. It returns the error code, what the command's status adds, and how management ends by it. d.mu is held.
func (d *Android) execute(kind string, cmd dict, now time.Time) (code string, more dict, ends string) {
	const wrongMode, old = "MANAGEMENT_MODE", "API_LEVEL"
	switch kind {
	case "LOCK":
		d.seen.locks++
	case "REBOOT":
		switch {
		case d.mode.profile():
			return wrongMode, nil, ""
		case d.hw.api < 24:
			return old, nil, ""
		}
		d.seen.reboots++
	case "RESET_PASSWORD":
		p := str(cmd, "newPassword")
		if d.hw.api >= 34 && p != "" && len(p) < 6 && digitsOnly(p) {
			return "INVALID_VALUE", nil, ""
		}
		d.work.password = p
	case "RELINQUISH_OWNERSHIP":
		if d.mode != AndroidCompany {
			return wrongMode, nil, ""
		}
		return "", nil, "work profile removed"
	case "WIPE":
		if d.mode == AndroidWorkProfile {
			return "", nil, "work profile removed"
		}
		return "", nil, "factory reset"
	case "CLEAR_APP_DATA":
		if d.hw.api < 28 {
			return old, nil, ""
		}
		p, _ := cmd["clearAppsDataParams"].(dict)
		results := dict{}
		for _, pkg := range stringList(p, "packageNames") {
			if _, there := d.work.apps[pkg]; !there {
				results[pkg] = dict{"clearingResult": "APP_NOT_FOUND"}
				continue
			}
			results[pkg] = dict{"clearingResult": "SUCCESS"}
			if d.seen.cleared == nil {
				d.seen.cleared = map[string]int{}
			}
			d.seen.cleared[pkg]++
		}
		return "", dict{"clearAppsDataStatus": dict{"results": results}}, ""
	case "START_LOST_MODE":
		switch {
		case !d.mode.company():
			return wrongMode, nil, ""
		case d.work.lost:
			return "", dict{"startLostModeStatus": dict{"status": "ALREADY_IN_LOST_MODE"}}, ""
		}
		d.work.lost = true
		d.logged++
		d.logs = append(d.logs, dict{"eventId": fmt.Sprint(d.logged), "eventTime": stamp(now), "eventType": "LOST_MODE_LOCATION",
			"lostModeLocationEvent": dict{"batteryLevel": 61, "location": dict{"latitude": 52.0907, "longitude": 5.1214}}})
		return "", dict{"startLostModeStatus": dict{"status": "SUCCESS"}}, ""
	case "STOP_LOST_MODE":
		status := "SUCCESS"
		if !d.work.lost {
			status = "NOT_IN_LOST_MODE"
		}
		d.work.lost = false
		return "", dict{"stopLostModeStatus": dict{"status": status}}, ""
	case "REQUEST_DEVICE_INFO":
		if d.mode != AndroidWorkProfile || d.hw.api < 33 {
			return "", dict{"requestDeviceInfoStatus": dict{"status": "UNSUPPORTED"}}, ""
		}
		return "", dict{"requestDeviceInfoStatus": dict{"status": "USER_DECLINED"}}, ""
	default:
		return "UNSUPPORTED", nil, ""
	}
	return "", nil, ""
}

func digitsOnly(s string) bool {
	for _, r := range s {
		if !unicode.IsDigit(r) {
			return false
		}
	}
	return true
}
