package agent

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Account is a user of the machine.
type Account struct {
	Name, Home, Shell string
	UID, GID          uint32
	Groups            []uint32 // supplementary groups
}

// LookUp reads an account from a passwd(5) file and the group(5) file beside
// it. An error says that there is none, or that it is malformed.
func LookUp(passwd, name string) (Account, error) {
	return lookUp(passwd, 0, name)
}

// lookUp finds the account with a field of that value.
func lookUp(passwd string, field int, value string) (Account, error) {
	lines, err := colonFile(passwd)
	if err != nil {
		return Account{}, err
	}
	i := slices.IndexFunc(lines, func(f []string) bool { return len(f) == 7 && f[field] == value })
	if i < 0 {
		return Account{}, fmt.Errorf("no user %q", value)
	}
	f := lines[i]
	a := Account{Name: f[0], Home: f[5], Shell: f[6]}
	if a.Shell == "" {
		a.Shell = "/bin/sh"
	}
	if a.UID, err = parseID(f[2]); err != nil {
		return a, fmt.Errorf("uid of %s: %w", a.Name, err)
	}
	if a.GID, err = parseID(f[3]); err != nil {
		return a, fmt.Errorf("gid of %s: %w", a.Name, err)
	}
	a.Groups, err = groupsOf(filepath.Join(filepath.Dir(passwd), "group"), a.Name)
	return a, err
}

// imageUser is whom an image was made for: the user that its file names, else
// the one with the first id of a person.
func imageUser(passwd, file string) (Account, error) {
	const field, first = 2, "1000"
	name, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return lookUp(passwd, field, first)
	}
	if err != nil {
		return Account{}, err
	}
	return LookUp(passwd, strings.TrimSpace(string(name)))
}

func groupsOf(file, name string) ([]uint32, error) {
	lines, err := colonFile(file)
	if err != nil {
		return nil, err
	}
	var groups []uint32
	for _, f := range lines {
		if len(f) != 4 || !slices.Contains(strings.Split(f[3], ","), name) {
			continue
		}
		id, err := parseID(f[2])
		if err != nil {
			return nil, fmt.Errorf("gid of group %s: %w", f[0], err)
		}
		groups = append(groups, id)
	}
	return groups, nil
}

func parseID(s string) (uint32, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	return uint32(id), err
}

func colonFile(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines [][]string
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		lines = append(lines, strings.Split(scanner.Text(), ":"))
	}
	return lines, scanner.Err()
}

// directory is where the account's programs start.
func (a Account) directory() string {
	if info, err := os.Stat(a.Home); err == nil && info.IsDir() {
		return a.Home
	}
	return "/"
}

// environment is what a login gives: the machine's /etc/environment, and the
// account's own variables.
func (a Account) environment() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	env = append(env, readEnvironment("/etc/environment")...)
	return append(env, "USER="+a.Name, "LOGNAME="+a.Name, "HOME="+a.Home, "SHELL="+a.Shell)
}

// readEnvironment reads KEY=VALUE lines as pam_env(8) does, quotes included.
// A file that cannot be read gives nothing.
func readEnvironment(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var env []string
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || key == "" || strings.HasPrefix(key, "#") {
			continue
		}
		env = append(env, strings.TrimPrefix(key, "export ")+"="+unquote(value))
	}
	return env
}

func unquote(s string) string {
	for _, quote := range []string{`"`, `'`} {
		if len(s) >= 2 && strings.HasPrefix(s, quote) && strings.HasSuffix(s, quote) {
			return s[1 : len(s)-1]
		}
	}
	return s
}
