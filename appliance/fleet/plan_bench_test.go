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

// BenchmarkDelivery is one message of a run in which a freshly enrolled device takes all that is wanted of it: queries, the profiles and
// the read-back. It is run with a fixed count (-benchtime 8000x): each device serves once.
func BenchmarkDelivery(b *testing.B) {
	w := newPlanWorld(b)
	root, id := w.identity()
	w.toAll(w.passcode(), root, id, w.email())
	const calls = 7 // messages a run takes at least
	phones := make(chan *phone, b.N/calls+33)
	for i := range cap(phones) {
		p := w.phone(fmt.Sprint("D", i))
		p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
		phones <- p
	}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var p *phone
		var ans *fleet.Answer
		for pb.Next() {
			if p == nil {
				select {
				case p = <-phones:
				default:
					b.Error("too few devices for so many messages")
					return
				}
			}
			c := p.contact()
			c.NewRun = ans == nil
			o, err := w.Exchange(ctx, c, ans)
			if err != nil {
				b.Error(errText(err))
				return
			}
			if o == nil {
				p, ans = nil, nil
				continue
			}
			ans = p.do(o)
		}
	})
}
