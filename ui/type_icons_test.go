package ui

import (
	"os"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

func TestEveryProfileTypeHasAnIcon(t *testing.T) {
	sprite, err := os.ReadFile("static/icons.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range fleet.ProfileTypes() {
		if icon := typeIcons[d.Type]; icon == "" || !strings.Contains(string(sprite), `id="`+icon+`"`) {
			t.Errorf("profiles of type %s have no icon in the sprite: %q", d.Type, icon)
		}
	}
}
