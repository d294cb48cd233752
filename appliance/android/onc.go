package android

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// Networks and certificates share one field of the policy, openNetworkConfiguration. A complaint of it is said of the profiles that it concerns, as far
// as it tells them apart: by the GUID of a network, by a place in one of the two lists, or at least by which list it is.

const onc = "openNetworkConfiguration"

var oncLists = []string{"Certificates", "NetworkConfigurations"}

// oncOwners adds to owners who stands behind each entry of a policy's networks and certificates: by GUID, by place, and by list.
func (r *rendering) oncOwners(doc map[string]any, profiles []*fleet.Profile, owners map[string][]fleet.ProfileID) {
	whole, ok := asObject(doc[onc])
	if !ok {
		return
	}
	for _, list := range oncLists {
		byGUID := map[string][]fleet.ProfileID{}
		for _, p := range profiles {
			part, err := r.part(p)
			if err != nil {
				continue
			}
			own, _ := asObject(part[onc])
			entries, _ := asObject(own[list])
			for _, guid := range slices.Sorted(maps.Keys(entries)) {
				byGUID[guid] = append(byGUID[guid], p.ID)
			}
			if len(entries) > 0 {
				owners[oncKey(list, -1)] = append(owners[oncKey(list, -1)], p.ID)
			}
		}
		entries, _ := whole[list].([]any)
		for i, x := range entries {
			one, _ := asObject(x)
			guid, _ := one["GUID"].(string)
			if ids := byGUID[guid]; len(ids) > 0 {
				owners[onc+"/"+guid], owners[oncKey(list, i)] = ids, ids
			}
		}
	}
}

// oncKey names a place in a list, or the list.
func oncKey(list string, place int) string {
	if place < 0 {
		return onc + "/" + list
	}
	return onc + "/" + list + "/" + strconv.Itoa(place)
}

var oncPlace = regexp.MustCompile(`\b(Certificates|NetworkConfigurations)(?:\[(\d{1,4})\])?`)

// oncConcerns is the narrowest key under which owners has somebody whom a complaint of networks and certificates concerns.
func oncConcerns(n *nonCompliance, owners map[string][]fleet.ProfileID) string {
	var keys []string
	if guid := n.Context.WiFi.GUID; guid != "" {
		keys = append(keys, onc+"/"+guid)
	}
	list := ""
	if m := oncPlace.FindStringSubmatch(n.Path); m != nil {
		list = m[1]
		if place, err := strconv.Atoi(m[2]); err == nil {
			keys = append(keys, oncKey(list, place))
		}
	} else if strings.HasPrefix(n.Specific, "ONC_WIFI_") {
		list = "NetworkConfigurations"
	}
	if list != "" {
		keys = append(keys, oncKey(list, -1))
	}
	for _, k := range keys {
		if len(owners[k]) > 0 {
			return k
		}
	}
	return onc
}
