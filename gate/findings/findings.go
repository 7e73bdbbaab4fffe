// Package findings reads the output of a build, line by line, and recognises
// what a developer wants to see first: failing tests, packages that do not
// compile, what linters complain of. It knows go test, plain and with -json,
// compilers' and golangci-lint's lines, and the patterns of a job.
package findings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxKept bounds how many findings of a kind are kept.
const maxKept = 200

// Issue is a complaint about a line of a file.
type Issue struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Message string `json:"message"`
}

func (i Issue) String() string { return fmt.Sprintf("%s:%d: %s", i.File, i.Line, i.Message) }

// Findings is what was recognised in the output of a build.
type Findings struct {
	// Tests are the failing tests, in the order in which they failed.
	Tests []string `json:"tests,omitempty"`
	// Packages are those that failed without a test to blame.
	Packages []string `json:"packages,omitempty"`
	// Issues are the complaints of linters and compilers.
	Issues []Issue `json:"issues,omitempty"`
}

// Names are short names of all findings, for a report.
func (f Findings) Names() []string {
	names := slices.Concat(f.Tests, f.Packages)
	for _, i := range f.Issues {
		names = append(names, i.String())
	}
	return names
}

// Reader recognises findings. Its methods may be called concurrently.
type Reader struct {
	mu       sync.Mutex
	found    Findings
	packages map[string]bool // failed packages; true: a test of it is to blame
	pending  bool            // plain output: a test failed in the package under way
	full     bool
	patterns []*regexp.Regexp
}

// NewReader returns a reader that also takes lines which match one of the
// patterns for a failure.
func NewReader(patterns []*regexp.Regexp) *Reader {
	return &Reader{patterns: patterns, packages: map[string]bool{}}
}

var (
	escapes  = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)
	failed   = regexp.MustCompile(`^\s*--- FAIL: (\S+)`)
	failedIn = regexp.MustCompile(`^FAIL\t(\S+)(?:\t\S+| (\[.*\]))`)
	issue    = regexp.MustCompile(`^([^\s:][^:]*\.[A-Za-z]+):(\d+)(?::\d+)?: (.+)$`)
)

// Line looks at a line of output. It reports whether the line says that the
// build will fail, whatever follows.
func (r *Reader) Line(line []byte) (failing bool) {
	if bytes.IndexByte(line, 0x1b) >= 0 {
		line = escapes.ReplaceAll(line, nil)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.Contains(line, []byte("o space left on device")) { // No, no
		r.full = true
	}
	if len(line) > 0 && line[0] == '{' {
		return r.event(line)
	}
	return r.plain(line)
}

func (r *Reader) plain(line []byte) bool {
	for _, p := range r.patterns {
		if p.Match(line) {
			return true
		}
	}
	switch {
	case bytes.Contains(line, []byte("--- FAIL: ")):
		if m := failed.FindSubmatch(line); m != nil {
			r.pending = true
			r.test(string(m[1]))
			return true
		}
	case bytes.HasPrefix(line, []byte("FAIL\t")):
		if m := failedIn.FindSubmatch(line); m != nil {
			r.failedPackage(string(m[1]), string(m[2]), r.pending)
			r.pending = false
		}
	case !mayBeIssue(line):
	default:
		if m := issue.FindSubmatch(line); m != nil && len(r.found.Issues) < maxKept {
			n, _ := strconv.Atoi(string(m[2]))
			r.found.Issues = append(r.found.Issues, Issue{File: string(m[1]), Line: n, Message: string(m[3])})
		}
	}
	return false
}

// mayBeIssue spares most lines the regular expression: a complaint has a
// number after its first colon.
func mayBeIssue(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	return i > 0 && i+1 < len(line) && line[i+1] >= '0' && line[i+1] <= '9'
}

// event reads a line of go test -json (https://pkg.go.dev/cmd/test2json).
func (r *Reader) event(line []byte) bool {
	var e struct{ Action, Package, Test string }
	if json.Unmarshal(line, &e) != nil || e.Action != "fail" {
		return false
	}
	if e.Test == "" {
		r.failedPackage(e.Package, "", r.packages[e.Package])
		return false
	}
	r.packages[e.Package] = true
	r.test(e.Test)
	return true
}

// test files a failing test. A test that fails for a part of it is not named.
func (r *Reader) test(name string) {
	for i, t := range r.found.Tests {
		switch {
		case t == name, strings.HasPrefix(t, name+"/"):
			return
		case strings.HasPrefix(name, t+"/"):
			r.found.Tests[i] = name
			return
		}
	}
	if len(r.found.Tests) < maxKept {
		r.found.Tests = append(r.found.Tests, name)
	}
}

func (r *Reader) failedPackage(name, why string, blamed bool) {
	if why != "" {
		name += " " + why
	}
	if !blamed && !slices.Contains(r.found.Packages, name) && len(r.found.Packages) < maxKept {
		r.found.Packages = append(r.found.Packages, name)
	}
}

// Found returns what was recognised so far.
func (r *Reader) Found() Findings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Findings{Tests: slices.Clone(r.found.Tests), Packages: slices.Clone(r.found.Packages), Issues: slices.Clone(r.found.Issues)}
}

// DiskFull reports whether a line since the last call said that a disk is
// full.
func (r *Reader) DiskFull() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	full := r.full
	r.full = false
	return full
}
