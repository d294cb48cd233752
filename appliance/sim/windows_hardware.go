package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// pcHardware is what a PC is born with and keeps through every enrolment.
type pcHardware struct {
	name, serial     string
	deviceID, hwID   string // 32 and 64 hex digits
	maker, model     string
	build, revision  int
	edition          int // SKU number
	macs             []string
	ip               string
	ram, free        int // MB
	smbios, firmware string
}

// version is 10.0.<build>.<revision>.
func (h pcHardware) version() string { return fmt.Sprintf("10.0.%d.%d", h.build, h.revision) }

// home reports whether this is one of the Home editions.
func (h pcHardware) home() bool { return h.edition >= 98 && h.edition <= 101 }

// requestVersion is the protocol version that a build asks for in discovery.
func (h pcHardware) requestVersion() string {
	switch {
	case h.build >= 26200:
		return "9.0"
	case h.build >= 22621:
		return "6.0"
	case h.build >= 19041:
		return "5.0"
	default:
		return "4.0"
	}
}

// bornPC makes up what o leaves blank; the same seed gives the same PC.
func bornPC(o WindowsOptions) pcHardware {
	r := rand.New(rand.NewPCG(uint64(o.Seed), 0x57696E646F7773))
	pick := func(set string, n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(set[r.IntN(len(set))])
		}
		return b.String()
	}
	const hexUpper, serialSet = "0123456789ABCDEF", "0123456789ABCDEFGHJKLMNPQRSTVWXYZ"
	boxes := [][2]string{{"LENOVO", "21CB"}, {"Dell Inc.", "Latitude 5440"}, {"HP", "HP EliteBook 840 G10"}, {"Microsoft Corporation", "Surface Laptop 5"}}
	box := boxes[r.IntN(len(boxes))]
	h := pcHardware{maker: box[0], model: box[1], name: "DESKTOP-" + pick(serialSet, 7), serial: "PF" + pick(serialSet, 6),
		deviceID: pick(hexUpper, 32), hwID: pick(hexUpper, 64), build: 22631, revision: 4460, edition: 48,
		ram: 8192 << r.IntN(3), free: 50_000 + r.IntN(200_000), smbios: "N3MET17W (1.16 )", firmware: "1.16"}
	for range 2 {
		// The second lowest bit of the first octet marks addresses given out by hand.
		h.macs = append(h.macs, "02"+pick(hexUpper, 10))
	}
	h.ip = fmt.Sprintf("192.0.2.%d", 1+r.IntN(254))
	if o.Name != "" {
		h.name = o.Name
	}
	if o.Serial != "" {
		h.serial = o.Serial
	}
	if o.DeviceID != "" {
		h.deviceID = o.DeviceID
	}
	switch strings.ToLower(o.Edition) {
	case "home":
		h.edition = 101
	case "education":
		h.edition = 121
	case "enterprise":
		h.edition = 4
	}
	if parts := strings.Split(o.OSVersion, "."); len(parts) >= 3 {
		if n, err := strconv.Atoi(parts[2]); err == nil {
			h.build = n
		}
		if len(parts) > 3 {
			if n, err := strconv.Atoi(parts[3]); err == nil {
				h.revision = n
			}
		}
	}
	return h
}

// macWithColons writes a MAC address as the enrolment request does.
func macWithColons(mac string) string {
	var parts []string
	for i := 0; i+2 <= len(mac); i += 2 {
		parts = append(parts, mac[i:i+2])
	}
	return strings.Join(parts, ":")
}
