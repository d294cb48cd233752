package sim

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"
)

// subject reads the Subject of a SCEP payload: an array of RDNs, each an array of
// [type, value] pairs, so three levels of arrays.
func subject(b dict) (pkix.RDNSequence, error) {
	rdns, _ := b["Subject"].([]any)
	var seq pkix.RDNSequence
	for _, r := range rdns {
		pairs, ok := r.([]any)
		if !ok {
			return nil, fmt.Errorf("an RDN is %s, not an array", typeName(r))
		}
		var set pkix.RelativeDistinguishedNameSET
		for _, p := range pairs {
			pair, ok := p.([]any)
			if !ok || len(pair) != 2 {
				return nil, fmt.Errorf("an element of an RDN is not a pair but %s", typeName(p))
			}
			name, ok1 := pair[0].(string)
			value, ok2 := pair[1].(string)
			if !ok1 || !ok2 {
				return nil, fmt.Errorf("a pair holds something else than strings")
			}
			oid, err := attributeType(name)
			if err != nil {
				return nil, err
			}
			set = append(set, pkix.AttributeTypeAndValue{Type: oid, Value: value})
		}
		seq = append(seq, set)
	}
	return seq, nil
}

// attributeType reads C, L, ST, O, OU, CN or a dotted OID.
func attributeType(name string) (asn1.ObjectIdentifier, error) {
	if last, ok := map[string]int{"CN": 3, "C": 6, "L": 7, "ST": 8, "O": 10, "OU": 11}[name]; ok {
		return asn1.ObjectIdentifier{2, 5, 4, last}, nil
	}
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(name, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not an attribute type", name)
		}
		oid = append(oid, n)
	}
	if len(oid) < 2 {
		return nil, fmt.Errorf("%q is not an attribute type", name)
	}
	return oid, nil
}

// names are the alternative names that a SCEP payload asks for.
type names struct {
	mail, dns, uri []string
	upn            string
}

func altNames(b dict) (names, error) {
	var n names
	san, _ := b["SubjectAltName"].(dict)
	for key, to := range map[string]*[]string{"rfc822Name": &n.mail, "dNSName": &n.dns, "uniformResourceIdentifier": &n.uri} {
		switch v := san[key].(type) {
		case nil:
		case string:
			*to = []string{v}
		case []any:
			if *to = stringList(san, key); len(*to) != len(v) {
				return n, fmt.Errorf("%s holds something else than strings", key)
			}
		default:
			return n, fmt.Errorf("%s is %s", key, typeName(v))
		}
	}
	if v, there := san["ntPrincipalName"]; there {
		s, ok := v.(string)
		if !ok {
			return n, fmt.Errorf("ntPrincipalName is %s", typeName(v))
		}
		n.upn = s
	}
	return n, nil
}
