package fleet

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"strconv"
	"strings"
)

// TypeWebLink is a link to a page among the apps of a device: on iPhone and iPad on the home screen, on a Mac in the Dock of the person
// (com.apple.webClip.managed), on an Android a small app of its own among the apps for work (WebApp of the Android Management API).
func webLinkDeclaration() Declaration {
	phones := []Platform{IOS, IPadOS, Android}
	return Declaration{
		Type:     TypeWebLink,
		Targets:  targetsOf(TypeWebLink),
		NameHint: "profile.web-link.name-hint",
		Fields: []Field{
			{Key: "label", Kind: KindText, Required: true, Max: 60, Group: "link"},
			{Key: "url", Kind: KindURL, Required: true, Max: 2000, Group: "link"},
			{Key: "icon", Kind: KindPicture, Group: "link"},
			{Key: "removable", Kind: KindBool, Default: true, Platforms: phones, Group: "link"},
			{Key: "full_screen", Kind: KindBool, Default: false, Platforms: phones, Group: "link"},
		},
	}
}

// What a picture may have at most: points on a side, and bytes. Apple asks for no more than 400.
const (
	pictureSide  = 512
	pictureBytes = 60 << 10
)

// checkPicture takes a square PNG and keeps its base64 without blanks.
func (fd Field) checkPicture(name, s string, bad faults) (any, bool) {
	s = strings.Join(strings.Fields(s), "")
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		bad.put(name, "picture.unreadable")
		return nil, false
	}
	c, err := png.DecodeConfig(bytes.NewReader(b))
	switch {
	case err != nil:
		bad.put(name, "picture.unreadable")
	case c.Width != c.Height || c.Width > pictureSide || len(b) > pictureBytes:
		bad.put(name, "picture.size", "side", strconv.Itoa(pictureSide), "kilobytes", strconv.Itoa(pictureBytes>>10))
	default:
		return s, true
	}
	return nil, false
}
