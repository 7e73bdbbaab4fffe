package rest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFilesOfARevision(t *testing.T) {
	t.Parallel()
	s, clone := oneChange(t)
	push(t, clone, "dir/ä b.txt", "x\n", "Second", "")
	clone.Write("hello.txt", "hello\nmoon\n")
	clone.Amend("dir/ä b.txt", "x\ny\n")
	clone.Git("push", "-q", "origin", "HEAD:refs/for/main")
	const change = "/changes/2/revisions/"

	files := ok[map[string]object](s.call("", "GET "+change+"current/files/", ""), 200)
	require.Contains(t, files, "/COMMIT_MSG")
	assert.Equal(t, object{"status": "A", "lines_inserted": 2.0, "size": 0.0, "size_delta": 0.0}, files["dir/ä b.txt"])
	assert.Equal(t, object{"lines_inserted": 1.0, "lines_deleted": 1.0, "size": 0.0, "size_delta": 0.0}, files["hello.txt"])
	against := ok[map[string]object](s.call("", "GET "+change+"2/files?base=1", ""), 200)
	assert.Equal(t, 1.0, against["dir/ä b.txt"]["lines_inserted"]) //nolint:testifylint // a whole number in JSON
	assert.Len(t, ok[map[string]object](s.call("", "GET "+change+"2/files/?parent=1", ""), 200), 3)
	s.call("", "GET "+change+"2/files/?parent=7", "").fails(http.StatusBadRequest, "invalid parent number: 7")

	file := url.PathEscape("dir/ä b.txt")
	content := s.call("", "GET "+change+"2/files/"+file+"/content", "")
	text, err := base64.StdEncoding.DecodeString(content.body)
	require.NoError(t, err)
	assert.Equal(t, "x\ny\n", string(text))
	assert.Equal(t, http.StatusNotFound, s.call("", "GET "+change+"1/files/none/content", "").status)

	diff := ok[object](s.call("", "GET "+change+"2/files/hello.txt/diff", ""), 200)
	assert.Equal(t, "MODIFIED", diff["change_type"])
	assert.Equal(t, []any{object{"ab": []any{"hello"}}, object{"a": []any{"world"}, "b": []any{"moon"}}}, diff["content"])
	added := ok[object](s.call("", "GET "+change+"2/files/"+file+"/diff", ""), 200)
	assert.Equal(t, "ADDED", added["change_type"])
	assert.Nil(t, added["meta_a"])
	ok[object](s.call("", "GET "+change+"2/files/%2FCOMMIT_MSG/diff", ""), 200)
}

func TestPatchIsWhatGitAmTakes(t *testing.T) {
	t.Parallel()
	s, clone := oneChange(t)
	encoded := s.call("", "GET /changes/1/revisions/1/patch", "")
	text, err := base64.StdEncoding.DecodeString(encoded.body)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(text), "From "), string(text))
	head := clone.Git("rev-parse", "HEAD^{tree}")
	clone.Git("reset", "-q", "--hard", "HEAD^")
	file := filepath.Join(t.TempDir(), "patch")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	clone.Git("am", "-q", file)
	assert.Equal(t, head, clone.Git("rev-parse", "HEAD^{tree}"))
}

func TestRevisionTellsOfItsCommit(t *testing.T) {
	t.Parallel()
	s, clone := oneChange(t)
	push(t, clone, "b.txt", "b\n", "Second", "")
	commit := ok[struct {
		Commit  string
		Parents []struct{ Commit string }
		Author  struct{ Name, Email, Date string }
		Subject string
		Message string
	}](s.call("", "GET /changes/2/revisions/current/commit", ""), 200)
	assert.Equal(t, clone.Git("rev-parse", "HEAD"), commit.Commit)
	assert.Equal(t, clone.Git("rev-parse", "HEAD^"), commit.Parents[0].Commit)
	assert.Equal(t, "ann@example.com", commit.Author.Email)
	assert.Equal(t, "Second", commit.Subject)

	related := ok[map[string][]object](s.call("", "GET /changes/1/revisions/current/related", ""), 200)["changes"]
	require.Len(t, related, 2)
	assert.Equal(t, 2.0, related[0]["_change_number"]) //nolint:testifylint // a whole number in JSON
	mergeable := ok[object](s.call("", "GET /changes/1/revisions/current/mergeable", ""), 200)
	assert.Equal(t, true, mergeable["mergeable"])
	s.call("", "GET /changes/1/revisions/9/commit", "").fails(http.StatusNotFound, "Not found: 9")
}

// What gertty asks of a change, in one request.
func TestDetailForGertty(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	ok[object](s.call("admin", "POST /a/changes/1/revisions/1/review", `{"labels":{"Code-Review":2}}`), 200)
	change := ok[struct {
		Revisions map[string]struct {
			Commit  struct{ Parents []object }
			Files   map[string]object
			Fetch   map[string]object
			Actions map[string]struct{ Enabled bool }
		}
	}](s.call("admin", "GET /a/changes/tools%2Fhello~1?o=DETAILED_LABELS&o=ALL_REVISIONS&o=ALL_COMMITS&o=MESSAGES"+
		"&o=DETAILED_ACCOUNTS&o=CURRENT_ACTIONS&o=ALL_FILES", ""), 200)
	for _, revision := range change.Revisions {
		assert.NotEmpty(t, revision.Commit.Parents)
		assert.Contains(t, revision.Files, "hello.txt")
		assert.NotContains(t, revision.Files, "/COMMIT_MSG")
		assert.Contains(t, revision.Fetch, "ssh")
		assert.True(t, revision.Actions["submit"].Enabled)
	}
}
