package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// model is a device on sale: what it calls itself and what is printed on its box.
type model struct {
	product, marketing, number string
	capacity                   float64 // GB
}

// hardware is what a device is born with and keeps through every enrolment.
type hardware struct {
	kind           Kind
	name           string
	serial         string
	udid           string
	os, build      string
	model          model
	imei           string
	wifi, bt, eth  string
	easID          string
	phoneNumber    string
	appleSilicon   bool
	available      float64
	battery        float64
	hostName       string
	userID         string // Mac: GUID of the account that logs in
	userShort      string
	userLong       string
	bootstrapToken []byte
}

// modelsOf lists what a kind may turn out to be.
func modelsOf(k Kind) []model {
	switch k {
	case Mac:
		return []model{{"Mac14,2", "MacBook Air", "MLY33", 512}, {"MacBookPro18,3", "MacBook Pro", "MKGR3", 512}, {"Mac14,3", "Mac mini", "MMFJ3", 256}}
	case IPad:
		return []model{{"iPad13,18", "iPad", "MPQ03", 64}, {"iPad14,3", "iPad Pro", "MNXD3", 128}, {"iPad13,16", "iPad Air", "MM9C3", 64}}
	default:
		return []model{{"iPhone14,5", "iPhone", "MLPF3", 128}, {"iPhone15,2", "iPhone", "MPXV3", 128}, {"iPhone16,1", "iPhone", "MTUV3", 256}, {"iPhone14,6", "iPhone", "MMXF3", 64}}
	}
}

// born makes up what o leaves blank; the same seed gives the same device.
func born(o Options) hardware {
	kind := o.Kind
	if kind == "" {
		kind = IPhone
	}
	r := rand.New(rand.NewPCG(uint64(o.Seed), uint64(len(kind))+0x9E3779B97F4A7C15))
	pick := func(set string, n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(set[r.IntN(len(set))])
		}
		return b.String()
	}
	const hexUpper, serialSet, digits = "0123456789ABCDEF", "0123456789CDFGHJKLMNPQRTVWXY", "0123456789"
	mac := func() string {
		// The second lowest bit of the first octet marks addresses given out by hand.
		return fmt.Sprintf("02:%s:%s:%s:%s:%s", pick(hexUpper, 2), pick(hexUpper, 2), pick(hexUpper, 2), pick(hexUpper, 2), pick(hexUpper, 2))
	}
	uuid := func() string {
		return pick(hexUpper, 8) + "-" + pick(hexUpper, 4) + "-4" + pick(hexUpper, 3) + "-8" + pick(hexUpper, 3) + "-" + pick(hexUpper, 12)
	}
	models := modelsOf(kind)
	h := hardware{kind: kind, model: models[r.IntN(len(models))]}
	first := []string{"Anna", "Bram", "Chris", "Daan", "Eva", "Finn", "Gijs", "Hanna", "Iris", "Jan", "Kees", "Lotte", "Mila", "Noor", "Olaf", "Petra"}[r.IntN(16)]
	h.serial = pick(serialSet, 10)
	switch kind {
	case Mac:
		h.udid, h.os, h.build = uuid(), "15.1", "24B83"
	default:
		h.udid, h.os, h.build = "00008110-"+pick(hexUpper, 16), "18.1", "22B83"
	}
	h.imei = withCheckDigit("35" + pick(digits, 12))
	h.wifi, h.bt, h.eth = mac(), mac(), mac()
	h.easID = pick(hexUpper+"GHJKLMNPQRSTUV", 26)
	h.phoneNumber = "+31600" + pick(digits, 6)
	h.userID, h.userShort, h.userLong = uuid(), strings.ToLower(first), first+" Example"
	h.bootstrapToken = []byte(pick(hexUpper, 64))
	h.available = h.model.capacity * (0.2 + 0.6*r.Float64())
	h.battery = float64(20+r.IntN(80)) / 100
	h.name = first + "'s " + string(kind)
	if kind == Mac {
		h.name = first + "'s " + h.model.marketing
	}
	h.hostName = strings.ReplaceAll(strings.ReplaceAll(h.name, "'", ""), " ", "-")

	set := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	set(&h.name, o.Name)
	set(&h.serial, o.Serial)
	set(&h.udid, o.UDID)
	set(&h.os, o.OSVersion)
	if o.ProductName != "" {
		h.model.product = o.ProductName
	}
	h.appleSilicon = kind == Mac && !intel(h.model.product)
	return h
}

// intel reports whether a Mac's product name belongs to the years before Apple silicon.
func intel(product string) bool {
	for _, p := range []string{"MacBookPro15,", "MacBookPro16,", "MacBookAir8,", "MacBookAir9,", "iMac19,", "iMac20,", "Macmini8,", "MacPro7,"} {
		if strings.HasPrefix(product, p) {
			return true
		}
	}
	return false
}

// withCheckDigit adds the Luhn digit that ends an IMEI.
func withCheckDigit(digits string) string {
	sum := 0
	for i, c := range digits {
		d := int(c - '0')
		if (len(digits)-i)%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + string(rune('0'+(10-sum%10)%10))
}
