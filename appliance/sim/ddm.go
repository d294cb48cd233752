package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// declarations is what a device keeps of declarative management.
type declarations struct {
	on    bool
	token string            // DeclarationsToken of the last synchronisation
	held  map[string]string // identifier → ServerToken
}

// declarationItem is one entry of a list of declarations.
type declarationItem struct{ Identifier, ServerToken string }

// declarationItems is the server's whole list.
type declarationItems struct {
	Declarations struct {
		Activations, Configurations, Assets, Management []declarationItem
	}
	DeclarationsToken string
}

func (d *Apple) declarativeManagement(_ context.Context, m *management, ch *channel, c dict) answer {
	hint := ""
	if b := data(c, "Data"); len(b) > 0 {
		var t struct {
			SyncTokens struct{ DeclarationsToken string }
		}
		if err := json.Unmarshal(b, &t); err != nil || t.SyncTokens.DeclarationsToken == "" {
			return answer{status: "CommandFormatError", chain: refuse(domainMDM, 12008, "Data holds no DeclarationsToken.")}
		}
		hint = t.SyncTokens.DeclarationsToken
	}
	d.mu.Lock()
	d.ddm.on = true
	d.mu.Unlock()
	a := acknowledged(nil)
	a.then = func(ctx context.Context) bool {
		if m := d.managed(); m != nil {
			if err := d.synchronise(ctx, m, ch, hint); err != nil {
				_ = d.failed(err) // the device tries again at the next command
				d.complain("declarative management: %v", err)
			}
		}
		return d.managed() == nil
	}
	return a
}

// synchronise fetches the token, the list and what is new of it, and reports.
func (d *Apple) synchronise(ctx context.Context, m *management, ch *channel, token string) error {
	d.mu.Lock()
	known, held := d.ddm.token, maps.Clone(d.ddm.held)
	d.mu.Unlock()
	if token == "" || token == known {
		var t struct {
			SyncTokens struct{ DeclarationsToken, Timestamp string }
		}
		if err := d.endpoint(ctx, m, ch, "tokens", nil, &t); err != nil {
			return err
		}
		if token = t.SyncTokens.DeclarationsToken; token == "" || t.SyncTokens.Timestamp == "" {
			return fmt.Errorf("tokens: DeclarationsToken or Timestamp is missing")
		}
	}
	if token == known {
		return nil
	}
	var items declarationItems
	if err := d.endpoint(ctx, m, ch, "declaration-items", nil, &items); err != nil {
		return err
	}
	if items.DeclarationsToken != token {
		d.complain("declaration-items has another DeclarationsToken than tokens")
	}
	l := items.Declarations
	if l.Activations == nil || l.Configurations == nil || l.Assets == nil || l.Management == nil {
		return fmt.Errorf("declaration-items: one of the four arrays is missing")
	}
	now, report := map[string]string{}, map[string][]any{}
	for _, g := range []struct {
		name, plural string
		list         []declarationItem
	}{{"activation", "activations", l.Activations}, {"configuration", "configurations", l.Configurations}, {"asset", "assets", l.Assets}, {"management", "management", l.Management}} {
		report[g.plural] = []any{}
		for _, it := range g.list {
			state, err := d.declaration(ctx, m, ch, g.name, it, held[it.Identifier] == it.ServerToken)
			if err != nil {
				return err
			}
			if state != nil {
				now[it.Identifier] = it.ServerToken
				report[g.plural] = append(report[g.plural], state)
			}
		}
	}
	status, err := json.Marshal(dict{"StatusItems": dict{"management": dict{"declarations": report}}, "Errors": []any{}})
	if err != nil {
		return err
	}
	if err := d.endpoint(ctx, m, ch, "status", status, nil); err != nil {
		return err
	}
	d.mu.Lock()
	d.ddm.token, d.ddm.held = items.DeclarationsToken, now
	d.mu.Unlock()
	return nil
}

// declaration fetches one declaration unless it is held already, and says how it
// fares; nil when the server no longer has it. The device can apply activations,
// subscriptions to status and facts about the organisation; any other configuration
// is reported as not supported.
func (d *Apple) declaration(ctx context.Context, m *management, ch *channel, kind string, it declarationItem, held bool) (dict, error) {
	state := dict{"identifier": it.Identifier, "server-token": it.ServerToken, "active": true, "valid": "valid"}
	if held {
		return state, nil
	}
	var decl struct {
		Type, Identifier, ServerToken string
		Payload                       dict
	}
	err := d.endpoint(ctx, m, ch, "declaration/"+kind+"/"+it.Identifier, nil, &decl)
	if isStatus(err, 404) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if decl.Identifier != it.Identifier || decl.ServerToken != it.ServerToken {
		return nil, fmt.Errorf("declaration %s came with another identifier or token", it.Identifier)
	}
	known := []string{"com.apple.configuration.management.status-subscriptions", "com.apple.configuration.management.test"}
	if kind == "configuration" && !slices.Contains(known, decl.Type) || !strings.HasPrefix(decl.Type, "com.apple."+kind) {
		state["active"], state["valid"] = false, "invalid"
		state["reasons"] = []any{dict{"code": "Error.ConfigurationNotSupported", "description": "The declaration " + decl.Type + " is not supported."}}
	}
	return state, nil
}

// endpoint makes one exchange of declarative management; the answer is JSON, not a property list.
func (d *Apple) endpoint(ctx context.Context, m *management, ch *channel, name string, body []byte, into any) error {
	keys := dict{"Endpoint": name}
	if body != nil {
		keys["Data"] = body
	}
	b, err := d.checkIn(ctx, m, ch, "DeclarativeManagement", keys)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
