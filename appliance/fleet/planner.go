package fleet

// planner is what a Fleet keeps in memory for devices. All of it can be lost. The zero planner is ready.
type planner struct {
	idle       idleCache
	identities identityCache
	locks      keyedLocks
	touches    touches
	wakeBell   bell
	sleeps     sleepsUntil
	pushing    pushing
}
