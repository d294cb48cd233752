package ui

// workProfilePath explains work profiles to the people who have one or are asked to (D10). Anyone may read it.
const workProfilePath = "/about/work-profile"

func (u *UI) workProfile(q *Request) error {
	return q.Page("people/work-profile", Page{Title: q.T("wp.title"), Data: q.helpItems("wp", "what", "badge", "have", "pause", "see", "remove", "reset", "lock", "leave")})
}
