package review_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

const someID = "I0123456789012345678901234567890123456789"

// TestPushIsRefused pushes what must be refused, and reads what git shows.
func TestPushIsRefused(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	tests := []struct {
		name    string
		user    string // default ann
		prepare func(c *reviewtest.Clone)
		push    []string // default HEAD:refs/for/main
		want    string   // in "! [remote rejected] … (WANT)"; SHA stands for the commit's first digits
		before  string   // printed before it
	}{
		{
			name: "no Change-Id", prepare: raw("Subject\n"),
			want:   "commit SHA: missing Change-Id in message footer",
			before: "remote: Hint: to automatically insert a Change-Id, install the hook:\nremote: gitdir=$(git rev-parse --git-dir); scp -p -P 29418 ann@127.0.0.1:hooks/commit-msg ${gitdir}/hooks/\nremote: (for OpenSSH >= 9.0 you need to add the flag '-O' to the scp command)",
		},
		{
			name: "Change-Id in the body", prepare: raw("Subject\n\nChange-Id: " + someID + "\n\nMore.\n"),
			want:   "commit SHA: Change-Id must be in message footer",
			before: "and move 'Change-Id: Ixxx..' to the bottom on a separate line",
		},
		{
			name: "Change-Id as subject", prepare: raw("Change-Id: " + someID + "\n"),
			want: "commit SHA: missing subject; Change-Id must be in message footer",
		},
		{
			name: "two Change-Ids", prepare: raw("Subject\n\nChange-Id: " + someID + "\nChange-Id: I12\n"),
			want:   "commit SHA: multiple Change-Id lines in message footer",
			before: "remote: * " + someID + " [VALID]\nremote: * I12 [INVALID]",
		},
		{
			name: "Change-Id of zeros", prepare: raw("Subject\n\nChange-Id: I" + strings.Repeat("0", 40) + "\n"),
			want: "commit SHA: invalid Change-Id line format in message footer",
		},
		{
			name: "malformed Change-Id", prepare: raw("Subject\n\nChange-Id: 17\n"),
			want: "commit SHA: invalid Change-Id line format in message footer",
		},
		{
			name: "the same Change-Id twice", prepare: func(c *reviewtest.Clone) {
				raw("One\n\nChange-Id: " + someID + "\n")(c)
				raw("Two\n\nChange-Id: " + someID + "\n")(c)
			},
			want: "same Change-Id in multiple changes.",
		},
		{name: "nothing new", want: "no new changes"},
		{name: "unknown branch", prepare: proper, push: []string{"HEAD:refs/for/nowhere"}, want: "branch nowhere not found"},
		{name: "no common ancestry", prepare: func(c *reviewtest.Clone) {
			c.Git("checkout", "-q", "--orphan", "other")
			proper(c)
		}, want: "no common ancestry"},
		{name: "unknown option", prepare: proper, push: []string{"HEAD:refs/for/main%nonsense=1"}, want: `"nonsense" is not a valid option`},
		{name: "unknown option by -o", prepare: proper, push: []string{"-o", "nonsense", "HEAD:refs/for/main"}, want: `"nonsense" is not a valid option`},
		{name: "contradiction", prepare: proper, push: []string{"HEAD:refs/for/main%wip,ready"}, want: "the options 'wip' and 'ready' are mutually exclusive"},
		{name: "unknown reviewer", prepare: proper, push: []string{"HEAD:refs/for/main%r=nobody"}, want: "nobody does not identify a registered user or group"},
		{name: "vote beyond one's range", prepare: proper, push: []string{"HEAD:refs/for/main%l=Code-Review+2"}, want: `applying label "Code-Review": 2 is restricted`},
		{name: "refs/changes", prepare: proper, push: []string{"HEAD:refs/changes/01/1/1"}, want: "upload to refs/changes not allowed"},
		{name: "branch without right", prepare: proper, push: []string{"HEAD:refs/heads/main"}, want: "prohibited by Gerrit: not permitted: update", before: "remote: To push into this reference you need 'Push' rights."},
		{name: "new branch without right", prepare: proper, push: []string{"HEAD:refs/heads/other"}, want: "prohibited by Gerrit: not permitted: create"},
		{name: "deletion", user: "admin", push: []string{":refs/heads/main"}, want: "prohibited by Gerrit: not permitted: delete"},
		{name: "branch going backwards", user: "admin", prepare: func(c *reviewtest.Clone) {
			c.Git("commit", "-q", "--amend", "--allow-empty", "-m", "Rewritten")
		}, push: []string{"+HEAD:refs/heads/main"}, want: "prohibited by Gerrit: not permitted: force update"},
		{name: "somebody else's commit", prepare: func(c *reviewtest.Clone) {
			c.Git("-c", "user.name=x", "commit", "--allow-empty", "-q", "-m", "Subject")
			c.GitAs("bob", "commit", "-q", "--amend", "--allow-empty", "--no-edit")
		}, want: "commit SHA: invalid committer", before: "remote: To push it as yourself, run\nremote:   git -c user.email=ann@example.com commit --amend --reset-author --no-edit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			user := test.user
			if user == "" {
				user = "ann"
			}
			project := "refused/" + strings.ReplaceAll(test.name, " ", "-")
			project = strings.NewReplacer("'", "", "/r", "/r").Replace(project)
			site.Project(t, project)
			c := site.Clone(t, user, project)
			if test.prepare != nil {
				test.prepare(c)
			}
			push := test.push
			if push == nil {
				push = []string{"HEAD:refs/for/main"}
			}
			out, err := c.Try(append([]string{"push", "origin"}, push...)...)
			require.Error(t, err)
			want := strings.ReplaceAll(test.want, "SHA", c.Git("rev-parse", "HEAD")[:7])
			out = clean(out)
			assert.Contains(t, out, "! [remote rejected]")
			assert.Contains(t, out, "("+want)
			assert.Contains(t, out, test.before)

			found, _, err := site.Search(t.Context(), nil, review.Query{Where: "c.project = ?", Args: []any{project}})
			require.NoError(t, err)
			assert.Empty(t, found, "a refused push leaves nothing")
		})
	}
}

