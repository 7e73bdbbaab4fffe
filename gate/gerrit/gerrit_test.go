package gerrit_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/gerrit"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
)

func (s *server) client(dir string) *gerrit.Gerrit {
	s.t.Helper()
	g, err := gerrit.New(gerrit.Config{
		URL: s.http.URL + "/", SSH: s.ssh.Addr().String(), User: "gate", Password: "secret", Dir: dir,
		Pause: time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(s.t, err)
	return g
}

// watched is what Watch told.
type watched struct {
	connected chan bool
	touched   chan int
	lost      chan error
}

func (s *server) watch(g *gerrit.Gerrit) *watched {
	s.t.Helper()
	w := &watched{make(chan bool, 10), make(chan int, 10), make(chan error, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- g.Watch(ctx, source.Hooks{
			Connected: func() { w.connected <- true },
			Touched:   func(n int) { w.touched <- n },
			Lost:      func(err error) { w.lost <- err },
		})
	}()
	s.t.Cleanup(func() {
		cancel()
		assert.ErrorIs(s.t, <-done, context.Canceled)
	})
	return w
}

// within waits for a value from a real connection.
func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestWatchRegistersItsKeyAndFollowsEvents(t *testing.T) {
	s := newServer(t)
	w := s.watch(s.client(t.TempDir()))
	within(t, w.connected)
	s.emit(`{"type":"patchset-created","change":{"project":"p","number":12},"patchSet":{"number":1}}`)
	s.emit(`{"type":"ref-updated","refUpdate":{"project":"p","refName":"refs/heads/main"}}`)
	s.emit(`{"type":"comment-added","change":{"project":"p","number":"13"}}`)
	assert.Equal(t, 12, within(t, w.touched))
	assert.Equal(t, 13, within(t, w.touched), "older servers send numbers as text")
}

func TestC8WatchConnectsAgainAndSaysSo(t *testing.T) {
	s := newServer(t)
	w := s.watch(s.client(t.TempDir()))
	within(t, w.connected)
	s.cut()
	require.Error(t, within(t, w.lost))
	within(t, w.connected)
	s.emit(`{"type":"patchset-created","change":{"number":1}}`)
	assert.Equal(t, 1, within(t, w.touched))
}

func TestC8DroppedEventsAreALostConnection(t *testing.T) {
	s := newServer(t)
	w := s.watch(s.client(t.TempDir()))
	within(t, w.connected)
	s.emit(`{"type":"dropped-output"}`)
	require.ErrorContains(t, within(t, w.lost), "dropped events")
	within(t, w.connected)
}

func TestHostKeyIsTrustedOnFirstUseOnly(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	within(t, s.watch(s.client(dir)).connected)
	s.mu.Lock()
	s.host = newHostKey(t)
	s.mu.Unlock()
	w := s.watch(s.client(dir))
	require.ErrorContains(t, within(t, w.lost), "another host key")
}

func TestWrongPasswordIsSaid(t *testing.T) {
	s := newServer(t)
	g, err := gerrit.New(gerrit.Config{URL: s.http.URL, SSH: s.ssh.Addr().String(), User: "gate", Password: "wrong", Dir: t.TempDir(), Pause: time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.ErrorContains(t, within(t, s.watch(g).lost), "401")
	_, err = g.Change(t.Context(), 1)
	require.ErrorContains(t, err, "401")
}

const options = "o=CURRENT_REVISION&o=CURRENT_COMMIT&o=DETAILED_LABELS&o=DETAILED_ACCOUNTS&o=MESSAGES&o=SUBMIT_REQUIREMENTS"

// info is a ChangeInfo with Gerrit 3.x's fields.
const info = `{
  "id": "plugins%2Fa~12", "project": "plugins/a", "branch": "main", "subject": "Add it", "status": "NEW",
  "_number": 12, "owner": {"_account_id": 3, "name": "Dev Eloper", "username": "dev"},
  "current_revision": "abc", "revisions": {"abc": {"_number": 2, "ref": "refs/changes/12/12/2", "created": "2026-01-02 03:04:05.000000000"}},
  "labels": {"Verified": {"all": [{"_account_id": 7, "value": 1}]}, "Code-Review": {"all": [{"_account_id": 4, "value": 2, "name": "Rev"}, {"_account_id": 5, "value": 0}]}},
  "messages": [
    {"id": "1", "author": {"_account_id": 4}, "date": "2026-01-02 03:05:00.000000000", "message": "Patch Set 2: Code-Review+2", "_revision_number": 2},
    {"id": "2", "author": {"_account_id": 7}, "date": "2026-01-02 03:06:00.000000000", "message": "Build succeeded (check pipeline).", "_revision_number": 2},
    {"id": "3", "date": "2026-01-02 03:07:00.000000000", "message": "by the server", "_revision_number": 2}
  ],
  "submit_requirements": [{"name": "Code-Review", "status": "SATISFIED"}, {"name": "Verified", "status": "UNSATISFIED"}, {"name": "Docs", "status": "NOT_APPLICABLE"}]
}`

func TestChangeIsReadAsItStands(t *testing.T) {
	s := newServer(t)
	s.answers["changes/12?"+options] = info
	c, err := s.client(t.TempDir()).Change(t.Context(), 12)
	require.NoError(t, err)
	assert.Equal(t, queue.Change{
		Key: queue.Key{Number: 12, PatchSet: 2}, Project: "plugins/a", Branch: "main", Revision: "abc", Ref: "refs/changes/12/12/2",
		Subject: "Add it", Owner: "Dev Eloper", URL: s.http.URL + "/c/plugins/a/+/12",
	}, c.Change)
	assert.Equal(t, source.New, c.Status)
	assert.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), c.Uploaded)
	assert.Equal(t, []source.Vote{{Label: "Code-Review", Value: 2, By: "Rev"}, {Label: "Verified", Value: 1, By: "account 7", Own: true}}, c.Votes)
	assert.Equal(t, map[string]string{"Verified": "UNSATISFIED"}, c.Unmet)
	require.Len(t, c.Messages, 3)
	assert.Equal(t, []bool{false, true, false}, []bool{c.Messages[0].Own, c.Messages[1].Own, c.Messages[2].Own})
}

func TestMissingChangeIsNotFound(t *testing.T) {
	s := newServer(t)
	_, err := s.client(t.TempDir()).Change(t.Context(), 99)
	require.ErrorIs(t, err, source.ErrNotFound)
}

func TestOpenReadsAllPages(t *testing.T) {
	s := newServer(t)
	page := func(more bool) string {
		return "[" + strings.Replace(info, `"_number": 12,`, `"_number": 12, "_more_changes": `+map[bool]string{true: "true", false: "false"}[more]+",", 1) + "]"
	}
	s.answers["changes/?q=status%3Aopen&n=100&start=0&"+options] = page(true)
	s.answers["changes/?q=status%3Aopen&n=100&start=1&"+options] = page(false)
	n := 0
	require.NoError(t, s.client(t.TempDir()).Open(t.Context(), func(*source.Change) error { n++; return nil }))
	assert.Equal(t, 2, n)
}

func TestRelatedTellsNeedsAndNeeders(t *testing.T) {
	s := newServer(t)
	// 1 ← 2 ← 3 ← 4, descendants first, as Gerrit lists them; 5 is beside.
	entry := func(n int, commit, parent, status string) map[string]any {
		return map[string]any{"_change_number": n, "_revision_number": 1, "_current_revision_number": 1, "status": status,
			"commit": map[string]any{"commit": commit, "parents": []any{map[string]any{"commit": parent}}}}
	}
	s.answers["changes/3/revisions/1/related"] = map[string]any{"changes": []any{
		entry(4, "c4", "c3", "NEW"), entry(5, "c5", "c2", "NEW"), entry(3, "c3", "c2", "NEW"), entry(2, "c2", "c1", "NEW"), entry(1, "c1", "c0", "NEW"),
	}}
	needs, neededBy, err := s.client(t.TempDir()).Related(t.Context(), queue.Change{Key: queue.Key{Number: 3, PatchSet: 1}, Revision: "c3"})
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2}, needs, "furthest ahead first")
	assert.Equal(t, []int{4}, neededBy)
}

var aChange = queue.Change{Key: queue.Key{Number: 12, PatchSet: 2}, Project: "plugins/a", Revision: "abc"}

func TestReportVotesAndRemarks(t *testing.T) {
	s := newServer(t)
	require.NoError(t, s.client(t.TempDir()).Report(t.Context(), aChange, source.Report{
		Pipeline: "check", Message: strings.Repeat("x", 20_000), Labels: map[string]int{"Verified": -1}, Quiet: true,
		Comments: []source.Comment{{Path: ".gate.yaml", Line: 3, Message: "wrong"}},
	}))
	var in map[string]any
	require.NoError(t, json.Unmarshal(s.posted["changes/plugins%2Fa~12/revisions/abc/review"], &in))
	assert.LessOrEqual(t, len(in["message"].(string)), 16<<10, "Gerrit's limit")
	delete(in, "message")
	assert.Equal(t, map[string]any{
		"labels": map[string]any{"Verified": -1.0}, "strict_labels": false, "tag": "autogenerated:gatehouse:check", "notify": "NONE",
		"comments": map[string]any{".gate.yaml": []any{map[string]any{"line": 3.0, "message": "wrong", "unresolved": true}}},
	}, in)
}

func TestRefusalsAreTold(t *testing.T) {
	s := newServer(t)
	g := s.client(t.TempDir())
	require.NoError(t, g.Submit(t.Context(), aChange))
	for status, refused := range map[int]bool{http.StatusConflict: true, http.StatusForbidden: true, http.StatusInternalServerError: false, http.StatusServiceUnavailable: false} {
		s.mu.Lock()
		s.status["changes/plugins%2Fa~12/submit"] = status
		s.mu.Unlock()
		err := g.Submit(t.Context(), aChange)
		require.Error(t, err)
		assert.Equal(t, refused, errors.Is(err, source.ErrRefused), status)
		assert.ErrorContains(t, err, "the reason")
	}
}

func TestMergingReadsTheSubmitType(t *testing.T) {
	s := newServer(t)
	s.answers["changes/plugins%2Fa~12/revisions/abc/submit_type"] = `"REBASE_ALWAYS"`
	mode, err := s.client(t.TempDir()).Merging(t.Context(), aChange)
	require.NoError(t, err)
	assert.Equal(t, source.RebaseAlways, mode)
}

func TestPasswordIsNotInTheAddress(t *testing.T) {
	s := newServer(t)
	remote, config := s.client(t.TempDir()).Remote("plugins/a b")
	assert.Equal(t, s.http.URL+"/a/plugins/a%20b", remote)
	assert.Equal(t, "Authorization: Basic Z2F0ZTpzZWNyZXQ=", config["http.extraHeader"])
}
