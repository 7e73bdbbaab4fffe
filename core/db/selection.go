package db

import (
	"slices"
	"strconv"
	"strings"
)

// Selection grows the end of a query that lists: its conditions and its page.
// The zero Selection leaves nothing out.
type Selection struct {
	where []string
	args  []any
}

// Order is a column that rows come in the order of.
type Order struct {
	Column     string
	Descending bool
}

// And adds a condition, each "?" of which becomes the next numbered parameter.
func (s *Selection) And(condition string, args ...any) {
	s.where = append(s.where, s.bind(condition, args...))
}

func (s *Selection) bind(condition string, args ...any) string {
	for _, arg := range args {
		s.args = append(s.args, arg)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(s.args)), 1)
	}
	return condition
}

// Args are the values of all parameters so far.
func (s *Selection) Args() []any { return s.args }

// Where is the WHERE of the conditions, if there are any.
func (s *Selection) Where() string {
	if len(s.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(s.where, " AND ")
}

// After leaves out the rows up to a marker, whose columns value gives. What
// remains equals it in some first columns and comes later by the next.
func (s *Selection) After(order []Order, value func(column string) any) {
	var either []string
	equal, values := "", []any{}
	for _, by := range order {
		sign := " > ?"
		if by.Descending {
			sign = " < ?"
		}
		values = append(values, value(by.Column))
		either = append(either, s.bind(equal+by.Column+sign, values...))
		equal += by.Column + " = ? AND "
	}
	s.where = append(s.where, "("+strings.Join(either, " OR ")+")")
}

// Page is all that follows the table's name. Nothing can be added after it.
func (s *Selection) Page(order []Order, limit, offset int) string {
	columns := make([]string, len(order))
	for i, by := range order {
		columns[i] = by.Column
		if by.Descending {
			columns[i] += " DESC"
		}
	}
	return s.Where() + " ORDER BY " + strings.Join(columns, ", ") + s.bind(" LIMIT ? OFFSET ?", limit, offset)
}

// Total completes an order by further columns, in the direction of its last
// one; without any, they descend. With columns that tell all rows apart, pages
// neither overlap nor leave anything out.
func Total(order []Order, further ...string) []Order {
	descending := len(order) == 0 || order[len(order)-1].Descending
	for _, column := range further {
		order = append(slices.Clip(order), Order{column, descending})
	}
	var total []Order
	for _, by := range order {
		if !slices.ContainsFunc(total, func(o Order) bool { return o.Column == by.Column }) {
			total = append(total, by)
		}
	}
	return total
}
