package query

import (
	"regexp"
	"strconv"
	"strings"
)

var labelForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*?)(?:(>=|<=|=|>|<)([+-]?\d+|[A-Za-z]+)|([+-]\d+))?$`)

// label is "NAME", "NAME=VALUE", "NAME+1", "NAME>=VALUE" or such, for the
// votes on the current patch set, and after a comma whose vote: "user=NAME",
// "owner", "group=NAME" or a bare name.
func label(c *compiler, value string) error {
	text, who, _ := strings.Cut(value, ",")
	m := labelForm.FindStringSubmatch(text)
	if m == nil {
		return failf("Invalid label: %s", text)
	}
	l, ok := c.env.label(m[1])
	if !ok {
		return c.never()
	}
	comparison, number := m[2], m[3]
	if m[4] != "" {
		comparison, number = "=", m[4]
	}
	if comparison == "" {
		comparison, number = ">=", "1"
	}
	low, high, err := l.span(comparison, number)
	if err != nil {
		return err
	}
	whose, args, err := c.voter(who)
	if err != nil {
		return err
	}
	return c.voted(l, low, high, whose, args)
}

func (env Env) label(name string) (Label, bool) {
	for _, l := range env.Labels {
		if strings.EqualFold(l.Name, name) {
			return l, true
		}
	}
	return Label{}, false
}

// span is the range of values that a comparison means.
func (l Label) span(comparison, number string) (low, high int, err error) {
	var n int
	switch strings.ToUpper(number) {
	case "MAX":
		n = l.Max
	case "MIN":
		n = l.Min
	case "ANY":
		if comparison != "=" {
			return 0, 0, failf("Invalid label value: %s%s", comparison, number)
		}
		return l.Min, l.Max, nil
	default:
		if n, err = strconv.Atoi(number); err != nil {
			return 0, 0, failf("Invalid label value: %s", number)
		}
	}
	switch comparison {
	case ">=":
		return n, l.Max, nil
	case ">":
		return n + 1, l.Max, nil
	case "<=":
		return l.Min, n, nil
	case "<":
		return l.Min, n - 1, nil
	default:
		return n, n, nil
	}
}

// voter is a condition on v, a vote.
func (c *compiler) voter(who string) (sql string, args []any, err error) {
	kind, name, given := strings.Cut(who, "=")
	switch {
	case who == "":
		return "1 = 1", nil, nil
	case who == "owner", who == "user=owner":
		return "v.account = c.owner", nil, nil
	case who == "user=non_uploader":
		return "v.account <> (SELECT p.uploader FROM patch_sets p WHERE p.change = c.number AND p.number = c.patch_set)", nil, nil
	case given && kind == "user":
		return c.account("v.account", name)
	case given && kind == "group":
		return group(name)
	case given:
		return "", nil, failf("Unsupported label argument: %s", who)
	default:
		return c.account("v.account", who)
	}
}

func group(name string) (sql string, args []any, err error) {
	switch lower(strings.TrimPrefix(name, "ldap/")) {
	case "administrators":
		return "v.account IN (SELECT a.id FROM accounts a WHERE a.admin = 1)", nil, nil
	case "service users":
		return "v.account IN (SELECT a.id FROM accounts a WHERE a.service = 1)", nil, nil
	case "registered users", "anonymous users":
		return "1 = 1", nil, nil
	default:
		return "", nil, failf("Group %s not found", name)
	}
}

// voted writes that there is a vote from low to high. An account that has not
// voted has no row; its vote counts as 0, which a change meets when nobody
// (of those asked for) has voted.
func (c *compiler) voted(l Label, low, high int, whose string, args []any) error {
	vote := "EXISTS (SELECT 1 FROM votes v WHERE v.change = c.number AND v.patch_set = c.patch_set AND v.label = ? AND "
	exists := vote + "v.value >= ? AND v.value <= ? AND " + whose + ")"
	values := append([]any{l.Name, low, high}, args...)
	if low > 0 || high < 0 {
		return c.write(exists, values...)
	}
	return c.write(exists+" OR NOT "+vote+whose+")", append(append(values, l.Name), args...)...)
}
