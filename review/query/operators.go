package query

import (
	"regexp"
	"strconv"
	"strings"
)

type operator func(c *compiler, value string) error

// operators are all that a query may use before a colon. Filled by init
// since label: and is: refer back to it.
var operators map[string]operator

func init() { //nolint:gochecknoinits // breaks the cycle operators → alias → operators
	operators = map[string]operator{
		"status":        status,
		"is":            is,
		"has":           has,
		"change":        change,
		"commit":        commit,
		"project":       column("c.project"),
		"projects":      prefix("c.project"),
		"parentproject": parentProject,
		"branch":        branch,
		"ref":           ref,
		"topic":         column("c.topic"),
		"intopic":       substring("c.topic"),
		"prefixtopic":   prefix("c.topic"),
		"hashtag":       hashtag,
		"inhashtag":     inHashtag,
		"subject":       substring("c.subject"),
		"message":       message,
		"owner":         owner,
		"reviewer":      reviewer("REVIEWER"),
		"cc":            reviewer("CC"),
		"uploader":      uploader,
		"author":        ident("author"),
		"committer":     ident("committer"),
		"commentby":     commentBy,
		"comment":       comment,
		"label":         label,
		"age":           age,
		"before":        timeLimit("c.updated", "<="),
		"after":         timeLimit("c.updated", ">="),
		"mergedbefore":  timeLimit("c.submitted", "<="),
		"mergedafter":   timeLimit("c.submitted", ">="),
		"file":          file,
		"path":          path,
		"directory":     directory,
		"extension":     extension,
		"added":         size("p.insertions"),
		"deleted":       size("p.deletions"),
		"delta":         size("p.insertions + p.deletions"),
		"limit":         limit,
		"parentof":      parentOf,
	}
	for alias, name := range map[string]string{
		"o": "owner", "r": "reviewer", "p": "project", "repo": "project", "repos": "projects",
		"f": "file", "dir": "directory", "ext": "extension", "msg": "message", "size": "delta",
		"until": "before", "since": "after", "from": "commentby", "parentrepo": "parentproject",
	} {
		operators[alias] = operators[name]
	}
}

// column compares a column with the value.
func column(name string) operator {
	return func(c *compiler, value string) error {
		if strings.HasPrefix(value, "^") {
			return failf("regular expressions are not supported: %s", value)
		}
		return c.write(name+" = ?", value)
	}
}

func prefix(name string) operator {
	return func(c *compiler, value string) error {
		return c.write(name+` LIKE ? ESCAPE '\'`, startsWith(value))
	}
}

func substring(name string) operator {
	return func(c *compiler, value string) error {
		return c.write("lower("+name+`) LIKE ? ESCAPE '\'`, contains(value))
	}
}

func status(c *compiler, value string) error {
	switch value = lower(value); value {
	case "open", "pending", "new":
		return c.write("c.status = 'NEW'")
	case "closed":
		return c.write("c.status <> 'NEW'")
	case "merged", "abandoned":
		return c.write("c.status = ?", strings.ToUpper(value))
	default:
		return failf("Unrecognized value: %s", value)
	}
}

func is(c *compiler, value string) error {
	switch value = lower(value); value {
	case "open", "pending", "new", "closed", "merged", "abandoned":
		return status(c, value)
	case "wip", "private":
		return c.write("c." + value + " = 1")
	case "started", "visible":
		return c.write("1 = 1")
	case "owner":
		return owner(c, "self")
	case "uploader":
		return uploader(c, "self")
	case "reviewer":
		return operators["reviewer"](c, "self")
	case "cc":
		return operators["cc"](c, "self")
	case "reviewed":
		return c.write(onCurrent("EXISTS (SELECT 1 FROM messages m WHERE m.change = c.number AND m.author <> c.owner AND m.created >= p.created)"))
	case "starred":
		return has(c, "star")
	case "merge":
		return c.write(onCurrent("p.parents LIKE '% %'"))
	default:
		return failf("Unsupported operator is:%s", value)
	}
}

func has(c *compiler, value string) error {
	self, err := c.self()
	if err != nil {
		return err
	}
	switch lower(value) {
	case "star", "stars":
		return c.write("c.number IN (SELECT s.change FROM stars s WHERE s.account = ?)", self)
	case "draft", "drafts":
		return c.write("c.number IN (SELECT m.change FROM comments m WHERE m.draft = 1 AND m.author = ?)", self)
	case "edit":
		return c.never() // this server keeps none
	default:
		return failf("Unsupported operator has:%s", value)
	}
}

// onCurrent is a condition on p, the current patch set of c.
func onCurrent(condition string) string {
	return "EXISTS (SELECT 1 FROM patch_sets p WHERE p.change = c.number AND p.number = c.patch_set AND " + condition + ")"
}

