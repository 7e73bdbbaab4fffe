package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// reader walks a YAML document and gathers what is wrong with it.
type reader struct {
	errors  Errors
	anchors map[string]ast.Node
}

// maxErrors bounds what one report says; a file that is wrong in more places
// is wrong in kind.
const maxErrors = 50

func (r *reader) fail(at ast.Node, format string, args ...any) {
	line, column := position(at)
	r.failAt(line, column, format, args...)
}

func (r *reader) failAt(line, column int, format string, args ...any) {
	if len(r.errors) < maxErrors {
		r.errors = append(r.errors, Error{Line: max(line, 1), Column: max(column, 1), Message: fmt.Sprintf(format, args...)})
	}
}

func (r *reader) sorted() Errors {
	slices.SortStableFunc(r.errors, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.errors
}

// position is where a node begins. A block mapping's own token is the colon
// of its first entry: the entry's key is what a reader looks for.
func position(n ast.Node) (line, column int) {
	switch v := n.(type) {
	case nil:
		return 1, 1
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return position(v.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(v.Key)
	}
	return tokenPosition(n.GetToken())
}

func tokenPosition(t *token.Token) (line, column int) {
	if t == nil || t.Position == nil {
		return 1, 1
	}
	return t.Position.Line, t.Position.Column
}

// resolve follows anchors, aliases and tags to the node they stand for.
func (r *reader) resolve(n ast.Node) ast.Node {
	for range 16 { // an alias of an alias of …: never that deep on purpose
		switch v := n.(type) {
		case *ast.AnchorNode:
			r.anchors[v.Name.String()] = v.Value
			n = v.Value
		case *ast.AliasNode:
			target, ok := r.anchors[v.Value.String()]
			if !ok {
				r.fail(n, "unknown alias *%s", v.Value.String())
				return nil
			}
			n = target
		case *ast.TagNode:
			n = v.Value
		default:
			return n
		}
	}
	r.fail(n, "aliases are nested too deeply")
	return nil
}

// entry is one key of a mapping.
type entry struct {
	key   string
	at    ast.Node // the key, for errors
	value ast.Node
}

// mapping reads n as a mapping; what names it in the error.
func (r *reader) mapping(n ast.Node, what string) ([]entry, bool) {
	var values []*ast.MappingValueNode
	switch v := r.resolve(n).(type) {
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		r.fail(n, "%s must be a mapping (key: value)", what)
		return nil, false
	}
	entries := make([]entry, 0, len(values))
	for _, v := range values {
		key, ok := scalar(r.resolve(v.Key))
		if !ok {
			r.fail(v.Key, "a key of %s must be a word", what)
			continue
		}
		entries = append(entries, entry{key: key, at: v.Key, value: v.Value})
	}
	return entries, true
}

// items reads n as a list, or one value as a list of it.
func (r *reader) items(n ast.Node) []ast.Node {
	switch v := r.resolve(n).(type) {
	case *ast.SequenceNode:
		return v.Values
	case *ast.NullNode, nil:
		return nil
	default:
		return []ast.Node{n}
	}
}

// scalar is the text of a plain, quoted or block scalar as it was written,
// so that a step `true` stays the command of that name.
func scalar(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

func (r *reader) text(e entry) string {
	s, ok := scalar(r.resolve(e.value))
	if !ok {
		r.fail(valueOr(e), "%s must be text", e.key)
	}
	return s
}

// texts reads one text or a list of them.
func (r *reader) texts(e entry) []string {
	var list []string
	for _, n := range r.items(e.value) {
		s, ok := scalar(r.resolve(n))
		if !ok {
			r.fail(n, "%s must be text, or a list of texts", e.key)
			continue
		}
		list = append(list, s)
	}
	return list
}

func (r *reader) boolean(e entry) bool {
	v, ok := r.resolve(e.value).(*ast.BoolNode)
	if !ok {
		r.fail(valueOr(e), "%s must be true or false", e.key)
		return false
	}
	return v.Value
}

func (r *reader) integer(e entry, low, high int) int {
	s, _ := scalar(r.resolve(e.value))
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		r.fail(valueOr(e), "%s must be a whole number from %d to %d", e.key, low, high)
		return low
	}
	return n
}

// duration reads "90s", "1h30m" or, as in Zuul, a number of seconds.
func (r *reader) duration(e entry, high time.Duration) time.Duration {
	s, _ := scalar(r.resolve(e.value))
	d, err := time.ParseDuration(s)
	if err != nil {
		var seconds int
		if seconds, err = strconv.Atoi(s); err == nil && seconds <= int(high/time.Second) {
			d = time.Duration(seconds) * time.Second
		}
	}
	if err != nil || d <= 0 || d > high {
		r.fail(valueOr(e), "%s must be a time such as 90s or 1h30m, at most %s", e.key, high)
		return high
	}
	return d
}

// patterns reads regular expressions (RE2). match makes the source that is
// compiled out of the one that was written.
func (r *reader) patterns(e entry, match func(string) string) []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, n := range r.items(e.value) {
		s, ok := scalar(r.resolve(n))
		if !ok {
			r.fail(n, "%s must be a regular expression, or a list of them", e.key)
			continue
		}
		if _, err := regexp.Compile(s); err != nil {
			r.fail(n, "%s: %v", e.key, err)
			continue
		}
		re, err := regexp.Compile(match(s))
		if err != nil {
			r.fail(n, "%s: %v", e.key, err)
			continue
		}
		list = append(list, re)
	}
	return list
}

// valueOr is the node to blame for a wrong value: the value, or the key where
// nothing follows it.
func valueOr(e entry) ast.Node {
	if e.value == nil {
		return e.at
	}
	if _, null := e.value.(*ast.NullNode); null {
		return e.at
	}
	return e.value
}
