package fleet

// lifecycle says whether an action sets a lifecycle target. A wipe that keeps the enrolment does not: the device goes on as it was, with
// nothing on it.
func (a *Action) lifecycle() bool {
	return isLifecycle(a.Type) && !(a.Type == ActWipe && a.Options.KeepEnrolled)
}

// erased notes that nothing of what was delivered is on the device any more; it stays managed, and everything is wanted anew.
func (r *reported) erased() {
	for _, c := range r.Channels {
		*c = channelReport{}
	}
	r.Access, r.Blocked = nil, nil
}
