package query

import (
	"regexp"
	"strconv"
	"strings"
)

// onFiles is a condition on f, a file of the current patch set.
func onFiles(condition string) string {
	return "EXISTS (SELECT 1 FROM files f WHERE f.change = c.number AND f.patch_set = c.patch_set AND (" + condition + "))"
}

// file is a path, or a part of one between slashes.
func file(c *compiler, value string) error {
	if strings.HasPrefix(value, "^") {
		return failf("regular expressions are not supported: %s", value)
	}
	if strings.HasSuffix(value, "*") {
		return c.write(onFiles(`f.path LIKE ? ESCAPE '\'`), startsWith(strings.TrimRight(value, "*")))
	}
	part := escapeLike(value)
	return c.write(onFiles(`f.path = ? OR f.old_path = ? OR f.path LIKE ? ESCAPE '\' OR f.path LIKE ? ESCAPE '\' OR f.path LIKE ? ESCAPE '\'`),
		value, value, part+"/%", "%/"+part, "%/"+part+"/%")
}

func path(c *compiler, value string) error {
	if strings.HasPrefix(value, "^") {
		return failf("regular expressions are not supported: %s", value)
	}
	return c.write(onFiles("f.path = ? OR f.old_path = ?"), value, value)
}

func directory(c *compiler, value string) error {
	value = escapeLike(lower(strings.Trim(value, "/")))
	if value == "" {
		return c.write(onFiles("f.path NOT LIKE '%/%'"))
	}
	return c.write(onFiles(`lower(f.path) LIKE ? ESCAPE '\' OR lower(f.path) LIKE ? ESCAPE '\'`), value+"/%", "%/"+value+"/%")
}

func extension(c *compiler, value string) error {
	value = lower(strings.TrimPrefix(value, "."))
	return c.write(onFiles(`lower(f.path) LIKE ? ESCAPE '\'`), "%."+escapeLike(value))
}

var sizeForm = regexp.MustCompile(`^(>=|<=|=|>|<)?(\d{1,9})$`)

// size compares a number of lines of the current patch set.
func size(column string) operator {
	return func(c *compiler, value string) error {
		m := sizeForm.FindStringSubmatch(value)
		if m == nil {
			return failf("Invalid number: %s", value)
		}
		comparison := m[1]
		if comparison == "" {
			comparison = "="
		}
		n, _ := strconv.Atoi(m[2]) // the form leaves no other outcome
		return c.write(onCurrent(column+" "+comparison+" ?"), n)
	}
}
