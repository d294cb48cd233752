package fleet

import "muster/store"

// planner is what a Fleet keeps in memory for devices. All of it can be lost.
type planner struct {
	memos
	idle       idleCache
	identities identityCache
	locks      KeyedLocks
	touches    touches
	wakeBell   bell
	sleeps     sleepsUntil
	passed     passed
	pushing    pushing
	services   services
}

// memos spare decoding what the messages of one run read again and again. They follow the store by themselves: see store.Memo.
type memos struct {
	devices *store.Memo[Device]
	people  *store.Memo[Person]
	wakes   *store.Memo[Wake]
	stamps  *store.Memo[configStamp]
	reports *store.Memo[reported]    // taken: whoever reads one changes it
	orders  *store.Memo[orderRecord] // taken
}

// remembered is how many records of a kind are kept decoded: those of devices whose run is under way.
const remembered = 1000

func newMemos() memos {
	return memos{
		devices: store.NewMemo(devices, remembered),
		people:  store.NewMemo(people, remembered),
		wakes:   store.NewMemo(wakes, remembered),
		stamps:  store.NewMemo(configStamps, 1),
		reports: store.NewMemo(reports, remembered),
		orders:  store.NewMemo(orders, remembered),
	}
}
