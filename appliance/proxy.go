package appliance

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// proxies are the reverse proxies in front of the server, given as --trusted-proxy. What one of them says about where a request came from is
// believed; without that everybody behind it would be one address to the limits on sign-ins and to the audit log. Nobody else is believed.
type proxies []netip.Prefix

// parseProxies reads addresses and networks, separated by commas.
func parseProxies(s string) (proxies, error) {
	var out proxies
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			addr, err := netip.ParseAddr(part)
			if err != nil {
				return nil, UsageError{fmt.Sprintf("--trusted-proxy %q: want addresses or networks such as 10.0.0.5,192.168.4.0/24", part)}
			}
			p = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func (p proxies) trusts(addr netip.Addr) bool {
	for _, x := range p {
		if x.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// seen puts the address that a request really came from in its RemoteAddr: the last in X-Forwarded-For that no trusted proxy has. What stands
// before that, anybody may have written.
func (p proxies) seen(h http.Handler) http.Handler {
	if len(p) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && p.trusts(from.Addr()) {
			said := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
			for i := len(said) - 1; i >= 0; i-- {
				addr, err := netip.ParseAddr(strings.TrimSpace(said[i]))
				if err != nil {
					break
				}
				r.RemoteAddr = net.JoinHostPort(addr.Unmap().String(), "0")
				if !p.trusts(addr) {
					break
				}
			}
		}
		h.ServeHTTP(w, r)
	})
}
