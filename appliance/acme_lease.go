package appliance

import (
	"sync"
	"time"
)

// held are the leases of this process, each with the goroutine that renews it. The zero value is ready for use.
type held struct {
	mu    sync.Mutex
	names map[string]*lease
	wait  sync.WaitGroup
}

type lease struct {
	stop chan struct{} // nil until the lease is kept
}

// claim takes name for one caller of this process; release undoes it.
func (h *held) claim(name string) (release func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names[name] != nil {
		return nil, false
	}
	if h.names == nil {
		h.names = map[string]*lease{}
	}
	h.names[name] = &lease{}
	return func() { h.end(name) }, true
}

// keep renews a claimed lease until it is ended, or until renewing fails: another may hold it then.
func (h *held) keep(name string, every time.Duration, renew func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.names[name]
	if l == nil {
		return
	}
	l.stop = make(chan struct{})
	h.wait.Add(1)
	go func(stop chan struct{}) {
		defer h.wait.Done()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if renew() != nil {
					return
				}
			}
		}
	}(l.stop)
}

func (h *held) end(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.names[name]; l != nil && l.stop != nil {
		close(l.stop)
	}
	delete(h.names, name)
}

// close ends all and waits for their goroutines.
func (h *held) close() {
	h.mu.Lock()
	for name, l := range h.names {
		if l.stop != nil {
			close(l.stop)
		}
		delete(h.names, name)
	}
	h.mu.Unlock()
	h.wait.Wait()
}
