package appliance

import (
	"context"

	"muster/appliance/fleet"
)

// addAccess makes what a house has besides mail: a network, a link, and limits for company data.
func (d *DemoRun) addAccess(ctx context.Context) error {
	apple := []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS}
	for _, x := range []struct {
		kind              fleet.ProfileType
		name, description string
		platforms         []fleet.Platform
		settings          map[string]any
		to                fleet.Assignment
	}{
		{fleet.TypeWiFi, "Office Wi-Fi", "The network of the house, with one key for all", append(apple, fleet.Windows),
			map[string]any{"ssid": "Noordhaven", "password": "wide harbour lantern"}, fleet.Assignment{To: fleet.ToAllDevices}},
		{fleet.TypeWebLink, "Intranet", "The pages of the house, on the home screen", apple,
			map[string]any{"label": "Noordhaven", "url": "https://intranet.noordhaven.example/"}, fleet.Assignment{To: fleet.ToAllPeople}},
		{fleet.TypeRestrictions, "Company data stays inside", "Company documents open in company apps only", apple[:2],
			map[string]any{"no_managed_to_personal": true, "managed_clipboard": true, "airdrop_unmanaged": true}, fleet.Assignment{To: fleet.ToAllDevices}},
	} {
		p, err := d.profileFor(ctx, x.kind, x.name, x.description, x.settings, x.platforms)
		if err != nil {
			return err
		}
		if err := d.Appliance.fleet.Assign(ctx, d.Actor, p.ID, []fleet.Assignment{x.to}, false); err != nil {
			return err
		}
	}
	return nil
}
