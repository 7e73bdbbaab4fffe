package git

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Change is a path that differs between two trees.
type Change struct {
	Path, OldPath         string // OldPath only of a rename or copy
	Status                string // A M D R C T
	Insertions, Deletions int
	Binary                bool
}

// Changes lists what differs from one tree or commit to another, by path.
// "" stands for the empty tree.
func (r *Repo) Changes(ctx context.Context, from, to string) ([]Change, error) {
	if from == "" {
		from = emptyTree
	}
	out, err := r.run(ctx, nil, "diff-tree", "-r", "-z", "-M", "--raw", "--numstat", "--no-ext-diff", "--no-textconv", from, to)
	if err != nil {
		return nil, err
	}
	return parseChanges(string(out))
}

// emptyTree is the hash of the tree without entries, which git knows without
// its being stored.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// parseChanges reads diff-tree -z --raw --numstat: all raw entries, then all
// counts, in the same order.
func parseChanges(text string) ([]Change, error) {
	var changes []Change
	fields := strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
	if text == "" {
		return nil, nil
	}
	i := 0
	next := func() string {
		if i < len(fields) {
			i++
			return fields[i-1]
		}
		return ""
	}
	for i < len(fields) && strings.HasPrefix(fields[i], ":") {
		raw := strings.Fields(next())
		if len(raw) != 5 || raw[4] == "" {
			return nil, fmt.Errorf("diff-tree: bad entry %q", raw)
		}
		c := Change{Status: raw[4][:1], Path: next()}
		if c.Status == "R" || c.Status == "C" {
			c.OldPath, c.Path = c.Path, next()
		}
		changes = append(changes, c)
	}
	for n := range changes {
		c := &changes[n]
		counts := strings.SplitN(next(), "\t", 3)
		if len(counts) != 3 {
			return nil, fmt.Errorf("diff-tree: bad counts %q", counts)
		}
		if counts[2] == "" { // a rename: both paths follow
			next()
			next()
		}
		c.Binary = counts[0] == "-"
		c.Insertions, _ = strconv.Atoi(counts[0]) // "-" counts as 0
		c.Deletions, _ = strconv.Atoi(counts[1])
	}
	return changes, nil
}

// DiffOptions says how Diff compares.
type DiffOptions struct {
	Context          int // lines
	IgnoreWhitespace bool
	Limit            int64 // of the answer, in bytes
}

// Diff is git's own patch for one file; oldPath is its name in from, if that
// is another. cut says that it is longer than the limit.
func (r *Repo) Diff(ctx context.Context, from, to, oldPath, path string, o DiffOptions) (patch []byte, cut bool, err error) {
	if from == "" {
		from = emptyTree
	}
	args := []string{"diff-tree", "-r", "-p", "-M", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index",
		fmt.Sprintf("-U%d", o.Context)}
	if o.IgnoreWhitespace {
		args = append(args, "-w")
	}
	args = append(args, from, to, "--", ":(literal)"+path)
	if oldPath != "" && oldPath != path {
		args = append(args, ":(literal)"+oldPath)
	}
	var out bytes.Buffer
	w := &limited{w: &out, left: o.Limit}
	err = r.pipe(ctx, nil, w, args...)
	return out.Bytes(), w.over, err
}

// FormatPatch is a commit as git format-patch writes it; cut says that it is
// longer than limit bytes.
func (r *Repo) FormatPatch(ctx context.Context, commit string, limit int64) (patch []byte, cut bool, err error) {
	var out bytes.Buffer
	w := &limited{w: &out, left: limit}
	err = r.pipe(ctx, nil, w, "format-patch", "--stdout", "-1", "--no-ext-diff", "--no-textconv", commit)
	return out.Bytes(), w.over, err
}
