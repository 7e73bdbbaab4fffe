// Package query reads Gerrit's search language for changes and compiles it to
// SQL.
//
// Terms are joined by AND, which may be left out, and OR, which binds less
// tightly; "-" or NOT negates; parentheses group; double quotes and braces
// hold values with spaces. See
// https://gerrit-review.googlesource.com/Documentation/user-search.html
//
// The package knows the tables of the review server but opens no database:
// Language.Compile makes a condition for review.Service.Search.
package query

import (
	"fmt"
	"strings"
)

// Expr is a query: And, Or, Not or Term.
type Expr interface {
	// String is the query in the search language, fully parenthesised.
	String() string
}

// And holds if all its parts hold. The empty And always holds.
type And []Expr

// Or holds if one of its parts holds.
type Or []Expr

// Not holds if its part does not.
type Not struct{ Expr Expr }

// Term is one "operator:value", or a bare word, whose Operator is empty.
type Term struct{ Operator, Value string }

func (e And) String() string { return join([]Expr(e), " ") }
func (e Or) String() string  { return join([]Expr(e), " OR ") }
func (e Not) String() string { return "-" + e.Expr.String() }

func (t Term) String() string {
	value := t.Value
	switch {
	case !strings.ContainsFunc(value, needsQuotes) && value != "":
	case strings.ContainsAny(value, "{}"):
		value = `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`
	default:
		value = "{" + value + "}"
	}
	if t.Operator == "" {
		return value
	}
	return t.Operator + ":" + value
}

func needsQuotes(r rune) bool { return r <= ' ' || strings.ContainsRune(`"(){}:`, r) }

func join(parts []Expr, separator string) string {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = part.String()
	}
	return "(" + strings.Join(texts, separator) + ")"
}

// Error is what is wrong with a query, written for who asked it.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func failf(format string, args ...any) error {
	return &Error{Message: fmt.Sprintf(format, args...)}
}
