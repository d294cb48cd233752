package ui

import (
	"net/http"
	"strings"

	"muster/appliance/fleet"
)

// hand is the kind of device that a page is being read on.
type hand struct {
	Kind     string // "iphone", "ipad", "mac", "android", "windows" or "other"
	InSafari bool   // on iPhone and iPad only Safari can download a profile
}

// inHand reads what the browser says of itself. An iPad says that it is a Mac;
// the script tells them apart afterwards (class touch-mac).
func inHand(r *http.Request) hand {
	ua := r.UserAgent()
	h := hand{Kind: "other"}
	switch {
	case strings.Contains(ua, "iPhone"), strings.Contains(ua, "iPod"):
		h.Kind = "iphone"
	case strings.Contains(ua, "iPad"):
		h.Kind = "ipad"
	case strings.Contains(ua, "Android"):
		h.Kind = "android"
	case strings.Contains(ua, "Macintosh"):
		h.Kind = "mac"
	case strings.Contains(ua, "Windows"):
		h.Kind = "windows"
	}
	h.InSafari = strings.Contains(ua, "Safari/") && strings.Contains(ua, "Version/")
	for _, other := range []string{"CriOS", "FxiOS", "EdgiOS", "OPiOS", "GSA/", "DuckDuckGo", "YaBrowser"} {
		if strings.Contains(ua, other) {
			h.InSafari = false
		}
	}
	return h
}

// fits reports whether the device in hand can be the one that was invited. A
// browser that does not say what it runs on may be.
func (h hand) fits(p fleet.Platform) bool {
	switch p {
	case fleet.IOS, fleet.IPadOS:
		return h.Kind == "iphone" || h.Kind == "ipad" || h.Kind == "other"
	case fleet.MacOS:
		return h.Kind == "mac" || h.Kind == "other"
	case fleet.Windows:
		return h.Kind == "windows" || h.Kind == "other"
	case fleet.Android:
		return h.Kind == "android" || h.Kind == "other"
	}
	return true
}
