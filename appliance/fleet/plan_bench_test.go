package fleet_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"muster/appliance/fleet"
)

// BenchmarkExchangeIdle is a check-in of a device that has nothing to do.
func BenchmarkExchangeIdle(b *testing.B) {
	w := newPlanWorld(b)
	var phones []*phone
	for i := range 50 {
		p := w.managed(fmt.Sprint("I", i), fleet.Corporate)
		p.call()
		phones = append(phones, p)
	}
	var n atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p := phones[int(n.Add(1))%len(phones)]
			c := p.contact()
			c.NewRun = true
			if o, err := w.Exchange(ctx, c, nil); err != nil || o != nil {
				b.Errorf("%+v, %v", o, err)
				return
			}
		}
	})
}

// BenchmarkCommandAndAnswer is a lock, handed over and acknowledged: two messages, each durable. Devices call at the same time, as they do.
func BenchmarkCommandAndAnswer(b *testing.B) {
	w := newPlanWorld(b)
	w.toAll(w.passcode(), w.email())
	phones := make(chan *phone, 64)
	for i := range 64 {
		p := w.managed(fmt.Sprint("C", i), fleet.Corporate)
		phones <- p
	}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	var spent atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p := <-phones
			d, err := w.Device(ctx, w.admin, p.identity.Device)
			if err != nil {
				b.Error(err)
				return
			}
			a, err := w.Act(ctx, w.admin, d.ID, fleet.ActLock, fleet.ActionOptions{}, d.Name)
			if err != nil {
				b.Error(errText(err))
				return
			}
			c := p.contact()
			c.NewRun = true
			o, err := w.Exchange(ctx, c, nil)
			if err != nil || o == nil || o.Action == nil || o.Action.ID != a.ID {
				b.Errorf("%+v, %v", o, err)
				return
			}
			if o, err = w.Exchange(ctx, p.contact(), &fleet.Answer{Order: o.ID, Outcome: fleet.Done}); err != nil || o != nil {
				b.Errorf("%+v, %v", o, err)
				return
			}
			spent.Add(1)
			phones <- p
		}
	})
}

// BenchmarkEnrol is the first two messages of an enrolment.
func BenchmarkEnrol(b *testing.B) {
	w := newPlanWorld(b)
	const many = 4000
	var list []fleet.EnrolmentID
	for range min(b.N, many) {
		list = append(list, w.ticket(fleet.Corporate, fleet.IOS))
	}
	if b.N > many {
		b.Skip("more than the enrolments prepared")
	}
	var n atomic.Int64
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1)) - 1
			p := w.phone(fmt.Sprint("E", i))
			if _, err := p.tryEnrol(list[i]); err != nil {
				b.Error(errText(err))
			}
		}
	})
}
