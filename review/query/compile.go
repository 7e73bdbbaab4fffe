package query

import (
	"strings"
	"time"
)

// Env is what the meaning of a query depends on beside its text.
type Env struct {
	Now    time.Time
	Self   int64 // the account that asks; 0: nobody in particular
	Labels []Label
}

// Label is what a query must know of a label: its name and its extreme values.
type Label struct {
	Name     string
	Min, Max int
}

// Condition is a compiled query.
type Condition struct {
	// Where is a boolean expression over a row c of changes, with a ? for
	// each of Args.
	Where string
	Args  []any
	// Limit is the smallest number of changes asked for by limit:N, or 0.
	Limit int
}

// Compile turns a query into SQL that SQLite and PostgreSQL understand.
// Operators and values that are not known are errors of type *Error.
func Compile(e Expr, env Env) (Condition, error) {
	c := &compiler{env: env}
	if err := c.expr(e); err != nil {
		return Condition{}, err
	}
	return Condition{Where: c.sql.String(), Args: c.args, Limit: c.limit}, nil
}

// compiler writes SQL from left to right, so that the arguments are in the
// order of their marks.
type compiler struct {
	env     Env
	sql     strings.Builder
	args    []any
	limit   int
	negated bool
}

func (c *compiler) expr(e Expr) error {
	switch e := e.(type) {
	case And:
		return c.list(e, " AND ", "1 = 1")
	case Or:
		return c.list(e, " OR ", "1 = 0")
	case Not:
		before := c.negated
		c.negated = true
		c.sql.WriteString("NOT ")
		err := c.expr(e.Expr)
		c.negated = before
		return err
	case Term:
		return c.term(e)
	default:
		return failf("unknown expression in query")
	}
}

// list joins parts as a balanced tree: SQLite takes expressions a thousand
// deep, and "a OR b OR c" is as deep as it is long.
func (c *compiler) list(parts []Expr, operator, empty string) error {
	switch len(parts) {
	case 0:
		c.sql.WriteString(empty)
		return nil
	case 1:
		return c.expr(parts[0])
	}
	c.sql.WriteString("(")
	if err := c.list(parts[:len(parts)/2], operator, empty); err != nil {
		return err
	}
	c.sql.WriteString(operator)
	if err := c.list(parts[len(parts)/2:], operator, empty); err != nil {
		return err
	}
	c.sql.WriteString(")")
	return nil
}

func (c *compiler) term(t Term) error {
	if t.Operator == "" {
		return c.word(t.Value)
	}
	compile, ok := operators[t.Operator]
	if !ok {
		return failf("Unsupported operator %s:%s", t.Operator, t.Value)
	}
	return compile(c, t.Value)
}

// write appends SQL in parentheses, with an argument for each ? in it.
func (c *compiler) write(sql string, args ...any) error {
	c.sql.WriteString("(" + sql + ")")
	c.args = append(c.args, args...)
	return nil
}

// never is a condition that no change meets.
func (c *compiler) never() error { return c.write("1 = 0") }

// self is the account that asks.
func (c *compiler) self() (int64, error) {
	if c.env.Self == 0 {
		return 0, failf("Must be signed-in to use this operator")
	}
	return c.env.Self, nil
}

// contains is a LIKE pattern for a text in lower case that holds value.
func contains(value string) string { return "%" + escapeLike(lower(value)) + "%" }

// startsWith is a LIKE pattern for a text that starts with value.
func startsWith(value string) string { return escapeLike(value) + "%" }

func escapeLike(value string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(value)
}

// lower folds ASCII only, as SQLite's lower() does.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
