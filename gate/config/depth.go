package config

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds the nesting of brackets, maxColumn that of blocks: more
// nesting takes the YAML parser quadratic time, and then the stack.
const (
	maxDepth  = 50
	maxColumn = 200
)

// tooDeep refuses a document that is nested beyond reason, or returns nil.
func tooDeep(tokens token.Tokens) Errors {
	depth, marks := 0, 0
	for _, t := range tokens {
		mark := false
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth = max(depth-1, 0)
		case token.AnchorType, token.TagType, token.AliasType:
			mark = true
		default:
		}
		if mark {
			marks++
		} else if t.Type != token.StringType { // an anchor's name
			marks = 0
		}
		if depth > maxDepth || marks > maxDepth || nestsBlock(t) && t.Position.Column > maxColumn {
			line, column := tokenPosition(t)
			return Errors{{Line: line, Column: column, Message: fmt.Sprintf("nested more deeply than %d brackets or %d columns", maxDepth, maxColumn)}}
		}
	}
	return nil
}

// nestsBlock reports whether t can open a block of its own: a list's dash, a
// key's question mark, or the first word of a line.
func nestsBlock(t *token.Token) bool {
	switch t.Type {
	case token.SequenceEntryType, token.MappingKeyType:
		return true
	case token.StringType:
		return t.Next != nil && t.Next.Type == token.MappingValueType &&
			(t.Prev == nil || t.Prev.Position.Line < t.Position.Line)
	default:
		return false
	}
}
