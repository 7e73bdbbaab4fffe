package review_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

func TestPushForReviewMakesAChangeForEachCommit(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "demo/one")
	c := site.Clone(t, "ann", "demo/one")
	c.Commit("a.txt", "a\n", "Add a")
	c.Commit("b.txt", "b\n", "Add b")
	out := c.Git("push", "origin", "HEAD:refs/for/main%topic=letters,r=bob,hashtag=x")
	//nolint:dupword // git says so
	want := `remote: Processing changes: refs: 1, new: 2, done        
remote: 
remote: SUCCESS        
remote: 
remote:   URL/c/demo/one/+/1 Add a [NEW]        
remote:   URL/c/demo/one/+/2 Add b [NEW]        
remote: 
`
	assert.Contains(t, clean(out), clean(strings.ReplaceAll(want, "URL", site.URL)))
	assert.Contains(t, out, "* [new reference]   HEAD -> refs/for/main%topic=letters")

	ann := site.Account(t, "ann")
	change, err := site.Change(t.Context(), ann, 2)
	require.NoError(t, err)
	detail, err := site.Detail(t.Context(), change, review.WantPatchSets|review.WantFiles|review.WantReviewers|review.WantMessages)
	require.NoError(t, err)
	assert.Equal(t, "Add b", detail.Subject)
	assert.Equal(t, "letters", detail.Topic)
	assert.Equal(t, []string{"x"}, detail.Hashtags)
	assert.Equal(t, "main", detail.Branch)
	assert.Equal(t, review.Rework, detail.Current().Kind)
	assert.Equal(t, []review.File{{Path: "b.txt", Status: "A", Insertions: 1}}, detail.Files[1])
	require.Len(t, detail.Reviewers, 1)
	assert.Equal(t, "bob", detail.Reviewers[0].Account.Username)
	require.Len(t, detail.Messages, 1)
	assert.Equal(t, "Uploaded patch set 1.", detail.Messages[0].Text)
	assert.Equal(t, c.Git("rev-parse", "HEAD"), detail.Current().Revision)
	assert.Equal(t, detail.Current().Revision, strings.Fields(c.Git("ls-remote", "origin", "refs/changes/02/2/1"))[0])
}

var trailing = regexp.MustCompile(`[ \t]+(\n|$)`)

// clean drops the spaces that git puts behind the server's lines.
func clean(text string) string { return trailing.ReplaceAllString(text, "$1") }

func TestPushAgainMakesAPatchSet(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	c.Commit("a.txt", "a\n", "Add a")
	c.Git("push", "origin", "HEAD:refs/for/main")
	c.Amend("a.txt", "A\n")
	out := c.Git("push", "origin", "HEAD:refs/for/main")
	assert.Contains(t, clean(out), "remote: Processing changes: refs: 1, updated: 1, done\n")
	assert.Contains(t, clean(out), site.URL+"/c/p/+/1 Add a\n")

	out, err := c.Try("push", "origin", "HEAD:refs/for/main")
	require.Error(t, err)
	assert.Contains(t, out, "(commit(s) already exists (as current patchset))")
}
