package merger_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/merger"
)

// upstream is a repository with a work tree that plays the review server's.
type upstream struct {
	t   *testing.T
	dir string
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{t: t, dir: filepath.Join(t.TempDir(), "p")}
	require.NoError(t, os.MkdirAll(u.dir, 0o700))
	u.git("init", "--quiet", "--initial-branch=main")
	u.commit("base", map[string]string{"a": "1\n2\n3\n4\n5\n6\n7\n8\n", "b": "b\n"})
	return u
}

func (u *upstream) git(args ...string) string {
	u.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = u.dir
	cmd.Env = []string{"HOME=" + u.dir, "PATH=/usr/bin:/bin", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b"}
	out, err := cmd.CombinedOutput()
	require.NoError(u.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (u *upstream) commit(message string, files map[string]string) string {
	u.t.Helper()
	for name, content := range files {
		require.NoError(u.t, os.WriteFile(filepath.Join(u.dir, name), []byte(content), 0o600))
	}
	u.git("add", "--all")
	u.git("commit", "--quiet", "-m", message)
	return u.git("rev-parse", "HEAD")
}

// change commits onto a commit and leaves the result as a change's ref.
func (u *upstream) change(name, onto string, files map[string]string) merger.Pick {
	u.t.Helper()
	u.git("checkout", "--quiet", "--detach", onto)
	rev := u.commit("change "+name, files)
	ref := "refs/changes/" + name
	u.git("update-ref", ref, rev)
	u.git("checkout", "--quiet", "main")
	return merger.Pick{Name: name, Ref: ref, Revision: rev}
}

func (u *upstream) merger() *merger.Merger {
	return merger.New(merger.Config{Dir: u.t.TempDir(), Remote: func(string) (string, map[string]string) {
		return u.dir, map[string]string{"http.extraHeader": "Authorization: Basic secret"}
	}})
}

func TestMergeGivesTheTreeThatTheServersMergeGives(t *testing.T) {
	u := newUpstream(t)
	base := u.git("rev-parse", "main")
	one := u.change("1", base, map[string]string{"a": "one\n2\n3\n4\n5\n6\n7\n8\n"})
	two := u.change("2", base, map[string]string{"a": "1\n2\n3\n4\n5\n6\n7\ntwo\n", "c": "new\n"})
	m := u.merger()

	first, err := m.Merge(t.Context(), "p", "main", []merger.Pick{one}, false)
	require.NoError(t, err)
	assert.Equal(t, one.Revision, first.Commit, "a fast-forward is the change itself")
	assert.Equal(t, base, first.Tip)

	both, err := m.Merge(t.Context(), "p", "main", []merger.Pick{one, two}, false)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "c"}, both.Files, "the files of the last change only")
	again, err := m.Merge(t.Context(), "p", "main", []merger.Pick{one, two}, false)
	require.NoError(t, err)
	assert.Equal(t, both, again, "the same merge gives the same commit")

	u.git("merge", "--quiet", "--ff-only", one.Revision)
	u.git("merge", "--quiet", "--no-ff", "-m", "merge", two.Revision)
	tip, tree, err := m.Tip(t.Context(), "p", "main")
	require.NoError(t, err)
	assert.NotEqual(t, both.Commit, tip)
	assert.Equal(t, tree, both.Tree, "C2: merged tree = tested tree")

	merged, err := m.Merge(t.Context(), "p", "main", []merger.Pick{two}, false)
	require.NoError(t, err)
	assert.Equal(t, tip, merged.Commit, "a merged change changes nothing")
}

// C2: a push that comes right after the merge does not spoil the proof.
func TestMergedFindsTheMergeBehindLaterCommits(t *testing.T) {
	u := newUpstream(t)
	base := u.git("rev-parse", "main")
	one := u.change("1", base, map[string]string{"c": "one\n"})
	two := u.change("2", base, map[string]string{"d": "two\n"})
	three := u.change("3", base, map[string]string{"e": "three\n"})
	m := u.merger()
	u.git("merge", "--quiet", "--ff-only", one.Revision)
	u.git("merge", "--quiet", "--no-ff", "-m", "merge", two.Revision)
	merge := u.git("rev-parse", "main")
	u.commit("direct", map[string]string{"f": "direct\n"})

	commit, _, err := m.Merged(t.Context(), "p", "main", one.Revision)
	require.NoError(t, err)
	assert.Equal(t, one.Revision, commit)
	commit, tree, err := m.Merged(t.Context(), "p", "main", two.Revision)
	require.NoError(t, err)
	assert.Equal(t, merge, commit)
	assert.Equal(t, u.git("rev-parse", merge+"^{tree}"), tree)
	_, _, err = m.Merged(t.Context(), "p", "main", three.Revision)
	require.ErrorIs(t, err, merger.ErrNotMerged)
}

func TestMergeNamesTheConflict(t *testing.T) {
	u := newUpstream(t)
	base := u.git("rev-parse", "main")
	one := u.change("1,1", base, map[string]string{"a": "one\n", "b": "x\n"})
	two := u.change("2,1", base, map[string]string{"a": "two\n"})
	_, err := u.merger().Merge(t.Context(), "p", "main", []merger.Pick{one, two}, false)
	var conflict *merger.ConflictError
	require.ErrorAs(t, err, &conflict)
	assert.Equal(t, "2,1", conflict.Change)
	assert.Equal(t, []string{"a"}, conflict.Files)
	assert.Contains(t, conflict.Message, "CONFLICT (content)")
}

func TestMergeRefusesWhatIsNoFastForwardIfOnlyThatIsAllowed(t *testing.T) {
	u := newUpstream(t)
	base := u.git("rev-parse", "main")
	one := u.change("1", base, map[string]string{"b": "one\n"})
	two := u.change("2", base, map[string]string{"c": "two\n"})
	_, err := u.merger().Merge(t.Context(), "p", "main", []merger.Pick{one, two}, true)
	var conflict *merger.ConflictError
	require.ErrorAs(t, err, &conflict)
}

func TestMergeFollowsTheBranch(t *testing.T) {
	u := newUpstream(t)
	m := u.merger()
	one := u.change("1", "main", map[string]string{"c": "one\n"})
	before, err := m.Merge(t.Context(), "p", "main", []merger.Pick{one}, false)
	require.NoError(t, err)
	u.commit("direct", map[string]string{"d": "direct\n"})
	after, err := m.Merge(t.Context(), "p", "main", []merger.Pick{one}, false)
	require.NoError(t, err)
	assert.NotEqual(t, before.Tree, after.Tree)
	assert.Equal(t, []string{"c"}, after.Files)
}

func TestMergeReportsAMissingBranch(t *testing.T) {
	u := newUpstream(t)
	_, err := u.merger().Merge(t.Context(), "p", "gone", nil, false)
	require.ErrorIs(t, err, merger.ErrNoBranch)
}

func TestReadFileReadsTheState(t *testing.T) {
	u := newUpstream(t)
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(u.dir, "link")))
	u.commit("link", nil)
	m := u.merger()
	tip, _, err := m.Tip(t.Context(), "p", "main")
	require.NoError(t, err)

	data, err := m.ReadFile(t.Context(), "p", tip, "b", 100)
	require.NoError(t, err)
	assert.Equal(t, "b\n", string(data))
	_, err = m.ReadFile(t.Context(), "p", tip, "a", 3)
	require.ErrorIs(t, err, merger.ErrTooLarge)
	_, err = m.ReadFile(t.Context(), "p", tip, "none", 100)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = m.ReadFile(t.Context(), "p", tip, "link", 100)
	require.ErrorIs(t, err, fs.ErrInvalid)
}

