package windows

import "strings"

// editions are the product names behind the SKU numbers that DeviceStatus/OS/Edition and OSEdition give (GetProductInfo). They are names,
// the same in every language.
var editions = map[string]string{
	"4": "Enterprise", "27": "Enterprise N", "72": "Enterprise Evaluation", "84": "Enterprise N Evaluation", "125": "Enterprise LTSC", "126": "Enterprise N LTSC",
	"171": "Enterprise G", "175": "Enterprise multi-session", "188": "IoT Enterprise", "191": "IoT Enterprise LTSC",
	"48": "Pro", "49": "Pro N", "161": "Pro for Workstations", "162": "Pro N for Workstations", "164": "Pro Education", "165": "Pro Education N",
	"98": "Home N", "99": "Home China", "100": "Home Single Language", "101": "Home",
	"121": "Education", "122": "Education N", "202": "SE N", "203": "SE",
}

// editionName is the name of an edition; what has none keeps its number.
func editionName(number string) string {
	number = strings.TrimSpace(number)
	if name := editions[number]; name != "" {
		return name
	}
	return clip(number)
}

func asEdition(v string) any {
	n := asNumberText(v)
	if n == nil {
		return nil
	}
	return editionName(n.(string))
}

// home says whether an edition is Home or one of its kin, which lack some of what Pro has. Records of earlier versions hold the number.
func home(edition string) bool {
	return strings.HasPrefix(editionName(edition), "Home")
}
