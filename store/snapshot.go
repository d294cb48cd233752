package store

import (
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// snapshot is the store as it was after one commit, shared by all who read then: the engine lets a new snapshot wait for a commit that is under
// way, and somebody who only reads has no reason to. Its transaction is read-only, so many may use it at once.
type snapshot struct {
	txn   *badger.Txn
	users atomic.Int64 // and one while it is the newest; at 0 it has ended
}

// join adds a user; false when the snapshot has ended.
func (s *snapshot) join() bool {
	for {
		n := s.users.Load()
		if n == 0 {
			return false
		}
		if s.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave takes a user away; the last one ends the snapshot.
func (s *snapshot) leave() {
	if s.users.Add(-1) == 0 {
		s.txn.Discard()
	}
}

// newest is the snapshot of the last commit.
type newest struct {
	engine *badger.DB
	now    atomic.Pointer[snapshot]
}

// renew takes a snapshot of what is committed; nothing may be on its way to the engine. It comes before a commit is answered, so that who was
// answered sees what they wrote.
func (n *newest) renew() {
	s := &snapshot{txn: n.engine.NewTransaction(false)}
	s.users.Store(1)
	n.end(n.now.Swap(s))
}

// get returns the newest snapshot for a user, who has to leave it.
func (n *newest) get() *snapshot {
	for {
		if s := n.now.Load(); s.join() {
			return s
		}
	}
}

// close ends the newest snapshot for good.
func (n *newest) close() { n.end(n.now.Load()) }

func (n *newest) end(s *snapshot) {
	if s != nil {
		s.leave()
	}
}
