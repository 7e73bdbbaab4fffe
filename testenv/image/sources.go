package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sourcesOf returns, as lines of sources.list(5), where to get a suite of
// Debian's and its updates and security fixes from: where the host gets them,
// or if it is of another suite, from Debian's own archive.
func sourcesOf(suite string) (string, error) {
	sources, err := hostSources(suite)
	if err != nil || sources != "" {
		return sources, err
	}
	const from = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/"
	sources = from + "debian " + suite + " main\n"
	if suite != "sid" && suite != "unstable" {
		sources += from + "debian " + suite + "-updates main\n" + from + "debian-security " + suite + "-security main\n"
	}
	return sources, nil
}

// hostSources returns the host's entries of a suite; nothing if it is of
// another. Archives other than Debian's are left out.
func hostSources(suite string) (string, error) {
	var sources strings.Builder
	files, err := filepath.Glob("/etc/apt/sources.list.d/*")
	if err != nil {
		return "", err
	}
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		if strings.HasSuffix(file, ".sources") {
			stanzas(&sources, string(text), suite)
		} else {
			oneLiners(&sources, string(text), suite)
		}
	}
	return sources.String(), nil
}

// oneLiners adds the wanted entries of the one-line format.
func oneLiners(to *strings.Builder, text, suite string) {
	for line := range strings.Lines(text) {
		options, rest := "", strings.TrimSpace(line)
		if !strings.HasPrefix(rest, "deb ") && !strings.HasPrefix(rest, "deb\t") {
			continue
		}
		rest = strings.TrimSpace(rest[len("deb"):])
		if strings.HasPrefix(rest, "[") {
			options, rest, _ = strings.Cut(rest, "]")
			options += "] "
		}
		words := strings.Fields(rest)
		if len(words) >= 3 && wanted(words[0], words[1], words[2:], suite) {
			fmt.Fprintf(to, "deb %s%s\n", options, strings.Join(words, " "))
		}
	}
}

// stanzas adds the wanted entries of the deb822 format.
func stanzas(to *strings.Builder, text, suite string) {
	for stanza := range strings.SplitSeq(text, "\n\n") {
		fields := make(map[string]string)
		for line := range strings.Lines(stanza) {
			key, value, ok := strings.Cut(line, ":")
			if ok && !strings.HasPrefix(line, "#") {
				fields[strings.ToLower(key)] = strings.TrimSpace(value)
			}
		}
		if fields["enabled"] == "no" || !slices.Contains(strings.Fields(fields["types"]), "deb") {
			continue
		}
		options := ""
		if key := fields["signed-by"]; filepath.IsAbs(key) {
			options = "[signed-by=" + key + "] "
		}
		components := strings.Fields(fields["components"])
		for uri := range strings.FieldsSeq(fields["uris"]) {
			for s := range strings.FieldsSeq(fields["suites"]) {
				if wanted(uri, s, components, suite) {
					fmt.Fprintf(to, "deb %s%s %s %s\n", options, uri, s, strings.Join(components, " "))
				}
			}
		}
	}
}

// wanted reports whether an entry is of Debian's own archive and of the suite
// or one that goes with it.
func wanted(uri, suite string, components []string, want string) bool {
	debian := strings.HasPrefix(filepath.Base(strings.TrimSuffix(uri, "/")), "debian")
	goesWith := suite == want || suite == want+"-updates" || suite == want+"-security"
	return debian && goesWith && slices.Contains(components, "main")
}
