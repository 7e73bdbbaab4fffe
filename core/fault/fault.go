// Package fault names the kinds of error that a client of the cloud may see.
//
// A service returns a fault for what the caller can act on; every other error
// is internal, is logged, and reaches the client only as the API's generic
// 500. Which status code and which body a kind becomes is decided by each
// API, since OpenStack's services differ (see core/httpapi).
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of thing went wrong, independently of any API.
type Kind int

// The kinds, with the HTTP status that OpenStack's services usually give them.
const (
	Internal      Kind = iota // 500
	BadRequest                // 400: malformed or contradictory input
	Unauthorized              // 401: no, wrong or expired credentials
	Forbidden                 // 403: the policy or a protection forbids it
	NotFound                  // 404: absent, or invisible to the caller
	NotAllowed                // 405: the resource has no such method
	NotAcceptable             // 406: no such microversion
	Conflict                  // 409: the state of the resource forbids it
	Gone                      // 410: the API was removed in this microversion
	TooLarge                  // 413: body or resource over a limit of size
	Unsupported               // 415: media type
	Unprocessable             // 422: well-formed, but it names what does not exist
	OverQuota                 // 403 or 413: the project's quota is used up
	Unavailable               // 503: try again later
	NoSpace                   // 507 or 413: the host's disk is full
)

// Error is a fault: a kind, and a message written for the client.
type Error struct {
	Kind    Kind
	Message string
}

// New makes a fault with a formatted message.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }

// KindOf reports the kind of err: that of the fault it wraps, or Internal.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Kind
	}
	return Internal
}

// Is reports whether err is or wraps a fault of the given kind. No error is
// a fault of no kind.
func Is(err error, kind Kind) bool {
	f, ok := errors.AsType[*Error](err)
	return ok && f.Kind == kind
}
