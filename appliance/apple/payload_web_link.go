package apple

import (
	"encoding/base64"
	"fmt"

	"muster/appliance/fleet"
)

const roleWebLink = "web-link"

// webClip is a link on the home screen, or in a person's Dock on a Mac (com.apple.webClip.managed).
type webClip struct {
	header
	URL         string
	Label       string
	Icon        []byte `plist:",omitempty"` // a white square without
	IsRemovable *bool  `plist:",omitempty"` // not on a Mac, like the next two
	FullScreen  *bool  `plist:",omitempty"`
	Precomposed *bool  `plist:",omitempty"` // no gloss over the icon
}

func (r *rendering) webLink(p *fleet.Profile) ([]any, error) {
	v := r.settings[p.ID]
	out := webClip{header: r.head("com.apple.webClip.managed", p, roleWebLink), URL: v.String("url"), Label: v.String("label")}
	if s := v.String("icon"); s != "" {
		var err error
		if out.Icon, err = base64.StdEncoding.DecodeString(s); err != nil {
			return nil, fmt.Errorf("icon: %w", err)
		}
	}
	if r.platform != fleet.MacOS {
		out.IsRemovable, out.FullScreen, out.Precomposed = ref(v.Bool("removable")), ref(v.Bool("full_screen")), ref(true)
	}
	return []any{out}, nil
}
