package fleet

// TypeCustom carries settings that no other type has, written out in the platform's own form: for Apple devices payloads as a property list.
// Each platform has a field of its own, which its module holds against what its maker published (SettingsChecker), and it cannot go round the
// rest: see there. Making one needs the permission ProfilesCustom.
func customDeclaration() Declaration {
	apple := []Platform{IOS, IPadOS, MacOS}
	return Declaration{
		Type:     TypeCustom,
		Targets:  targetsOf(TypeCustom),
		NameHint: "profile.custom.name-hint",
		Check:    checkCustom,
		Fields: []Field{
			{Key: "apple_payload", Kind: KindDocument, Max: 100_000, Platforms: apple, Group: "apple"},
			{Key: "apple_channel", Kind: KindChoice, Default: "device", Required: true, Options: []string{"device", "person"}, Platforms: apple[2:], Group: "apple"},
			// One node a line: LocURI, format and value, with blanks between.
			{Key: "windows_nodes", Kind: KindDocument, Max: 100_000, Platforms: []Platform{Windows}, Group: "windows"},
			// A fragment of a policy, as Google's discovery document has it.
			{Key: "android_policy", Kind: KindJSON, Max: 60_000, Platforms: []Platform{Android}, Group: "android"},
		},
	}
}

// SettingsChecker is what a module has besides when it delivers settings in its platform's own form: it says what is wrong with those of a
// profile that is about to be saved, by the key of the field.
type SettingsChecker interface {
	CheckSettings(p *Profile) map[string]Reason
}

// customDocuments are the fields of which at least one must be filled in.
var customDocuments = []string{"apple_payload", "windows_nodes", "android_policy"}

func checkCustom(v Values) map[string]Reason {
	for _, key := range customDocuments {
		if v.String(key) != "" {
			return nil
		}
	}
	return map[string]Reason{customDocuments[0]: Why("custom.empty")}
}
