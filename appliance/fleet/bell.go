package fleet

import "sync"

// bell wakes one waiting worker. Rings while nobody waits are remembered as one. The zero bell is ready.
type bell struct {
	once sync.Once
	ch   chan struct{}
}

// C is the channel to wait on.
func (b *bell) C() <-chan struct{} {
	b.once.Do(func() { b.ch = make(chan struct{}, 1) })
	return b.ch
}

// ring never blocks.
func (b *bell) ring() {
	b.C()
	select {
	case b.ch <- struct{}{}:
	default:
	}
}
