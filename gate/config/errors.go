package config

import (
	"fmt"
	"strings"
)

// Error is one thing that is wrong in a job file.
type Error struct {
	// Line and Column are where, from 1.
	Line, Column int
	Message      string
}

func (e Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", File, e.Line, e.Column, e.Message)
}

// Errors is everything that is wrong in a job file, in the order of its lines.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}
