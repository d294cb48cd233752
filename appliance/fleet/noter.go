package fleet

// Noter is what a module has besides when profiles do something on its platform that is to be known before they are saved: what stays on a
// device when they are removed, what people will notice.
type Noter interface {
	Notes(p *Profile) []Reason
}

// moduleNotes are what the platforms that a profile goes to say about it.
func (f *Fleet) moduleNotes(p *Profile) []Reason {
	var out []Reason
	for _, pl := range p.Platforms {
		n, ok := f.modules[pl].(Noter)
		if !ok {
			continue
		}
		for _, t := range TargetsOf(pl) {
			if applies, _ := f.applies(p, t); applies {
				out = append(out, n.Notes(p)...)
				break
			}
		}
	}
	return out
}
