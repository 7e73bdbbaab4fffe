package query

import "strings"

type kind int

const (
	term kind = iota
	opening
	closing
	wordAnd
	wordOr
	wordNot
)

// token is a mark or a term. text is the value of a term without its quotes,
// or what the mark looks like.
type token struct {
	kind     kind
	operator string
	text     string
}

var words = map[string]kind{"AND": wordAnd, "OR": wordOr, "NOT": wordNot}

// scan splits a query into tokens.
func scan(text string) ([]token, error) {
	var tokens []token
	for text = strings.TrimLeft(text, space); text != ""; text = strings.TrimLeft(text, space) {
		var t token
		switch text[0] {
		case '(':
			t, text = token{kind: opening, text: "("}, text[1:]
		case ')':
			t, text = token{kind: closing, text: ")"}, text[1:]
		case '-':
			t, text = token{kind: wordNot, text: "-"}, text[1:]
		default:
			var err error
			if t, text, err = scanTerm(text); err != nil {
				return nil, err
			}
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

const space = " \t\r\n\f\v\x00"

// scanTerm reads AND, OR, NOT, "operator:value" or a bare value from the
// front of text and returns the rest.
func scanTerm(text string) (token, string, error) {
	operator, rest := cutOperator(text)
	value, rest, quoted, err := scanValue(rest)
	if err != nil {
		return token{}, "", err
	}
	if operator == "" && !quoted {
		if k, ok := words[value]; ok {
			return token{kind: k, text: value}, rest, nil
		}
	}
	if value == "" && !quoted {
		return token{}, "", failf("operator %s: needs a value", operator)
	}
	return token{kind: term, operator: operator, text: value}, rest, nil
}

// cutOperator splits a leading "name:" off, if there is one.
func cutOperator(text string) (operator, rest string) {
	for i := range len(text) {
		c := text[i]
		switch {
		case c == ':' && i > 0:
			return text[:i], text[i+1:]
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '-' && i > 0:
		default:
			return "", text
		}
	}
	return "", text
}

// scanValue reads a quoted phrase, or all up to white space or a parenthesis.
func scanValue(text string) (value, rest string, quoted bool, err error) {
	if text == "" {
		return "", "", false, nil
	}
	switch text[0] {
	case '"':
		value, rest, ok := scanQuoted(text[1:])
		if !ok {
			return "", "", true, failf(`missing closing " in query`)
		}
		return value, rest, true, nil
	case '{':
		value, rest, ok := strings.Cut(text[1:], "}")
		if !ok {
			return "", "", true, failf("missing closing } in query")
		}
		return value, rest, true, nil
	}
	end := strings.IndexAny(text, space+`()"{}`)
	if end < 0 {
		end = len(text)
	}
	if end == 0 && strings.ContainsRune(`"{}`, rune(text[0])) {
		return "", "", false, failf("unexpected %q in query", text[:1])
	}
	return text[:end], text[end:], false, nil
}

// scanQuoted reads up to the closing double quote; \" and \\ stand for the
// plain character.
func scanQuoted(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
