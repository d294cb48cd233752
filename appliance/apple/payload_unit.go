package apple

import (
	"errors"
	"fmt"
	"strings"

	"muster/appliance/fleet"
)

// renderUnit makes the configuration profile of a unit.
func (a *Apple) renderUnit(o *fleet.Order, s *fleet.Settings) ([]byte, error) {
	u := o.Step.Unit
	if u == nil || len(o.Profiles) == 0 {
		return nil, ours(errors.New("installation of nothing"))
	}
	r := &rendering{
		unit: u.Key, order: o, platform: o.Device.Platform, scepURL: deviceURL(s) + scepPath, scepName: scepName(s), root: a.pki.Root(),
		profiles: map[fleet.ProfileID]*fleet.Profile{}, settings: map[fleet.ProfileID]fleet.Values{},
	}
	var names []string
	for _, p := range o.Profiles {
		v, err := fleet.Fill(p, o.Person)
		if err != nil {
			var ref *fleet.Refusal
			if errors.As(err, &ref) {
				return nil, &unrenderable{fleet.Failed, ref.Reason, err}
			}
			return nil, ours(err)
		}
		r.profiles[p.ID], r.settings[p.ID] = p, v
		names = append(names, p.Name)
	}
	top := configuration{header: newHeader("Configuration", unitIdentifier(u.Key), a.Marker(*u), strings.Join(names, ", "))}
	top.PayloadOrganization = s.Organisation
	if r.platform == fleet.MacOS {
		top.PayloadScope = "System"
		if u.Channel != fleet.DeviceChannel {
			top.PayloadScope = "User"
		}
	}
	for _, p := range o.Profiles {
		render := renderers[p.Type]
		if render == nil {
			return nil, ours(fmt.Errorf("no renderer for %s", p.Type))
		}
		payloads, err := render(r, p)
		if err != nil {
			return nil, ours(fmt.Errorf("profile %s: %w", p.ID, err))
		}
		top.PayloadContent = append(top.PayloadContent, payloads...)
	}
	b, err := writePlist(top)
	if err != nil {
		return nil, ours(err)
	}
	return b, nil
}
