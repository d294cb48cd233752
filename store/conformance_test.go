package store_test

import (
	"testing"

	"muster/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return openStore(t, "") })
}