var (
	numberForm   = regexp.MustCompile(`^[1-9][0-9]{0,17}$`)
	changeIDForm = regexp.MustCompile(`^[Ii][0-9a-fA-F]{4,40}$`)
	tripletForm  = regexp.MustCompile(`^(.+)~(.+)~([Ii][0-9a-fA-F]{4,40})$`)
	commitForm   = regexp.MustCompile(`^[0-9a-fA-F]{4,40}$`)
)

func change(c *compiler, value string) error {
	switch {
	case numberForm.MatchString(value):
		n, _ := strconv.ParseInt(value, 10, 64) // the form leaves no other outcome
		return c.write("c.number = ?", n)
	case changeIDForm.MatchString(value):
		return c.changeID(value)
	}
	m := tripletForm.FindStringSubmatch(value)
	if m == nil {
		return failf("Invalid change format")
	}
	return c.write(`c.project = ? AND c.branch = ? AND c.change_id LIKE ? ESCAPE '\'`,
		m[1], strings.TrimPrefix(m[2], "refs/heads/"), startsWith("I"+lower(m[3][1:])))
}

func (c *compiler) changeID(value string) error {
	value = "I" + lower(value[1:])
	if len(value) == 41 {
		return c.write("c.change_id = ?", value)
	}
	return c.write(`c.change_id LIKE ? ESCAPE '\'`, startsWith(value))
}

func commit(c *compiler, value string) error {
	if !commitForm.MatchString(value) {
		return failf("Invalid commit: %s", value)
	}
	if value = lower(value); len(value) == 40 {
		return c.write("c.number IN (SELECT p.change FROM patch_sets p WHERE p.revision = ?)", value)
	}
	return c.write("c.number IN (SELECT p.change FROM patch_sets p WHERE p.revision >= ? AND p.revision < ?)", value, value+"g")
}

func parentProject(c *compiler, value string) error {
	return c.write("c.project = ? OR c.project IN (SELECT q.name FROM projects q WHERE q.parent = ?)", value, value)
}

func branch(c *compiler, value string) error {
	return column("c.branch")(c, strings.TrimPrefix(value, "refs/heads/"))
}

func ref(c *compiler, value string) error {
	name, ok := strings.CutPrefix(value, "refs/heads/")
	if !ok {
		return c.never() // changes are for branches only
	}
	return column("c.branch")(c, name)
}

func hashtag(c *compiler, value string) error {
	return c.write("c.number IN (SELECT h.change FROM hashtags h WHERE lower(h.tag) = ?)", lower(strings.TrimPrefix(value, "#")))
}

func inHashtag(c *compiler, value string) error {
	return c.write(`c.number IN (SELECT h.change FROM hashtags h WHERE lower(h.tag) LIKE ? ESCAPE '\')`, contains(value))
}

func message(c *compiler, value string) error {
	return c.write(onCurrent(`lower(p.message) LIKE ? ESCAPE '\'`), contains(value))
}

func parentOf(c *compiler, value string) error {
	if !numberForm.MatchString(value) {
		return failf("Invalid change format")
	}
	n, _ := strconv.ParseInt(value, 10, 64)
	return c.write(`c.number IN (SELECT p.change FROM patch_sets p JOIN patch_set_parents pp ON pp.parent = p.revision
		JOIN changes child ON child.number = pp.change AND child.patch_set = pp.patch_set WHERE child.number = ?)`, n)
}

func limit(c *compiler, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return failf("Invalid limit: %s", value)
	}
	if c.negated {
		return failf("limit: cannot be negated")
	}
	if c.limit == 0 || n < c.limit {
		c.limit = n
	}
	return c.write("1 = 1")
}

// word is a value without an operator: a change by its number or Change-Id, a
// commit, or a text that any of the change's short fields may hold.
func (c *compiler) word(value string) error {
	switch {
	case numberForm.MatchString(value), changeIDForm.MatchString(value), tripletForm.MatchString(value):
		return change(c, value)
	case commitForm.MatchString(value) && len(value) >= 7:
		return commit(c, value)
	}
	like := contains(value)
	return c.write(`lower(c.subject) LIKE ? ESCAPE '\' OR lower(c.project) LIKE ? ESCAPE '\' OR lower(c.branch) LIKE ? ESCAPE '\'
		OR lower(c.topic) LIKE ? ESCAPE '\' OR c.number IN (SELECT h.change FROM hashtags h WHERE lower(h.tag) LIKE ? ESCAPE '\')
		OR c.owner IN (SELECT a.id FROM accounts a WHERE lower(a.username) LIKE ? ESCAPE '\' OR lower(a.full_name) LIKE ? ESCAPE '\' OR lower(a.email) LIKE ? ESCAPE '\')
		OR `+onCurrent(`lower(p.message) LIKE ? ESCAPE '\'`), like, like, like, like, like, like, like, like, like)
}
