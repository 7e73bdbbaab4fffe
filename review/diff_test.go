package review_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

func TestFilesAndDiffsOfAPatchSet(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "admin", "p")
	c.Write("kept.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n")
	c.Write("gone.txt", "gone\n")
	c.Commit("old name.txt", "a\nb\nc\nd\n", "Base")
	c.Git("push", "-q", "origin", "HEAD:refs/heads/main")
	c.Git("mv", "old name.txt", "neuer näme.txt")
	c.Git("rm", "-q", "gone.txt")
	c.Write("kept.txt", "1\ntwo\n3\n4\n5\n6\n7\n8\n9\n10\neleven")
	c.Commit("image.png", "\x89PNG\x00\x01", "Change")
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")

	p := mustPatchSet(t, site, 1)
	files, err := site.Files(t.Context(), "p", p, review.Base{})
	require.NoError(t, err)
	assert.Equal(t, []review.File{
		{Path: "gone.txt", Status: "D", Deletions: 1},
		{Path: "image.png", Status: "A", Binary: true},
		{Path: "kept.txt", Status: "M", Insertions: 2, Deletions: 1},
		{Path: "neuer näme.txt", OldPath: "old name.txt", Status: "R"},
	}, files)

	d, err := site.Diff(t.Context(), "p", p, review.Base{}, "kept.txt", review.DiffOptions{})
	require.NoError(t, err)
	assert.Equal(t, []review.Chunk{
		{AB: []string{"1"}},
		{A: []string{"2"}, B: []string{"two"}},
		{AB: []string{"3", "4", "5", "6", "7", "8", "9", "10"}},
		{B: []string{"eleven"}},
	}, d.Chunks)
	assert.Equal(t, [2]bool{false, true}, d.NoNewline)
	assert.Equal(t, 10, d.Old.Lines)
	assert.Equal(t, 11, d.New.Lines)

	d, err = site.Diff(t.Context(), "p", p, review.Base{}, "kept.txt", review.DiffOptions{Context: 1})
	require.NoError(t, err)
	assert.Equal(t, review.Chunk{Skip: 6}, d.Chunks[3])

	d, err = site.Diff(t.Context(), "p", p, review.Base{}, "image.png", review.DiffOptions{})
	require.NoError(t, err)
	assert.True(t, d.Binary)
	assert.Nil(t, d.Old)
	assert.Empty(t, d.Chunks)

	d, err = site.Diff(t.Context(), "p", p, review.Base{}, "neuer näme.txt", review.DiffOptions{})
	require.NoError(t, err)
	assert.Equal(t, "old name.txt", d.Old.Path)

	d, err = site.Diff(t.Context(), "p", p, review.Base{}, review.PathCommitMessage, review.DiffOptions{})
	require.NoError(t, err)
	assert.Contains(t, d.Chunks[0].B, "Change")

	content, _, err := site.Content(t.Context(), "p", p, review.Base{}, true, "gone.txt")
	require.NoError(t, err)
	assert.Equal(t, "gone\n", string(content))
	for _, path := range []string{"nothing", "../../review.db", "/etc/passwd", "-x", ":(glob)*"} {
		_, _, err = site.Content(t.Context(), "p", p, review.Base{}, false, path)
		assert.True(t, fault.Is(err, fault.NotFound), "%s: %v", path, err)
	}
	patch, err := site.Patch(t.Context(), "p", p)
	require.NoError(t, err)
	assert.Contains(t, string(patch), "Subject: [PATCH] Change")
}

func TestDiffBetweenPatchSets(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	c.Amend("f.txt", "g\n")
	amendMessage(c, "Other subject")
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	p := mustPatchSet(t, site, 1)
	d, err := site.Diff(t.Context(), "p", p, review.Base{PatchSet: 1}, "f.txt", review.DiffOptions{})
	require.NoError(t, err)
	assert.Equal(t, []review.Chunk{{A: []string{"f"}, B: []string{"g"}}}, d.Chunks)
	d, err = site.Diff(t.Context(), "p", p, review.Base{PatchSet: 1}, review.PathCommitMessage, review.DiffOptions{})
	require.NoError(t, err)
	assert.Contains(t, d.Chunks, review.Chunk{A: []string{"Subject"}, B: []string{"Other subject"}})
}
