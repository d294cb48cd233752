package cms

import "fmt"

// MaxSize is the longest message that the parsers accept, in bytes: what an Mdm-Signature header or a SCEP request may
// hold at most, with its certificates.
const MaxSize = 1 << 20

// maxDepth bounds the nesting of constructed elements; a signed message around certificates needs about fifteen.
const maxDepth = 40

const (
	tagOctetString            = 0x04
	tagConstructedOctetString = 0x24
	constructed               = 0x20
)

// Normalise turns the first BER element of in into one with definite, minimal lengths and unsplit OCTET STRINGs
// (X.690 clauses 8.1.3.6 and 8.7.3). What follows the element is ignored: some clients pad. An element that is already
// in that form is returned as a slice of in, uncopied.
//
// It does not look into primitive elements, does not reorder sets, and leaves context-tagged OCTET STRINGs in pieces,
// since their type is known to the parser only.
func Normalise(in []byte) ([]byte, error) {
	if len(in) > MaxSize {
		return nil, ErrTooBig
	}
	if n, ok := definite(in, 0); ok {
		return in[:n], nil
	}
	e, _, err := readElement(in)
	if err != nil {
		return nil, err
	}
	out, _, err := normalise(nil, e, in, 0)
	return out, err
}

// element is one BER header with where its content lies.
type element struct {
	tag        byte
	header     int // bytes
	length     int // content bytes; -1 = indefinite
	minimal    bool
	endOfBytes bool // the two zero bytes that end an indefinite element
}

// readElement reads the header at the start of in and checks that a definite content lies inside in.
func readElement(in []byte) (element, []byte, error) {
	if len(in) < 2 {
		return element{}, nil, fmt.Errorf("%w: truncated", ErrMalformed)
	}
	e := element{tag: in[0], header: 2, minimal: true}
	if e.tag&0x1f == 0x1f {
		return element{}, nil, fmt.Errorf("%w: long tag", ErrMalformed)
	}
	switch l := in[1]; {
	case l < 0x80:
		e.length = int(l)
	case l == 0x80:
		if e.tag&constructed == 0 {
			return element{}, nil, fmt.Errorf("%w: primitive of indefinite length", ErrMalformed)
		}
		e.length = -1
		return e, in[2:], nil
	default:
		n := int(l & 0x7f)
		if n > 4 || len(in) < 2+n {
			return element{}, nil, fmt.Errorf("%w: length", ErrMalformed)
		}
		length := uint64(0)
		for _, b := range in[2 : 2+n] {
			length = length<<8 | uint64(b)
		}
		if length > MaxSize {
			return element{}, nil, ErrTooBig
		}
		e.length, e.header = int(length), 2+n
		e.minimal = in[2] != 0 && length >= 0x80
	}
	if e.tag == 0 && e.length == 0 {
		e.endOfBytes = true
	}
	if len(in)-e.header < e.length {
		return element{}, nil, fmt.Errorf("%w: truncated", ErrMalformed)
	}
	return e, in[e.header:], nil
}

// definite says whether the first element of in needs no work, and its whole length.
func definite(in []byte, depth int) (int, bool) {
	e, content, err := readElement(in)
	if err != nil || depth > maxDepth || e.length < 0 || !e.minimal || e.tag == tagConstructedOctetString || e.endOfBytes {
		return 0, false
	}
	if e.tag&constructed != 0 {
		content = content[:e.length]
		for len(content) > 0 {
			n, ok := definite(content, depth+1)
			if !ok {
				return 0, false
			}
			content = content[n:]
		}
	}
	return e.header + e.length, true
}

// normalise appends the element e, whose bytes begin at in, to dst and returns what follows it in in.
func normalise(dst []byte, e element, in []byte, depth int) (out, rest []byte, err error) {
	if depth > maxDepth {
		return nil, nil, fmt.Errorf("%w: nested too deeply", ErrMalformed)
	}
	in = in[e.header:]
	if e.tag&constructed == 0 {
		dst = appendHeader(dst, e.tag, e.length)
		return append(dst, in[:e.length]...), in[e.length:], nil
	}
	var content []byte
	inner := in
	if e.length >= 0 {
		inner, rest = in[:e.length], in[e.length:]
	}
	for {
		if e.length >= 0 && len(inner) == 0 {
			break
		}
		child, _, err := readElement(inner)
		if err != nil {
			return nil, nil, err
		}
		if child.endOfBytes {
			if e.length >= 0 {
				return nil, nil, fmt.Errorf("%w: stray end of contents", ErrMalformed)
			}
			rest = inner[child.header:]
			break
		}
		if e.tag == tagConstructedOctetString {
			var piece []byte
			if piece, inner, err = normalise(nil, child, inner, depth+1); err != nil {
				return nil, nil, err
			}
			p, body, err := readElement(piece)
			if err != nil || p.tag != tagOctetString {
				return nil, nil, fmt.Errorf("%w: piece of an octet string", ErrMalformed)
			}
			content = append(content, body[:p.length]...)
			continue
		}
		if content, inner, err = normalise(content, child, inner, depth+1); err != nil {
			return nil, nil, err
		}
	}
	tag := e.tag
	if tag == tagConstructedOctetString {
		tag = tagOctetString
	}
	dst = appendHeader(dst, tag, len(content))
	return append(dst, content...), rest, nil
}

// appendHeader appends a tag and a minimal definite length.
func appendHeader(dst []byte, tag byte, length int) []byte {
	switch {
	case length < 0x80:
		return append(dst, tag, byte(length))
	case length < 0x100:
		return append(dst, tag, 0x81, byte(length))
	case length < 0x10000:
		return append(dst, tag, 0x82, byte(length>>8), byte(length))
	default:
		return append(dst, tag, 0x83, byte(length>>16), byte(length>>8), byte(length))
	}
}
