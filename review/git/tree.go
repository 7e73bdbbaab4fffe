package git

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Entry is a path of a tree.
type Entry struct {
	Mode, Type, Hash string // type: blob, tree, commit
}

// Entry is what a commit has at name, a clean path, or nil.
func (r *Repo) Entry(ctx context.Context, commit, name string) (*Entry, error) {
	if !fs.ValidPath(name) {
		return nil, nil // no tree has it, and git would complain
	}
	out, err := r.run(ctx, nil, "--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", name)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, nil
	}
	var e Entry
	if _, err := fmt.Sscanf(string(out), "%s %s %s", &e.Mode, &e.Type, &e.Hash); err != nil {
		return nil, fmt.Errorf("read tree of %s: %w", commit, err)
	}
	e.Hash, _, _ = strings.Cut(e.Hash, "\t")
	return &e, nil
}

// Blob reads a blob of at most limit bytes; a larger one is cut.
func (r *Repo) Blob(ctx context.Context, hash string, limit int64) ([]byte, error) {
	var out bytes.Buffer
	err := r.pipe(ctx, nil, &limited{w: &out, left: limit}, "cat-file", "blob", hash)
	return out.Bytes(), err
}

// limited passes on the first bytes and drops the rest.
type limited struct {
	w    io.Writer
	left int64
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	keep := p[:min(int64(len(p)), l.left)]
	l.over = l.over || len(keep) < len(p)
	l.left -= int64(len(keep))
	if len(keep) > 0 {
		if _, err := l.w.Write(keep); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
