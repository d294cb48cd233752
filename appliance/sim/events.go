package sim

import (
	"context"
	"time"
)

// event is something that a mood brings about.
type event struct {
	at time.Time
	do func(context.Context)
}

// events are what a mood has in store, in any order.
type events []event

// due fires when the first of them is to happen; nil when there is none. stop must be called when it is waited for no longer.
func (l events) due() (fires <-chan time.Time, stop func()) {
	i := l.first()
	if i < 0 {
		return nil, func() {}
	}
	t := time.NewTimer(max(time.Until(l[i].at), 0))
	return t.C, func() { t.Stop() }
}

// take takes out the first of them, of which there must be one.
func (l *events) take() event {
	i := l.first()
	e := (*l)[i]
	*l = append((*l)[:i:i], (*l)[i+1:]...)
	return e
}

func (l events) first() int {
	first := -1
	for i, e := range l {
		if first < 0 || e.at.Before(l[first].at) {
			first = i
		}
	}
	return first
}

// offline is a device going offline some time after since, and coming back; nothing when it never goes.
func offline(since time.Time, after, during time.Duration, set func(bool)) events {
	if during <= 0 {
		return nil
	}
	return events{
		{since.Add(after), func(context.Context) { set(true) }},
		{since.Add(after + during), func(context.Context) { set(false) }},
	}
}
