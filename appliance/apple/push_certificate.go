package apple

import (
	"crypto/x509"
	"errors"
	"time"
)

// readPushCertificate gives the topic of an MDM push certificate, its subject's UID attribute (0.9.2342.19200300.100.1.1), and its end.
func readPushCertificate(der []byte) (topic string, notAfter time.Time, err error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "", time.Time{}, err
	}
	for _, n := range cert.Subject.Names {
		if n.Type.String() == "0.9.2342.19200300.100.1.1" {
			if s, ok := n.Value.(string); ok && s != "" {
				return s, cert.NotAfter, nil
			}
		}
	}
	return "", time.Time{}, errors.New("push certificate without a topic")
}
