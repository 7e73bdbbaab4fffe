package sshd

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// options are a command's, taken apart: Gerrit's commands accept --name VALUE,
// --name=VALUE, -x VALUE, and arguments before, between and after.
type options struct {
	values map[string][]string // by long name
	args   []string
}

// option is one that a command knows.
type option struct {
	names []string // "message", "m"
	flag  bool     // takes no value
}

func valued(names ...string) option { return option{names: names} }
func flag(names ...string) option   { return option{names: names, flag: true} }

// parseOptions takes words apart. An unknown option is fault.BadRequest.
func parseOptions(words []string, known ...option) (*options, error) {
	o := &options{values: map[string][]string{}}
	for i := 0; i < len(words); i++ {
		word := words[i]
		if word == "--" {
			o.args = append(o.args, words[i+1:]...)
			break
		}
		if len(word) < 2 || word[0] != '-' {
			o.args = append(o.args, word)
			continue
		}
		name, value, inline := strings.Cut(strings.TrimLeft(word, "-"), "=")
		k := slices.IndexFunc(known, func(k option) bool { return slices.Contains(k.names, name) })
		switch {
		case k < 0:
			return nil, fault.New(fault.BadRequest, "\"%s\" is not a valid option", word)
		case known[k].flag:
			if inline && value != "true" {
				return nil, fault.New(fault.BadRequest, "option \"%s\" takes no value", word)
			}
		case !inline:
			if i++; i == len(words) {
				return nil, fault.New(fault.BadRequest, "option \"%s\" takes an operand", word)
			}
			value = words[i]
		}
		long := known[k].names[0]
		o.values[long] = append(o.values[long], value)
	}
	return o, nil
}

// has reports whether an option was given.
func (o *options) has(name string) bool { return len(o.values[name]) > 0 }

// get is the last value of an option, or "".
func (o *options) get(name string) string {
	values := o.values[name]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// number is the value of an option that counts; 0 if it was not given.
func (o *options) number(name string) (int, error) {
	if !o.has(name) {
		return 0, nil
	}
	n, err := strconv.Atoi(o.get(name))
	if err != nil || n < 0 {
		return 0, fault.New(fault.BadRequest, "\"%s\" is not a valid value for \"--%s\"", o.get(name), name)
	}
	return n, nil
}
