package query

import (
	"regexp"
	"strconv"
	"strings"
)

var addressForm = regexp.MustCompile(`^.*<([^<>\s]+@[^<>\s]+)>$`)

// account is a condition on the column who: that it is the account called
// name, by username, number, address or full name, "self" or "me".
func (c *compiler) account(who, name string) (sql string, args []any, err error) {
	if name == "self" || name == "me" {
		self, err := c.self()
		return who + " = ?", []any{self}, err
	}
	if m := addressForm.FindStringSubmatch(name); m != nil {
		name = m[1]
	}
	if id, err := strconv.ParseInt(name, 10, 64); err == nil {
		return who + " = ?", []any{id}, nil
	}
	name = lower(strings.TrimSpace(name))
	return who + ` IN (SELECT a.id FROM accounts a WHERE lower(a.username) = ? OR lower(a.full_name) = ?
		OR a.id IN (SELECT e.account FROM account_emails e WHERE lower(e.email) = ?))`, []any{name, name, name}, nil
}

func owner(c *compiler, value string) error {
	sql, args, err := c.account("c.owner", value)
	if err != nil {
		return err
	}
	return c.write(sql, args...)
}

func uploader(c *compiler, value string) error {
	sql, args, err := c.account("p.uploader", value)
	if err != nil {
		return err
	}
	return c.write(onCurrent(sql), args...)
}

// reviewer finds the changes on whose list of reviewers an account stands.
func reviewer(state string) operator {
	return func(c *compiler, value string) error {
		sql, args, err := c.account("r.account", value)
		if err != nil {
			return err
		}
		return c.write("c.number IN (SELECT r.change FROM reviewers r WHERE r.state = '"+state+"' AND "+sql+")", args...)
	}
}

func commentBy(c *compiler, value string) error {
	sql, args, err := c.account("m.author", value)
	if err != nil {
		return err
	}
	return c.write("c.number IN (SELECT m.change FROM messages m WHERE "+sql+")", args...)
}

func comment(c *compiler, value string) error {
	like := contains(value)
	return c.write(`c.number IN (SELECT m.change FROM messages m WHERE lower(m.text) LIKE ? ESCAPE '\')
		OR c.number IN (SELECT k.change FROM comments k WHERE k.draft = 0 AND lower(k.message) LIKE ? ESCAPE '\')`, like, like)
}

// ident finds the changes whose commit names somebody as author or committer.
func ident(role string) operator {
	return func(c *compiler, value string) error {
		if m := addressForm.FindStringSubmatch(value); m != nil {
			value = m[1]
		}
		like := contains(value)
		return c.write(onCurrent("(lower(p."+role+`_name) LIKE ? ESCAPE '\' OR lower(p.`+role+`_email) LIKE ? ESCAPE '\')`), like, like)
	}
}
