package sshd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/query"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
	"github.com/gatehouse-dev/gatehouse/review/sshd"
)

// door is a site with its SSH door open, and a client's home.
type door struct {
	*reviewtest.Site
	t    *testing.T
	port string
	home string
}

func open(t *testing.T) *door {
	t.Helper()
	site := reviewtest.Start(t)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	server, err := sshd.New(sshd.Config{
		Service: site.Service, KeyDir: t.TempDir(), Log: log, Version: "3.11.2",
		Compile: query.New(site.Labels(""), time.Now).Compile,
	})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-served)
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return &door{Site: site, t: t, port: port, home: t.TempDir()}
}

// key makes a key of a type and registers it for a user; it is the file's name.
func (d *door) key(username string, kind ...string) string {
	d.t.Helper()
	file := filepath.Join(d.home, username+"-"+strings.Join(kind, ""))
	args := append([]string{"-q", "-N", "", "-f", file, "-t"}, kind...)
	out, err := exec.CommandContext(d.t.Context(), "ssh-keygen", args...).CombinedOutput()
	require.NoError(d.t, err, "%s", out)
	line, err := os.ReadFile(file + ".pub")
	require.NoError(d.t, err)
	a := d.Account(d.t, username)
	_, err = d.AddSSHKey(d.t.Context(), a, a.ID, string(line))
	require.NoError(d.t, err)
	return file
}

