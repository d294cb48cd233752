package fleet

import (
	"context"

	"muster/store"
)

// DeviceByHardware returns the device that is known under a hardware identifier, whatever its state; ErrNotFound when there is none. It is
// for platform packages, whose identifiers are claims: they look whose one is before they believe it.
func (f *Fleet) DeviceByHardware(ctx context.Context, hardware string) (*Device, error) {
	var d *Device
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		d, err = devices.Find(tx, "hardware", hardware)
		if err != nil {
			return notFound(err, "device")
		}
		return nil
	})
	return d, err
}
