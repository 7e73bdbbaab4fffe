package identity

import (
	"bytes"
	"encoding/json"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// scopeBody is the scope in an authentication request: "unscoped", or an
// object with one of project, domain and system.
type scopeBody struct{ raw json.RawMessage }

func (b *scopeBody) UnmarshalJSON(raw []byte) error {
	b.raw = bytes.Clone(raw)
	return nil
}

func (b *scopeBody) scope() (Scope, error) {
	if len(b.raw) == 0 || isNull(b.raw) {
		return Scope{}, nil
	}
	var word string
	if json.Unmarshal(b.raw, &word) == nil && word == "unscoped" {
		return Scope{Unscoped: true}, nil
	}
	var body struct {
		Project  *refBody        `json:"project"`
		Domain   *domainBody     `json:"domain"`
		System   map[string]bool `json:"system"`
		Unscoped *struct{}       `json:"unscoped"`
	}
	if err := json.Unmarshal(b.raw, &body); err != nil {
		return Scope{}, malformed("a valid scope in auth")
	}
	var scope Scope
	named := 0
	if body.Project != nil {
		named++
		if scope.Project = body.Project.ref(); scope.Project == nil {
			return Scope{}, malformed("a project's id, or name and domain, in scope")
		}
	}
	if body.Domain != nil {
		named++
		if body.Domain.ID == "" && body.Domain.Name == "" {
			return Scope{}, malformed("a domain's id or name in scope")
		}
		scope.Domain = &Ref{ID: body.Domain.ID, Name: body.Domain.Name}
	}
	if body.System != nil {
		named++
		scope.System = body.System["all"]
	}
	if body.Unscoped != nil {
		named++
		scope.Unscoped = true
	}
	if named != 1 || body.System != nil && !scope.System {
		return Scope{}, fault.New(fault.BadRequest, "The scope must be one project, one domain, the whole system, or unscoped.")
	}
	return scope, nil
}