// raw commits with a message as it is, without the hook.
func raw(message string) func(c *reviewtest.Clone) {
	return func(c *reviewtest.Clone) { c.Git("commit", "-q", "--allow-empty", "--no-verify", "-m", message) }
}

func proper(c *reviewtest.Clone) { c.Commit("f.txt", "f\n", "Subject") }

func TestPushOfACommitOnAnotherBranchIsAnImplicitMerge(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	admin := site.Clone(t, "admin", "p")
	admin.Git("checkout", "-q", "-b", "feature")
	admin.Commit("x.txt", "x\n", "On feature only")
	admin.Git("push", "-q", "origin", "HEAD:refs/heads/feature")
	admin.Commit("y.txt", "y\n", "On top of it")
	out, err := admin.Try("push", "origin", "HEAD:refs/for/main")
	require.Error(t, err)
	assert.Contains(t, out, "(implicit merges detected)")
	assert.Contains(t, out, "Implicit Merge of ")
	admin.Git("push", "origin", "HEAD:refs/for/feature")
}

func TestPushBeyondTheBatchLimitIsRefused(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	c.Git("config", "core.hooksPath", "/dev/null")
	for range 101 {
		c.Git("commit", "-q", "--allow-empty", "-m", "x")
	}
	out, err := c.Try("push", "origin", "HEAD:refs/for/main")
	require.Error(t, err)
	assert.Contains(t, out, "(the number of pushed changes in a batch exceeds the max limit 100)")
}

func TestPushToAClosedChangeIsRefused(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	_, err := site.Abandon(t.Context(), site.Account(t, "ann"), 1, "")
	require.NoError(t, err)
	c.Amend("f.txt", "g\n")
	out, err := c.Try("push", "origin", "HEAD:refs/for/main")
	require.Error(t, err)
	assert.Contains(t, out, "(change "+site.URL+"/c/p/+/1 closed)")
}

func TestAnonymousMayFetchAndNotPush(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	c.Git("ls-remote", site.URL+"/p.git")
	out, err := c.Try("push", site.URL+"/p", "HEAD:refs/for/main")
	require.Error(t, err)
	assert.Contains(t, out, "could not read Username")
	_, err = c.Try("ls-remote", site.URL+"/a/p")
	require.Error(t, err)
	_, err = c.Try("ls-remote", strings.Replace(site.URL, "//", "//ann:wrong@", 1)+"/a/p")
	require.Error(t, err)
}
