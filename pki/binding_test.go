package pki_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"muster/pki"
)

func TestBindingJSON(t *testing.T) {
	for name, subject := range map[string]pkix.Name{
		"empty":  {},
		"common": {CommonName: "Anna de Vries", Organization: []string{"Acme", "Acme NL"}, Country: []string{"NL"}},
		"extra": {CommonName: "x", ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "anna"},
		}},
	} {
		b := pki.Binding{
			Purpose: pki.Access, Enrolment: "E", Device: "D", Person: "P", Profile: "F", Generation: 3, Subject: subject,
			Emails: []string{"a@b.example"}, UPN: "a@b", Lifetime: time.Hour,
		}
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		var got pki.Binding
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		want, _ := asn1.Marshal(b.Subject.ToRDNSequence())
		have, _ := asn1.Marshal(got.Subject.ToRDNSequence())
		if string(want) != string(have) {
			t.Errorf("%s: subject = %s, want %s", name, got.Subject, b.Subject)
		}
		b.Subject, got.Subject = pkix.Name{}, pkix.Name{}
		if !reflect.DeepEqual(b, got) {
			t.Errorf("%s: binding = %+v, want %+v", name, got, b)
		}
	}
}
