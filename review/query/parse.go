package query

import (
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep a query may nest, and maxTerms how many terms it
// may have: gertty asks for a hundred commits at once, and negates every
// project that it is subscribed to.
const (
	maxDepth = 50
	maxTerms = 1000
)

// Parse reads a query. The empty query is an empty And, which every change
// meets. Errors are of type *Error.
func Parse(text string) (Expr, error) {
	if !utf8.ValidString(text) {
		return nil, failf("query is not UTF-8")
	}
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return And{}, nil
	}
	if len(tokens) > maxTerms*2 {
		return nil, failf("too many terms in query")
	}
	p := &parser{tokens: tokens}
	expr, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if rest, ok := p.peek(); ok {
		return nil, failf("unexpected %q in query", rest.text)
	}
	return expr, nil
}

// parser descends recursively over the tokens; depth counts parentheses and
// negations.
type parser struct {
	tokens []token
	next   int
}

func (p *parser) peek() (token, bool) {
	if p.next < len(p.tokens) {
		return p.tokens[p.next], true
	}
	return token{}, false
}

func (p *parser) take(k kind) bool {
	if t, ok := p.peek(); ok && t.kind == k {
		p.next++
		return true
	}
	return false
}

func (p *parser) or(depth int) (Expr, error) {
	if depth > maxDepth {
		return nil, failf("query nests too deeply")
	}
	var parts Or
	for {
		part, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if !p.take(wordOr) {
			break
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return parts, nil
}

func (p *parser) and(depth int) (Expr, error) {
	var parts And
	for {
		part, err := p.not(depth)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if p.take(wordAnd) {
			continue
		}
		t, ok := p.peek()
		if !ok || t.kind == wordOr || t.kind == closing {
			break
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return parts, nil
}

func (p *parser) not(depth int) (Expr, error) {
	if depth > maxDepth {
		return nil, failf("query nests too deeply")
	}
	if p.take(wordNot) {
		part, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return Not{part}, nil
	}
	return p.base(depth)
}

func (p *parser) base(depth int) (Expr, error) {
	t, ok := p.peek()
	if !ok {
		return nil, failf("query ends too early")
	}
	p.next++
	switch t.kind {
	case opening:
		inner, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(closing) {
			return nil, failf("missing ) in query")
		}
		return inner, nil
	case term:
		return Term{Operator: strings.ToLower(t.operator), Value: t.text}, nil
	default:
		return nil, failf("unexpected %q in query", t.text)
	}
}
