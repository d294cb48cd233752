package fleet

import (
	"context"
	"strconv"
	"testing"

	"muster/store"
)

// crowd adds many devices at once, each with its person if owned.
func (w *profWorld) crowd(n int) {
	w.t.Helper()
	for done := 0; done < n; {
		part := min(500, n-done)
		w.write(func(tx store.Tx) error {
			for i := range part {
				id := store.NewID()
				d := &Device{ID: DeviceID(id), Enrolment: EnrolmentID("e" + id), Hardware: "h" + id, Name: "D" + strconv.Itoa(done+i), Platform: IOS, Mode: ModeDevice,
					Ownership: Corporate, State: Managed, Version: 1}
				if err := devices.Put(tx, d); err != nil {
					return err
				}
			}
			return nil
		})
		done += part
	}
}

func TestPreviewSaysWhereItStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand devices")
	}
	w := newProfWorld(t)
	w.crowd(previewMost + 1)
	p := w.profile(TypePasscode, nil)
	r, err := w.PreviewAssign(context.Background(), w.admin, p.ID, nil, []Assignment{all(ToAllDevices)})
	if err != nil || r.Exact || r.Devices != previewMost || codes(r.Warnings) != "assign.counted-first" {
		t.Errorf("got %+v, %v", r, err)
	}
	// A group by hand is found wherever its members stand among all devices.
	late := w.device(nil, IOS, Corporate)
	r, err = w.PreviewAssign(context.Background(), w.admin, p.ID, nil, []Assignment{to(w.group(DeviceGroup, nil, string(late.ID)))})
	if err != nil || !r.Exact || r.Devices != 1 || r.Gains != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func BenchmarkPreview(b *testing.B) {
	w := newProfWorld(b)
	w.crowd(2000)
	p := w.profile(TypePasscode, nil)
	for b.Loop() {
		if r, err := w.PreviewAssign(context.Background(), w.admin, p.ID, nil, []Assignment{all(ToAllDevices)}); err != nil || r.Devices != 2000 {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(2000*float64(b.N)/b.Elapsed().Seconds(), "devices/s")
}

func BenchmarkFanOut(b *testing.B) {
	w := newProfWorld(b)
	w.crowd(2000)
	p := w.profile(TypePasscode, nil)
	n := 0
	for b.Loop() {
		to := []Assignment{all(ToAllDevices)}
		if n%2 == 1 {
			to = nil
		}
		n++
		w.assign(p, to...)
		w.drain()
	}
	b.ReportMetric(2000*float64(b.N)/b.Elapsed().Seconds(), "devices/s")
}
