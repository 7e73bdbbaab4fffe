package httpapi

import (
	"context"
	"slices"
)

// Caller is who makes a request, and the scope of the token: a project, a
// domain, the system, or (all three unset) nothing.
type Caller struct {
	UserID, UserName, UserDomainID string
	ProjectID, ProjectName         string
	ProjectDomainID                string
	DomainID                       string // set if the token is scoped to a domain
	System                         bool   // the token is scoped to the system
	Roles                          []string
}

// Has reports whether the caller holds a role, by name, in the token's scope.
func (c Caller) Has(role string) bool { return slices.Contains(c.Roles, role) }

// IsAdmin reports whether the caller is an administrator of the cloud.
func (c Caller) IsAdmin() bool { return c.Has("admin") }

// ReadOnly reports whether the caller may only look: it holds the role reader,
// and none of those that imply it.
func (c Caller) ReadOnly() bool { return c.Has("reader") && !c.Has("member") && !c.IsAdmin() }

// WithCaller returns a context that carries c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom is the caller of the request whose context this is. A route that
// needs no token has the zero Caller, who may do nothing.
func CallerFrom(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
