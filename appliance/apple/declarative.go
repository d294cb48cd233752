package apple

import (
	"encoding/json"
	"net/http"
	"strings"
)

// noDeclarations is the token of the empty set of declarations. It must stay as it is: a token that changes while nothing
// changed makes devices fetch without end.
const noDeclarations = "muster-nothing-declared"

// noDeclarationsSince is the moment given with that token, fixed for the same reason.
const noDeclarationsSince = "2024-01-01T00:00:00Z"

type syncTokens struct {
	DeclarationsToken string
	Timestamp         string
}

type itemLists struct {
	Activations, Configurations, Assets, Management []struct{}
}

// declarative answers declarative management while nothing is declared: a device on which it was switched on finds an
// empty set, reports its status and is at rest.
func (a *Apple) declarative(msg dict) (reply, error) {
	endpoint := msg.text("Endpoint")
	var out any
	switch {
	case endpoint == "tokens":
		out = struct{ SyncTokens syncTokens }{syncTokens{noDeclarations, noDeclarationsSince}}
	case endpoint == "declaration-items":
		none := []struct{}{}
		out = struct {
			Declarations      itemLists
			DeclarationsToken string
		}{itemLists{none, none, none, none}, noDeclarations}
	case endpoint == "status":
		return nothing, nil
	case strings.HasPrefix(endpoint, "declaration/"):
		return reply{status: http.StatusNotFound}, nil
	default:
		return reply{}, bad("unknown endpoint "+label(endpoint), nil)
	}
	body, err := json.Marshal(out)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, kind: jsonType, body: body}, nil
}
