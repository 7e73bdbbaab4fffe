package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
)

// CopyTree unpacks a tar archive into dir, which is made if it is missing.
// Everything belongs to the node's user.
func (n *Node) CopyTree(ctx context.Context, archive io.Reader, dir string) error {
	var said excerpt
	exit, err := n.exec(ctx, fmt.Sprintf("exec 2>&1; mkdir -p -- %[1]s && exec tar -x -C %[1]s", quote(dir)), archive, &said)
	if err != nil {
		return fmt.Errorf("copy tree: %w", err)
	}
	if exit != 0 {
		return fmt.Errorf("copy tree: tar ended with status %d: %s", exit, said.text())
	}
	return nil
}

// Fetch writes the file at an absolute path to w. It reports fs.ErrNotExist
// if there is none.
func (n *Node) Fetch(ctx context.Context, path string, w io.Writer) error {
	exit, err := n.exec(ctx, fmt.Sprintf("test -f %[1]s || exit %[2]d; exec cat -- %[1]s", quote(path), exitNoFile), nil, w)
	switch {
	case err != nil:
		return fmt.Errorf("fetch %s: %w", path, err)
	case exit == exitNoFile:
		return fmt.Errorf("fetch %s: %w", path, fs.ErrNotExist)
	case exit != 0:
		return fmt.Errorf("fetch %s: cat ended with status %d", path, exit)
	}
	return nil
}

// excerpt is the beginning of what a command said. A machine may say much.
type excerpt struct{ kept []byte }

func (e *excerpt) Write(p []byte) (int, error) {
	const most = 4 << 10
	e.kept = append(e.kept, p[:min(len(p), most-len(e.kept))]...)
	return len(p), nil
}

func (e *excerpt) text() string { return string(bytes.TrimSpace(e.kept)) }
