package windows

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"slices"

	"muster/appliance/fleet"
)

const rootNode = "./Device/Vendor/MSFT/RootCATrustedCertificates/Root/"

// roots delivers certificates into the machine's Root store: there is none for a person. One that is there already (418) is as good. Our own
// root came with the enrolment, and the connection hangs by it: it is never deleted by us, and goes when management ends.
func (r *rendering) roots(list []*fleet.Profile) (*rendered, error) {
	out := &rendered{}
	var commands []command
	var seen []string
	for _, p := range list {
		cert, err := r.certificateOf(p)
		if err != nil {
			return nil, err
		}
		node, data := rootNode+thumbprint(cert.Raw), base64.StdEncoding.EncodeToString(cert.Raw)
		if slices.Contains(seen, node) {
			continue
		}
		seen = append(seen, node)
		add := set(verbAdd, node+"/EncodedCertificate", "b64", data)
		add.OK = []int{418}
		commands = append(commands, add)
		out.checks = append(out.checks, check{URI: node + "/EncodedCertificate", Want: data, Kind: "b64"})
		if !r.isOwn(cert) {
			out.nodes = append(out.nodes, node)
		}
	}
	out.batches = one(commands...)
	return out, nil
}

// certificateOf is the certificate that a trusted-root profile delivers.
func (r *rendering) certificateOf(p *fleet.Profile) (*x509.Certificate, error) {
	if v := p.Values(); v.String("source") != "internal" {
		return fleet.ParseCertificate(v.String("certificate"))
	}
	return r.root, nil
}

func (r *rendering) isOwn(c *x509.Certificate) bool { return bytes.Equal(c.Raw, r.root.Raw) }
