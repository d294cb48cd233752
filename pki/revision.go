package pki

// Revision rises with each committed revocation: whoever remembers that a certificate was good remembers it for one revision.
func (a *Authority) Revision() uint64 { return a.revisions.Load() }
