package sim

import "encoding/asn1"

// toBER rewrites a DER-encoded CMS message as Apple's encoder writes it: every
// constructed element on the way to the content has an indefinite length, and the
// content's OCTET STRING comes in pieces. What is signed (the signed attributes, the
// certificates) keeps its DER form.
func toBER(der []byte) []byte {
	out, err := berWrap(der, 0)
	if err != nil {
		return der
	}
	return out
}

// berWrap handles one element. depth 0: ContentInfo, 1: its [0], 2: SignedData or
// EnvelopedData, 3: their fields, of which only the content is opened further.
func berWrap(der []byte, depth int) ([]byte, error) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	if err != nil || len(rest) != 0 {
		return der, err
	}
	if depth >= 3 {
		return berContent(v), nil
	}
	if !v.IsCompound {
		return der, nil
	}
	out := []byte{der[0], 0x80}
	for b := v.Bytes; len(b) > 0; {
		var e asn1.RawValue
		if b, err = asn1.Unmarshal(b, &e); err != nil {
			return nil, err
		}
		piece, err := berWrap(e.FullBytes, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, piece...)
	}
	return append(out, 0, 0), nil
}

// berContent opens a field of SignedData or EnvelopedData when it is the one that
// holds the content: a SEQUENCE that begins with a content type (an OID beneath 1.2.840.113549.1.7).
func berContent(v asn1.RawValue) []byte {
	contentTypes := string([]byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07})
	if v.Tag != asn1.TagSequence || v.Class != asn1.ClassUniversal || len(v.Bytes) < 11 || string(v.Bytes[2:10]) != contentTypes {
		return v.FullBytes
	}
	out := []byte{0x30, 0x80}
	for b := v.Bytes; len(b) > 0; {
		var e asn1.RawValue
		var err error
		if b, err = asn1.Unmarshal(b, &e); err != nil {
			return v.FullBytes
		}
		switch {
		case e.Class == asn1.ClassContextSpecific && e.Tag == 0 && e.IsCompound: // eContent [0] EXPLICIT OCTET STRING
			var octets asn1.RawValue
			if _, err := asn1.Unmarshal(e.Bytes, &octets); err != nil || octets.Tag != asn1.TagOctetString {
				return v.FullBytes
			}
			out = append(out, 0xa0, 0x80)
			out = append(out, pieces(0x24, octets.Bytes)...)
			out = append(out, 0, 0)
		case e.Class == asn1.ClassContextSpecific && e.Tag == 0: // encryptedContent [0] IMPLICIT OCTET STRING
			out = append(out, pieces(0xa0, e.Bytes)...)
		default:
			out = append(out, e.FullBytes...)
		}
	}
	return append(out, 0, 0)
}

// pieces writes octets as a constructed string of indefinite length, 1000 octets a piece.
func pieces(tag byte, octets []byte) []byte {
	out := []byte{tag, 0x80}
	for len(octets) > 0 {
		n := min(len(octets), 1000)
		// Marshal of a byte slice cannot fail.
		piece, _ := asn1.Marshal(octets[:n])
		out, octets = append(out, piece...), octets[n:]
	}
	return append(out, 0, 0)
}
