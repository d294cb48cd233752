package android

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"muster/appliance/fleet"
)

// trustedRoot puts a root into the managed space by Open Network Configuration, where Android Device Policy takes certificates of authorities
// without a network that needs them. One and the same root in two profiles is one entry.
func (r *rendering) trustedRoot(p *fleet.Profile) (tree, error) {
	v := p.Values()
	cert := r.root
	if v.String("source") != "internal" {
		var err error
		if cert, err = fleet.ParseCertificate(v.String("certificate")); err != nil {
			return nil, err
		}
	}
	return tree{"openNetworkConfiguration": map[string]any{"Certificates": map[string]any{
		rootGUID(cert.Raw): map[string]any{"Type": "Authority", "X509": base64.StdEncoding.EncodeToString(cert.Raw)}}}}, nil
}

// rootGUID names a root in the configuration, the same for the same certificate.
func rootGUID(der []byte) string {
	sum := sha256.Sum256(der)
	return "root-" + hex.EncodeToString(sum[:8])
}
