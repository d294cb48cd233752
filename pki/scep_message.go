package pki

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"muster/pki/cms"
)

// The signed attributes of SCEP (RFC 8894, 3.2.1).
var (
	oidMessageType    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	oidPKIStatus      = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3}
	oidFailInfo       = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 4}
	oidSenderNonce    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	oidRecipientNonce = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 6}
	oidTransactionID  = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
)

const (
	scepCertRep    = "3"
	scepRenewalReq = "17"
	scepPKCSReq    = "19"

	scepSuccess    = "0"
	scepFailure    = "2"
	scepBadRequest = "2"
)

// scepMessage is a client's message as far as it can be read without our key.
type scepMessage struct {
	signed      *cms.Signed
	signer      cms.Certificate
	kind        string // messageType
	transaction string
	rawTxn      []byte // the transaction's DER as received, for the echo
	nonce       []byte // DER of the senderNonce; nil when the client sent none
}

// maxTransaction and maxNonce bound what is echoed and stored of a stranger's message, in bytes.
const (
	maxTransaction = 256
	maxNonce       = 128
)

// parseSCEP reads the outer layer and its attributes. It fails with ErrMessage when there is nothing to address an
// answer to; the signature is not verified yet.
func parseSCEP(message []byte) (*scepMessage, error) {
	if len(message) > maxSCEP {
		return nil, fmt.Errorf("%w: %d bytes", ErrMessage, len(message))
	}
	signed, err := cms.ParseSigned(message)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	m := &scepMessage{signed: signed}
	if m.signer, err = signed.Signer(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	kind, _ := signed.Attribute(oidMessageType)
	transaction, _ := signed.Attribute(oidTransactionID)
	var ok1, ok2 bool
	m.kind, ok1 = readStringDER(kind)
	m.transaction, ok2 = readStringDER(transaction)
	if !ok1 || !ok2 || m.transaction == "" || len(m.transaction) > maxTransaction {
		return nil, fmt.Errorf("%w: no message type or transaction", ErrMessage)
	}
	m.rawTxn = transaction
	if isPrintable(m.transaction) {
		m.rawTxn = printable(m.transaction)
	}
	if nonce, ok := signed.Attribute(oidSenderNonce); ok {
		value := cryptobyte.String(nonce)
		var octets cryptobyte.String
		if !value.ReadASN1(&octets, cbasn1.OCTET_STRING) || len(octets) > maxNonce {
			return nil, fmt.Errorf("%w: nonce", ErrMessage)
		}
		m.nonce = nonce
	}
	return m, nil
}

func readStringDER(der []byte) (string, bool) {
	in := cryptobyte.String(der)
	return readString(&in)
}

// isPrintable says whether s fits a PrintableString (X.680, 41.4).
func isPrintable(s string) bool {
	for _, r := range []byte(s) {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		case bytes.IndexByte([]byte(" '()+,-./:=?"), r) >= 0:
		default:
			return false
		}
	}
	return true
}

// printable is the DER of a PrintableString shorter than 65,536 bytes.
func printable(s string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
	return b.BytesOrPanic()
}

// octets is the DER of a short OCTET STRING.
func octets(value []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1OctetString(value)
	return b.BytesOrPanic()
}

// certRep makes the answer: with a certificate, success, the certificate encrypted to the requester's signing key in
// the request's strength; without, a failure that says nothing but badRequest.
func (a *Authority) certRep(m *scepMessage, issued *Certificate, cipher cms.Cipher) ([]byte, error) {
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	attributes := []cms.Attribute{
		{Type: oidMessageType, Value: printable(scepCertRep)},
		{Type: oidTransactionID, Value: m.rawTxn},
		{Type: oidSenderNonce, Value: octets(nonce[:])},
	}
	if m.nonce != nil {
		attributes = append(attributes, cms.Attribute{Type: oidRecipientNonce, Value: m.nonce})
	}
	answer := cms.Signing{Certificate: a.ra.certificate, Key: a.ra.key}
	if issued == nil {
		answer.Attributes = append(attributes,
			cms.Attribute{Type: oidPKIStatus, Value: printable(scepFailure)},
			cms.Attribute{Type: oidFailInfo, Value: printable(scepBadRequest)})
		return cms.Sign(answer)
	}
	answer.Attributes = append(attributes, cms.Attribute{Type: oidPKIStatus, Value: printable(scepSuccess)})
	bundle, err := cms.CertificatesOnly(issued.DER)
	if err != nil {
		return nil, err
	}
	if answer.Content, err = cms.Encrypt(bundle, m.signer, answerCipher(cipher)); err != nil {
		return nil, err
	}
	return cms.Sign(answer)
}

// answerCipher is always AES: the request's own strength when that was AES, else AES-128, which every client has that
// read AES among our capabilities.
func answerCipher(request cms.Cipher) cms.Cipher {
	switch request {
	case cms.AES192, cms.AES256:
		return cms.AES256
	}
	return cms.AES128
}
