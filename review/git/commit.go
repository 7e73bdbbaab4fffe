package git

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Ident is an author or committer.
type Ident struct {
	Name, Email string
	When        time.Time // in the zone the commit gives
}

// Commit is a commit's contents, its text in UTF-8.
type Commit struct {
	Hash, Tree        string
	Parents           []string
	Author, Committer Ident
	Message           string
}

// Subject is the first paragraph of the message in one line.
func (c *Commit) Subject() string {
	paragraph, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n\n")
	return strings.Join(strings.Fields(strings.ReplaceAll(paragraph, "\n", " ")), " ")
}

const commitFormat = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B"

// Log lists the commits that are reachable from tips and not from exclude,
// parents before children. Each of exclude is a hash or an option such as
// "--branches". More than limit commits are not read: the answer then has
// limit+1.
func (r *Repo) Log(ctx context.Context, tips, exclude []string, limit int) ([]Commit, error) {
	args := []string{"log", "-z", "--topo-order", "--date=raw", "--encoding=UTF-8", commitFormat, fmt.Sprintf("-n%d", limit+1)}
	args = append(append(append(args, tips...), "--not"), exclude...)
	return r.log(ctx, append(args, "--"))
}

// Commits reads commits by hash, in the order given.
func (r *Repo) Commits(ctx context.Context, hashes ...string) ([]Commit, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	args := []string{"log", "-z", "--no-walk=unsorted", "--date=raw", "--encoding=UTF-8", commitFormat}
	commits, err := r.log(ctx, append(append(args, hashes...), "--"))
	if err != nil {
		return nil, err
	}
	for i, j := 0, len(commits)-1; i < j; i, j = i+1, j-1 { // log reverses what it reads
		commits[i], commits[j] = commits[j], commits[i]
	}
	return commits, nil
}

// log runs git log and reverses its order.
func (r *Repo) log(ctx context.Context, args []string) ([]Commit, error) {
	out, err := r.run(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, nil
	}
	const fields = 10
	values := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(values)%fields != 0 {
		return nil, fmt.Errorf("git log: %d fields", len(values))
	}
	commits := make([]Commit, len(values)/fields)
	for i := range commits {
		v := values[i*fields : (i+1)*fields]
		commits[len(commits)-1-i] = Commit{
			Hash: v[0], Tree: v[1], Parents: strings.Fields(v[2]),
			Author:    Ident{v[3], v[4], rawDate(v[5])},
			Committer: Ident{v[6], v[7], rawDate(v[8])},
			Message:   v[9],
		}
	}
	return commits, nil
}

// rawDate parses git's "1700000000 +0100"; a broken date is 1970.
func rawDate(text string) time.Time {
	seconds, zone, _ := strings.Cut(text, " ")
	n, _ := strconv.ParseInt(seconds, 10, 64) // git writes 0 for what it cannot read itself
	z, _ := strconv.Atoi(zone)
	offset := (z/100)*3600 + (z%100)*60
	return time.Unix(n, 0).In(time.FixedZone("", offset))
}

// Write stores a commit and returns its hash. Its Hash is not read. The object
// goes where the repository's new objects go.
func (r *Repo) Write(c Commit) (string, error) {
	commit := object.Commit{
		TreeHash:  plumbing.NewHash(c.Tree),
		Message:   c.Message,
		Author:    object.Signature(c.Author),
		Committer: object.Signature(c.Committer),
	}
	for _, p := range c.Parents {
		commit.ParentHashes = append(commit.ParentHashes, plumbing.NewHash(p))
	}
	obj := &plumbing.MemoryObject{}
	if err := commit.Encode(obj); err != nil {
		return "", fmt.Errorf("encode commit: %w", err)
	}
	storage := filesystem.NewStorage(osfs.New(filepath.Dir(r.objects())), cache.NewObjectLRU(0))
	hash, err := storage.SetEncodedObject(obj)
	if err != nil {
		return "", fmt.Errorf("write commit: %w", err)
	}
	return hash.String(), nil
}

// EmptyTree writes the tree without entries and returns its hash.
func (r *Repo) EmptyTree(ctx context.Context) (string, error) {
	out, err := r.run(ctx, bytes.NewReader(nil), "hash-object", "-w", "-t", "tree", "--stdin")
	return strings.TrimSpace(string(out)), err
}

// IsAncestor reports whether commit a is b or reachable from it.
func (r *Repo) IsAncestor(ctx context.Context, a, b string) (bool, error) {
	_, err := r.run(ctx, nil, "merge-base", "--is-ancestor", a, b)
	if status(err) == 1 {
		return false, nil
	}
	return err == nil, err
}

// MergeBase is a best common ancestor of two commits, or "" if there is none.
func (r *Repo) MergeBase(ctx context.Context, a, b string) (string, error) {
	out, err := r.run(ctx, nil, "merge-base", a, b)
	if status(err) == 1 {
		return "", nil
	}
	return strings.TrimSpace(string(out)), err
}
