package sim

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"sync"
)

// Keys is a small pool of RSA keys for fleets: generating a key of its own for each
// of a thousand devices would take longer than everything else that they do. The
// pool makes at most its size of keys and then hands them around again, so that
// several devices may hold the same key; each still gets its own certificate.
type Keys struct {
	bits, size int

	mu   sync.Mutex
	made []*rsa.PrivateKey
	next int
	busy chan struct{} // as many at a time as the pool may generate in parallel
}

// NewKeys returns a pool that makes up to size keys of so many bits, at most
// parallel at a time.
func NewKeys(bits, size, parallel int) *Keys {
	return &Keys{bits: bits, size: max(size, 1), busy: make(chan struct{}, max(parallel, 1))}
}

// take returns a key of at least bits bits.
func (k *Keys) take(ctx context.Context, bits int) (*rsa.PrivateKey, error) {
	if k == nil || bits > k.bits {
		return rsa.GenerateKey(rand.Reader, bits)
	}
	if key := k.again(); key != nil {
		return key, nil
	}
	select {
	case k.busy <- struct{}{}:
		defer func() { <-k.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if key := k.again(); key != nil {
		return key, nil
	}
	key, err := rsa.GenerateKey(rand.Reader, k.bits)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.made = append(k.made, key)
	k.mu.Unlock()
	return key, nil
}

// again returns a key made earlier, or nil while the pool may still grow.
func (k *Keys) again() *rsa.PrivateKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.made) < k.size {
		return nil
	}
	k.next++
	return k.made[k.next%len(k.made)]
}
