package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
)

// androidHardware is what a phone is born with.
type androidHardware struct {
	brand, model, serial string
	os                   string
	api                  int
	imei, mac, phone     string
	iccid, carrier       string
	baseband, build      string
	ram, storage         int64
}

// apiLevels tells the API level of each version of Android (developer documentation, "Platform codenames, versions and API levels").
var apiLevels = map[string]int{"5.1": 22, "6": 23, "7": 24, "7.1": 25, "8": 26, "8.1": 27, "9": 28, "10": 29, "11": 30, "12": 31, "13": 33, "14": 34, "15": 35, "16": 36, "17": 37}

// bornAndroid makes up what o leaves blank; the same seed gives the same phone.
func bornAndroid(o AndroidOptions) androidHardware {
	r := rand.New(rand.NewPCG(uint64(o.Seed), 0xA0D201D))
	pick := func(set string, n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(set[r.IntN(len(set))])
		}
		return b.String()
	}
	const letters, digits, hexLower = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789", "0123456789", "0123456789abcdef"
	kinds := [][2]string{{"google", "Pixel 8"}, {"samsung", "SM-S921B"}, {"google", "Pixel 9a"}, {"Fairphone", "FP5"}, {"samsung", "SM-A556B"}, {"motorola", "moto g84"}}
	kind := kinds[r.IntN(len(kinds))]
	h := androidHardware{brand: kind[0], model: kind[1], serial: pick(letters, 11), os: "15", imei: withCheckDigit("35" + pick(digits, 12)),
		mac:   fmt.Sprintf("02:%s:%s:%s:%s:%s", pick(hexLower, 2), pick(hexLower, 2), pick(hexLower, 2), pick(hexLower, 2), pick(hexLower, 2)),
		phone: "+31600" + pick(digits, 6), iccid: "8931" + pick(digits, 15), carrier: "Example Mobile", baseband: "g5300i-" + pick(digits, 6), build: "AP4A." + pick(digits, 6) + ".001", ram: 8 << 30, storage: 128 << 30}
	for to, v := range map[*string]string{&h.brand: o.Brand, &h.model: o.Model, &h.serial: o.Serial, &h.os: o.OSVersion} {
		if v != "" {
			*to = v
		}
	}
	h.api = apiLevels[h.os]
	return h
}

// enterpriseID is the number by which Android 12 and later make one phone known to one organisation, and to no other.
func (h androidHardware) enterpriseID(enterprise string) string {
	sum := sha256.Sum256([]byte(enterprise + h.serial))
	return strings.ToUpper(hex.EncodeToString(sum[:8]))
}