func (d *door) options(key string) []string {
	return []string{"-i", key, "-F", "none", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=" + filepath.Join(d.home, "known"), "-o", "LogLevel=ERROR"}
}

// command prepares an ssh command of a user.
func (d *door) command(username, key string, words ...string) *exec.Cmd {
	args := append(d.options(key), "-p", d.port, username+"@127.0.0.1")
	return exec.CommandContext(d.t.Context(), "ssh", append(args, words...)...)
}

// run runs an ssh command, which must succeed, and returns its output.
func (d *door) run(username, key string, words ...string) string {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := d.command(username, key, words...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(d.t, cmd.Run(), "%v: %s", words, stderr.String())
	return stdout.String()
}

func TestLogInByEveryKindOfKey(t *testing.T) {
	t.Parallel()
	d := open(t)
	for _, kind := range [][]string{{"ed25519"}, {"ecdsa"}, {"rsa", "-b", "2048"}} {
		key := d.key("ann", kind...)
		assert.Equal(t, "gerrit version 3.11.2\n", d.run("ann", key, "gerrit", "version"), "%v", kind)
		out, err := d.command("bob", key, "gerrit", "version").CombinedOutput()
		require.Error(t, err, "another account's key")
		assert.Contains(t, string(out), "Permission denied")
	}
}

func TestADeletedUsersKeyOpensNothing(t *testing.T) {
	t.Parallel()
	d := open(t)
	key := d.key("ann", "ed25519")
	d.run("ann", key, "gerrit", "version")
	d.People.Forget("ann")
	out, err := d.command("ann", key, "gerrit", "version").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "Permission denied")
}

func TestHookIsServedByScpAndSftp(t *testing.T) {
	t.Parallel()
	d := open(t)
	key := d.key("ann", "ed25519")
	for _, flags := range [][]string{{"-O"}, {"-O", "-p"}, {"-s"}, {"-s", "-p"}} {
		into := filepath.Join(t.TempDir(), "commit-msg")
		args := append(append(d.options(key), flags...), "-P", d.port, "ann@127.0.0.1:hooks/commit-msg", into)
		out, err := exec.CommandContext(t.Context(), "scp", args...).CombinedOutput()
		require.NoError(t, err, "%v: %s", flags, out)
		got, err := os.ReadFile(into)
		require.NoError(t, err)
		assert.Equal(t, string(review.CommitMsgHook), string(got))
		info, err := os.Stat(into)
		require.NoError(t, err)
		assert.NotZero(t, info.Mode()&0o100, "%v: it can be run", flags)
	}
	for _, flag := range []string{"-O", "-s"} {
		args := append(d.options(key), flag, "-P", d.port, "ann@127.0.0.1:../../etc/passwd", t.TempDir())
		require.Error(t, exec.CommandContext(t.Context(), "scp", args...).Run())
		args = append(d.options(key), flag, "-P", d.port, key, "ann@127.0.0.1:hooks/commit-msg")
		require.Error(t, exec.CommandContext(t.Context(), "scp", args...).Run())
	}
}

func TestGitFetchesAndPushesOverSSH(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.Project(t, "top/sub")
	key := d.key("ann", "ed25519")
	c := d.Clone(t, "ann", "top/sub")
	c.Git("config", "core.sshCommand", "ssh "+strings.Join(d.options(key), " "))
	c.Git("remote", "set-url", "origin", "ssh://ann@127.0.0.1:"+d.port+"/top/sub.git")
	c.Commit("f.txt", "f\n", "Subject")
	assert.Contains(t, c.Git("push", "origin", "HEAD:refs/for/main"), "SUCCESS")
	for _, version := range []string{"0", "2"} {
		c.Git("-c", "protocol.version="+version, "fetch", "origin", "refs/changes/01/1/1")
		assert.Equal(t, c.Git("rev-parse", "HEAD"), c.Git("rev-parse", "FETCH_HEAD"))
	}
	c.Git("push", "--dry-run", "origin", "--all")
	out, err := c.Try("push", "origin", "HEAD:refs/heads/main")
	require.Error(t, err)
	assert.Contains(t, out, "not permitted: update")

	// As Zuul lists the refs: the name without quotes, then a flush.
	cmd := d.command("ann", key, "git-upload-pack", "top/sub")
	cmd.Stdin = strings.NewReader("0000")
	refs, err := cmd.Output()
	require.NoError(t, err)
	assert.Contains(t, string(refs), "refs/changes/01/1/1")

	garbage, err := c.Try("push", "ssh://ann@127.0.0.1:"+d.port+"/none", "HEAD:refs/for/main")
	require.Error(t, err)
	assert.Contains(t, garbage, "fatal: Project not found: none")
}

func TestQueryWritesRowsAndStats(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.Project(t, "p")
	key := d.key("ann", "ed25519")
	c := d.Clone(t, "ann", "p")
	c.Commit("a.txt", "a\n", "A")
	c.Commit("b.txt", "b\n", "B")
	c.Git("push", "-q", "origin", "HEAD:refs/for/main%r=bob")

	out := d.run("ann", key, "gerrit query --format json --all-approvals --comments --commit-message --current-patch-set "+
		"--dependencies --files --patch-sets --submit-records --all-reviewers change:2")
	rows := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, rows, 2)
	var row review.ChangeAttribute
	require.NoError(t, json.Unmarshal([]byte(rows[0]), &row))
	assert.Equal(t, int64(2), row.Number)
	assert.Equal(t, "B", row.Subject)
	assert.True(t, *row.Open)
	assert.Contains(t, row.CommitMessage, "Change-Id: I")
	assert.Equal(t, "refs/changes/02/2/1", row.CurrentPatchSet.Ref)
	assert.Equal(t, []review.FileAttribute{{File: "/COMMIT_MSG", Type: "ADDED"}, {File: "b.txt", Type: "ADDED", Insertions: 1}}, row.PatchSets[0].Files)
	require.Len(t, row.DependsOn, 1)
	assert.Equal(t, "refs/changes/01/1/1", row.DependsOn[0].Ref)
	assert.Equal(t, "bob", row.AllReviewers[0].Username)
	assert.Equal(t, "NOT_READY", row.SubmitRecords[0].Status)
	assert.Equal(t, "NEED", row.SubmitRecords[0].Labels[0].Status)
	var stats struct {
		Type     string
		RowCount int
	}
	require.NoError(t, json.Unmarshal([]byte(rows[1]), &stats))
	assert.Equal(t, "stats", stats.Type)
	assert.Equal(t, 1, stats.RowCount)

	// As git-review asks, and as Jenkins quotes.
	for _, q := range []string{"--format=JSON project:p status:open", `--format=JSON --current-patch-set "project:p status:open"`} {
		out = d.run("ann", key, "gerrit query "+q)
		assert.Len(t, strings.Split(strings.TrimSpace(out), "\n"), 3, "%s: %s", q, out)
	}
	out = d.run("ann", key, "gerrit query --format=JSON nonsense:1")
	assert.True(t, strings.HasPrefix(out, `{"type":"error","message":"`), out)
	assert.Equal(t, 1, strings.Count(out, "\n"))
	assert.Contains(t, d.run("ann", key, "gerrit query change:1"), "  subject: A\n")
}

