package image

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// accounts are the users and groups of a root file system: the lines of its
// passwd(5), group(5), shadow(5), subuid(5) and subgid(5). They are edited
// here, since few container images have the programs for it. A file that is
// missing stays so, but for passwd and group.
type accounts struct {
	passwd, group, shadow, subuid, subgid *table
}

// table is a file of lines with fields between colons.
type table struct{ lines [][]string }

func parseTable(text string) *table {
	t := &table{}
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			t.lines = append(t.lines, strings.Split(line, ":"))
		}
	}
	return t
}

func (t *table) String() string {
	var text strings.Builder
	for _, line := range t.lines {
		text.WriteString(strings.Join(line, ":") + "\n")
	}
	return text.String()
}

// find returns the line whose field has a value, if it has at least so many
// fields.
func (t *table) find(field int, value string, fields int) []string {
	for _, line := range t.lines {
		if len(line) >= fields && line[field] == value {
			return line
		}
	}
	return nil
}

func (t *table) add(fields ...string) { t.lines = append(t.lines, fields) }

// account is a user as the root file system has him.
type account struct {
	name, home, shell string
	uid, gid          int
	made              bool // here and now
}

// Fields of passwd(5) and group(5).
const (
	fieldID, fieldGID, fieldHome, fieldShell = 2, 3, 5, 6
	passwdFields, groupFields                = 7, 3
)

// add makes a user, or takes the one that has the name. An error says that
// the id that the recipe wants is another's.
func (a *accounts) add(u User, shell string) (account, error) {
	if u.Shell != "" {
		shell = u.Shell
	}
	if line := a.passwd.find(0, u.Name, passwdFields); line != nil {
		return takeAccount(line, u, shell)
	}
	uid, err := a.freeID(u)
	if err != nil {
		return account{}, err
	}
	gid := uid
	if line := a.group.find(0, u.Name, groupFields); line == nil {
		a.group.add(u.Name, "x", strconv.Itoa(gid), "")
	} else if gid, err = strconv.Atoi(line[fieldID]); err != nil {
		return account{}, fmt.Errorf("group %s: %w", u.Name, err)
	}
	made := account{name: u.Name, home: "/home/" + u.Name, shell: shell, uid: uid, gid: gid, made: true}
	password := "*" // none lets in
	if a.shadow != nil {
		a.shadow.add(u.Name, password, "", "0", "99999", "7", "", "", "")
		password = "x"
	}
	a.passwd.add(u.Name, password, strconv.Itoa(uid), strconv.Itoa(gid), "", made.home, shell)
	for _, t := range []*table{a.subuid, a.subgid} {
		if t != nil && t.find(0, u.Name, 3) == nil {
			t.add(u.Name, strconv.Itoa(100000+65536*len(t.lines)), "65536")
		}
	}
	return made, nil
}

func takeAccount(line []string, u User, shell string) (account, error) {
	uid, err := strconv.Atoi(line[fieldID])
	if err != nil {
		return account{}, fmt.Errorf("user %s: %w", u.Name, err)
	}
	gid, err := strconv.Atoi(line[fieldGID])
	if err != nil {
		return account{}, fmt.Errorf("user %s: %w", u.Name, err)
	}
	if u.UID != 0 && u.UID != uid {
		return account{}, fmt.Errorf("the base system has user %s with id %d, not %d", u.Name, uid, u.UID)
	}
	if u.Shell != "" || slices.Contains([]string{"", "nologin", "false"}, path.Base("/"+line[fieldShell])) {
		line[fieldShell] = shell
	}
	return account{name: u.Name, home: line[fieldHome], shell: line[fieldShell], uid: uid, gid: gid}, nil
}

// freeID returns the id that the recipe wants, or the next that neither a user
// nor a group has.
func (a *accounts) freeID(u User) (int, error) {
	const first, last = 1000, 60000
	holder := func(id int) []string {
		if line := a.passwd.find(fieldID, strconv.Itoa(id), passwdFields); line != nil {
			return line
		}
		return a.group.find(fieldID, strconv.Itoa(id), groupFields)
	}
	if u.UID != 0 {
		if line := holder(u.UID); line != nil && line[0] != u.Name {
			return 0, fmt.Errorf("user %s: the base system's %s has the id %d", u.Name, line[0], u.UID)
		}
		return u.UID, nil
	}
	for id := first; id <= last; id++ {
		if holder(id) == nil {
			return id, nil
		}
	}
	return 0, fmt.Errorf("user %s: no id is free", u.Name)
}

// owner returns the ids of "user", "user:group" or numbers.
func (a *accounts) owner(name string) (uid, gid int, err error) {
	user, group, grouped := strings.Cut(name, ":")
	line := a.passwd.find(0, user, passwdFields)
	if line == nil {
		uid, err = strconv.Atoi(user)
		gid = uid
	} else if uid, err = strconv.Atoi(line[fieldID]); err == nil {
		gid, err = strconv.Atoi(line[fieldGID])
	}
	if err != nil {
		return 0, 0, fmt.Errorf("no user %q", user)
	}
	if !grouped {
		return uid, gid, nil
	}
	if line := a.group.find(0, group, groupFields); line != nil {
		group = line[fieldID]
	}
	if gid, err = strconv.Atoi(group); err != nil {
		return 0, 0, fmt.Errorf("no group %q", group)
	}
	return uid, gid, nil
}

// forgetDays removes when passwords were changed: packages that make users
// note the day on which the image is built.
func (a *accounts) forgetDays() {
	const changed = 2
	if a.shadow == nil {
		return
	}
	for _, line := range a.shadow.lines {
		if len(line) > changed {
			line[changed] = ""
		}
	}
}