// What is tested must be the tree: attributes in it may not change the copy.
func TestArchiveIsTheTreeWhateverItsAttributesSay(t *testing.T) {
	u := newUpstream(t)
	u.commit("attributes", map[string]string{
		".gitattributes": "hidden export-ignore\nversion export-subst\nlines text eol=crlf\n",
		"hidden":         "hidden\n", "version": "$Format:%H$\n", "lines": "line\n",
	})
	m := u.merger()
	tip, _, err := m.Tip(t.Context(), "p", "main")
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, m.Archive(t.Context(), "p", tip, &out))
	files := map[string]string{}
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		files[h.Name] = string(data)
	}
	assert.Equal(t, "hidden\n", files["hidden"])
	assert.Equal(t, "$Format:%H$\n", files["version"])
	assert.Equal(t, "line\n", files["lines"])
}

func TestMirrorOfAKilledGateIsMended(t *testing.T) {
	u := newUpstream(t)
	dir := t.TempDir()
	open := func() *merger.Merger {
		return merger.New(merger.Config{Dir: dir, Remote: func(string) (string, map[string]string) { return u.dir, nil }})
	}
	_, _, err := open().Tip(t.Context(), "p", "main")
	require.NoError(t, err)
	u.commit("more", map[string]string{"c": "c\n"})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p.git", "refs", "heads", "main.lock"), nil, 0o600))
	_, _, err = open().Tip(t.Context(), "p", "main")
	require.NoError(t, err)
}

func TestProjectNamesDoNotLeaveTheDirectory(t *testing.T) {
	u := newUpstream(t)
	dir := filepath.Join(t.TempDir(), "mirrors")
	m := merger.New(merger.Config{Dir: dir, Remote: func(string) (string, map[string]string) { return u.dir, nil }})
	_, _, err := m.Tip(t.Context(), "../../escape", "main")
	require.NoError(t, err)
	assert.DirExists(t, filepath.Join(dir, "escape.git"))
}