func TestReviewVotesAndSubmits(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.Project(t, "p")
	admin, gate, ann := d.key("admin", "ed25519"), d.key("gate", "ed25519"), d.key("ann", "ed25519")
	c := d.Clone(t, "ann", "p")
	c.Commit("a.txt", "a\n", "A")
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")

	// Zuul's words, with a message in quotes, and Jenkins' order.
	d.run("gate", gate, "gerrit review --project p --message 'Build succeeded: it'\\''s fine' --label Verified=1 --tag autogenerated:zuul:check 1,1")
	d.run("gate", gate, "gerrit review --project p 1,1 --message 'Build Started' --verified 1 --tag autogenerated:jenkins")
	out, err := d.command("ann", ann, "gerrit review --code-review=+2 1,1").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), `Applying label "Code-Review": 2 is restricted`)
	out, err = d.command("ann", ann, "gerrit review --nonsense 1,1").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), `fatal: "--nonsense" is not a valid option`)

	d.run("admin", admin, "gerrit review "+c.Git("rev-parse", "HEAD")+" --code-review=+2 --submit")
	change, err := d.Change(t.Context(), nil, 1)
	require.NoError(t, err)
	assert.Equal(t, review.StatusMerged, change.Status)
	detail, err := d.Detail(t.Context(), change, review.WantMessages)
	require.NoError(t, err)
	assert.Equal(t, "Patch Set 1: Verified+1\n\nBuild succeeded: it's fine", detail.Messages[1].Text)
	assert.Equal(t, "autogenerated:zuul:check", detail.Messages[1].Tag)
}

func TestStreamEventsFollowsAndResumes(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.Project(t, "p")
	key := d.key("gate", "ed25519")
	after := d.LastEvent()
	cmd := d.command("gate", key, "gerrit", "stream-events", "--after", fmt.Sprint(after))
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)

	c := d.Clone(t, "ann", "p")
	for _, name := range []string{"a", "b"} {
		c.Commit(name, name, "Add "+name)
		c.Git("push", "-q", "origin", "HEAD:refs/for/main")
		require.True(t, lines.Scan())
		var event struct {
			Type   string
			Change struct{ Subject string }
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &event))
		assert.Equal(t, "patchset-created", event.Type)
		assert.Equal(t, "Add "+name, event.Change.Subject)
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
}

func TestAdministratorsMakeProjectsBranchesAndAccounts(t *testing.T) {
	t.Parallel()
	d := open(t)
	admin, ann := d.key("admin", "ed25519"), d.key("ann", "ed25519")
	out, err := d.command("ann", ann, "gerrit create-project x").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "fatal: create project not permitted")

	d.run("admin", admin, "gerrit create-project one/two --empty-commit")
	d.run("admin", admin, "gerrit create-project --empty-commit --name three")
	assert.Equal(t, "one/two\nthree\n", d.run("admin", admin, "gerrit ls-projects"))
	d.run("admin", admin, "gerrit create-branch one/two stable master")
	b, err := d.Branch(t.Context(), nil, "one/two", "stable")
	require.NoError(t, err)
	assert.NotEmpty(t, b.Revision)
	d.run("admin", admin, "gerrit create-account --email new@example.com newcomer")
	out, err = d.command("admin", admin, "gerrit create-account newcomer").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "fatal: username 'newcomer' already exists")

	c := d.Clone(t, "ann", "three")
	c.Commit("a", "a", "A")
	c.Git("push", "-q", "origin", "HEAD:refs/for/master")
	d.run("ann", ann, "gerrit set-reviewers -a newcomer -p three 1")
	d.run("ann", ann, "gerrit set-topic 1 --topic letters")
	change, err := d.Change(t.Context(), nil, 1)
	require.NoError(t, err)
	assert.Equal(t, "letters", change.Topic)
}
