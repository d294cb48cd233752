package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"muster/appliance/fleet"
)

// connectGoogle connects to the stand-in for Google as an administrator does on the first day: key, notifications, sign-up. Without a stand-in there
// are no Androids.
func (d *DemoRun) connectGoogle(ctx context.Context) error {
	if d.Google == nil {
		return nil
	}
	a := d.Appliance.android
	in := fleet.GoogleInput{Kind: fleet.GoogleOwn, KeyFile: string(d.Google.ServiceAccount()),
		Topic: "projects/" + d.Google.Project() + "/topics/muster-android", Subscription: "projects/" + d.Google.Project() + "/subscriptions/muster-android"}
	if _, err := a.Connect(ctx, d.Actor, in); err != nil {
		return fmt.Errorf("connecting to the stand-in for Google: %w", err)
	}
	page, err := a.SignUp(ctx, d.Actor)
	if err != nil {
		return err
	}
	back, err := d.Google.SignUp(ctx, page)
	if err != nil {
		return err
	}
	u, err := url.Parse(back)
	if err != nil {
		return err
	}
	return a.Complete(ctx, u.Query().Get("state"), u.Query().Get("enterpriseToken"))
}

// addAndroidProfiles takes Androids into the office's mail, with the certificate that it signs in with and its root, and makes their own password rule.
func (d *DemoRun) addAndroidProfiles(ctx context.Context) error {
	if d.Google == nil {
		return nil
	}
	f := d.Appliance.fleet
	list, err := f.Profiles(ctx, d.Actor, fleet.ListQuery{Limit: 100})
	if err != nil {
		return err
	}
	for _, p := range list.Items {
		switch p.Type {
		case fleet.TypeTrustedRoot, fleet.TypeIdentity, fleet.TypeEmail:
			platforms := append(slices.Clone(p.Platforms), fleet.Android)
			if _, err := f.UpdateProfile(ctx, d.Actor, p.ID, fleet.ProfileInput{Platforms: &platforms}); err != nil {
				return fmt.Errorf("profile %q for Androids: %w", p.Name, err)
			}
		}
	}
	lock, err := d.profileFor(ctx, fleet.TypePasscode, "Screen lock on Android", "Six characters or more before work apps come", map[string]any{"min_length": 6}, []fleet.Platform{fleet.Android})
	if err != nil {
		return err
	}
	return f.Assign(ctx, d.Actor, lock.ID, []fleet.Assignment{{To: fleet.ToAllDevices}}, false)
}

// findAndroid learns the id of an Android by the name that Google gave it: news of it comes through notifications, so it may take a moment.
func (d *DemoRun) findAndroid(ctx context.Context, dev *DemoDevice) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		// A phone that has left management meanwhile has no name any more; it kept the one that it had.
		who, err := d.Appliance.fleet.IdentifyService(ctx, dev.googleName)
		if err == nil {
			dev.ID = who.Device
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s: %w", dev.part.name, err)
			}
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
