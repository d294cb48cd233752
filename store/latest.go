package store

// latestBytes bounds each half of what the writer remembers.
const latestBytes = 4 << 20

// latest is what keys hold after the last batch that went off, as far as the writer has read or written them lately. Nobody else writes, so it stays true
// without a look at the engine, where each look goes through several tables. It belongs to the writer's goroutine: readers have snapshots of
// their own. What was not asked for since the young half filled up twice is forgotten.
type latest struct {
	young, old map[string]held
	bytes      int // of young
}

// held is the value of a key, or that it has none. The bytes are never changed.
type held struct {
	value  []byte
	absent bool
}

// get returns what a key holds; false when that is not known.
func (l *latest) get(key []byte) (held, bool) {
	if h, ok := l.young[string(key)]; ok {
		return h, true
	}
	h, ok := l.old[string(key)]
	if ok {
		l.keep(key, h)
	}
	return h, ok
}

// keep remembers what a key holds.
func (l *latest) keep(key []byte, h held) {
	if l.bytes > latestBytes {
		l.old, l.young, l.bytes = l.young, nil, 0
	}
	if l.young == nil {
		l.young = map[string]held{}
	}
	l.bytes += len(key) + len(h.value)
	l.young[string(key)] = h
}

// wrote follows a batch on its way. Entries of indexes, which have no value, are not asked for by key, and large values are better left to the engine.
func (l *latest) wrote(e *entry) {
	if !e.deleted && (len(e.value) == 0 || len(e.value) > latestBytes/64) {
		delete(l.young, string(e.key))
		delete(l.old, string(e.key))
		return
	}
	if e.deleted { // else the many deleted index entries would push out what is asked for
		if _, known := l.get(e.key); !known {
			return
		}
	}
	l.keep(e.key, held{e.value, e.deleted})
}
