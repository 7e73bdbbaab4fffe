package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Zero stands for a ref that does not exist.
const Zero = "0000000000000000000000000000000000000000"

// Ref is a ref and what it names.
type Ref struct {
	Name string
	Hash string
}

// Refs lists the refs under the given prefixes ("refs/heads", whole path
// components, or a ref itself), sorted by name.
func (r *Repo) Refs(ctx context.Context, prefixes ...string) ([]Ref, error) {
	out, err := r.run(ctx, nil, append([]string{"for-each-ref", "--format=%(objectname) %(refname)"}, prefixes...)...)
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for line := range strings.Lines(string(out)) {
		hash, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			return nil, fmt.Errorf("list refs: bad line %q", line)
		}
		refs = append(refs, Ref{Name: name, Hash: hash})
	}
	return refs, nil
}

// Resolve is the commit that a revision names, or "" if it names none.
// Revisions that git would take for an option name none.
func (r *Repo) Resolve(ctx context.Context, revision string) (string, error) {
	if revision == "" || strings.HasPrefix(revision, "-") {
		return "", nil
	}
	out, err := r.run(ctx, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if status(err) == 1 || status(err) == 128 {
		return "", nil
	}
	return strings.TrimSpace(string(out)), err
}

// Head is the ref that HEAD names, whether it exists or not.
func (r *Repo) Head(ctx context.Context) (string, error) {
	out, err := r.run(ctx, nil, "symbolic-ref", "HEAD")
	return strings.TrimSpace(string(out)), err
}

// SetHead lets HEAD name a ref.
func (r *Repo) SetHead(ctx context.Context, ref string) error {
	_, err := r.run(ctx, nil, "symbolic-ref", "HEAD", ref)
	return err
}

// ValidRef reports whether name may be a ref (git check-ref-format's rules).
func ValidRef(name string) bool {
	if !strings.HasPrefix(name, "refs/") || strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "//") || strings.Contains(name, "@{") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return !strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c == 0x7f || strings.ContainsRune("~^:?*[\\", c)
	})
}

// Update moves a ref from Old, which it must be at, to New; Zero stands for
// absence on either side.
type Update struct {
	Ref      string
	Old, New string
}

// ErrRefs says that refs could not be locked or are not where the update wants
// them to be.
var ErrRefs = errors.New("refs were changed meanwhile")

// Transaction is a set of ref updates that git holds the locks for. Exactly
// one of Commit and Abort must be called.
type Transaction struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *tail
}

// Prepare locks the refs and checks their old values; ErrRefs if that fails.
// If this process dies before Commit, git gives the locks back and nothing
// happened.
func (r *Repo) Prepare(ctx context.Context, updates []Update) (*Transaction, error) {
	cmd := r.Command(context.WithoutCancel(ctx), "update-ref", "--stdin")
	t := &Transaction{cmd: cmd, stderr: &tail{}}
	cmd.Stderr = t.stderr
	var err error
	if t.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("prepare refs: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("prepare refs: %w", err)
	}
	t.stdout = bufio.NewReader(stdout)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("prepare refs: %w", err)
	}
	var commands bytes.Buffer
	commands.WriteString("start\n")
	for _, u := range updates {
		if u.New == Zero {
			fmt.Fprintf(&commands, "delete %s %s\n", u.Ref, u.Old)
		} else {
			fmt.Fprintf(&commands, "update %s %s %s\n", u.Ref, u.New, u.Old)
		}
	}
	commands.WriteString("prepare\n")
	if err := t.say(commands.String(), "start: ok", "prepare: ok"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefs, err)
	}
	return t, nil
}

// say sends commands and waits for the answers; on failure git has ended.
func (t *Transaction) say(commands string, answers ...string) error {
	_, err := io.WriteString(t.stdin, commands)
	for _, want := range answers {
		if err != nil {
			break
		}
		var line string
		if line, err = t.stdout.ReadString('\n'); err == nil && strings.TrimSpace(line) != want {
			err = fmt.Errorf("git said %q", line)
		}
	}
	if err == nil {
		return nil
	}
	_ = t.stdin.Close()
	_ = t.cmd.Wait()
	return fmt.Errorf("update refs: %w: %s", err, strings.TrimSpace(t.stderr.String()))
}

// Commit carries the updates out.
func (t *Transaction) Commit() error {
	if err := t.say("commit\n", "commit: ok"); err != nil {
		return err
	}
	_ = t.stdin.Close()
	if err := t.cmd.Wait(); err != nil {
		return fmt.Errorf("update refs: %w", err)
	}
	return nil
}

// Abort gives the locks back and changes nothing.
func (t *Transaction) Abort() {
	_ = t.stdin.Close() // git aborts at the end of its input
	_ = t.cmd.Wait()
}

// Apply moves refs to their New values, wherever they are: to carry out what
// was decided before a crash.
func (r *Repo) Apply(ctx context.Context, updates []Update) error {
	var commands bytes.Buffer
	for _, u := range updates {
		if u.New == Zero {
			fmt.Fprintf(&commands, "delete %s\n", u.Ref)
		} else {
			fmt.Fprintf(&commands, "update %s %s\n", u.Ref, u.New)
		}
	}
	_, err := r.run(ctx, &commands, "update-ref", "--stdin")
	return err
}

// Tip is what a ref names, or "" if it does not exist. It is read in process.
func (r *Repo) Tip(ref string) (string, error) {
	storage := filesystem.NewStorage(osfs.New(r.path), cache.NewObjectLRU(0))
	found, err := storage.Reference(plumbing.ReferenceName(ref))
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read ref %s: %w", ref, err)
	}
	return found.Hash().String(), nil
}
