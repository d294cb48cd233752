package windows

import (
	"strconv"

	"muster/appliance/fleet"
)

const lockNode = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/"

// passcodeNodes are the policies that password rules set, in the order in which they are sent.
var passcodeNodes = []string{"DevicePasswordEnabled", "MinDevicePasswordLength", "AlphanumericDevicePasswordRequired", "AllowSimpleDevicePassword",
	"DevicePasswordExpiration", "DevicePasswordHistory", "MaxDevicePasswordFailedAttempts", "MaxInactivityTimeDeviceLock"}

// passcode merges password rules into one set, the strictest of each: the nodes exist once. DevicePasswordEnabled goes first, and is
// inverted: 0 asks for a password.
func passcode(list []*fleet.Profile) *rendered {
	require, simple := false, true
	length, age, history, failed, lock := 0, 0, 0, 0, 0
	letters := false
	least := func(a, b int) int { // of limits in which 0 is none
		if a == 0 || b > 0 && b < a {
			return b
		}
		return a
	}
	for _, p := range list {
		v := p.Values()
		if !v.Bool("require") {
			continue
		}
		require = true
		length, history = max(length, v.Int("min_length")), max(history, v.Int("history"))
		letters, simple = letters || v.Bool("alphanumeric"), simple && v.Bool("simple_allowed")
		age, failed, lock = least(age, v.Int("max_age")), least(failed, v.Int("max_failed")), least(lock, v.Int("auto_lock"))
	}
	out := &rendered{}
	atomic := command{Verb: verbAtomic}
	put := func(name string, n int) {
		uri, text := lockNode+name, strconv.Itoa(n)
		atomic.Kids = append(atomic.Kids, set(verbReplace, uri, "int", text))
		out.checks = append(out.checks, check{URI: uri, Want: text, Kind: "int"})
		out.nodes = append(out.nodes, uri)
	}
	if !require { // the parent of all others
		put("DevicePasswordEnabled", 1)
	} else {
		values := []int{0, min(max(length, 4), 16), choose(letters, 0, 2), choose(simple, 1, 0), age, history, failed, lock}
		for i, name := range passcodeNodes {
			put(name, values[i])
		}
	}
	out.batches = one(atomic)
	return out
}

func choose(b bool, yes, no int) int {
	if b {
		return yes
	}
	return no
}
