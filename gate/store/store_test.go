package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/findings"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/store"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func change(n int) queue.Change {
	return queue.Change{Key: queue.Key{Number: n, PatchSet: 2}, Project: "p", Branch: "main", Revision: "abc", Ref: "refs/changes/01/1/2", Subject: "s", Owner: "o", URL: "u"}
}

// filled has two build sets with a build each, the first one ended.
func filled(t *testing.T) *store.Store {
	t.Helper()
	s := open(t)
	for i, name := range []string{"one", "two"} {
		at := began.Add(time.Duration(i) * time.Hour)
		require.NoError(t, s.AddBuildset(t.Context(), store.Buildset{UUID: "set-" + name, Pipeline: "check", Change: change(i + 1), Base: []queue.Key{{Number: 9, PatchSet: 1}}, Began: at}))
		require.NoError(t, s.AddBuild(t.Context(), store.Build{UUID: name, Buildset: "set-" + name, Job: "unit", Try: 1, Voting: true, Queued: at}))
	}
	require.NoError(t, s.SetMerged(t.Context(), "set-one", "c", "t"))
	require.NoError(t, s.BeginBuild(t.Context(), "one", began.Add(time.Second)))
	require.NoError(t, s.EndBuild(t.Context(), store.Build{
		UUID: "one", Result: queue.Success, Detail: "d", Label: "go", Node: "n", Findings: findings.Findings{Tests: []string{"TestA"}},
		Timings: store.Timings{Boot: time.Second}, Ended: began.Add(11 * time.Second),
	}))
	require.NoError(t, s.EndBuildset(t.Context(), "set-one", "SUCCESS", "m", began.Add(12*time.Second)))
	return s
}

func TestStateIsStoredAndReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gate", "gate.db")
	s, err := store.Open(t.Context(), file)
	require.NoError(t, err)
	none, err := s.State(t.Context())
	require.NoError(t, err)
	assert.Nil(t, none)
	state := queue.New("x", queue.Pipeline{Name: "check", Manager: queue.Independent})
	state.Apply(queue.Enqueue{Pipeline: "check", Queue: "q", Change: change(1), At: began})
	require.NoError(t, s.SaveState(t.Context(), state))
	require.NoError(t, s.Close())

	s, err = store.Open(t.Context(), file)
	require.NoError(t, err)
	defer s.Close()
	read, err := s.State(t.Context())
	require.NoError(t, err)
	assert.Equal(t, state.Pipelines, read.Pipelines)
}

func TestDatabaseIsItsOwnersOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gate.db")
	require.NoError(t, os.WriteFile(file, nil, 0o644)) // as an older gate left it
	s, err := store.Open(t.Context(), file)
	require.NoError(t, err)
	defer s.Close()
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}

func TestMetaKeepsItsFirstValue(t *testing.T) {
	s := open(t)
	first, err := s.Meta(t.Context(), "instance", func() string { return "a" })
	require.NoError(t, err)
	second, err := s.Meta(t.Context(), "instance", func() string { return "b" })
	require.NoError(t, err)
	assert.Equal(t, "a", first)
	assert.Equal(t, "a", second)
}

func TestBuildIsReadAsItWasRecorded(t *testing.T) {
	s := filled(t)
	b, err := s.Build(t.Context(), "one")
	require.NoError(t, err)
	assert.Equal(t, store.Build{
		UUID: "one", Buildset: "set-one", Job: "unit", Try: 1, Voting: true, Result: queue.Success, Detail: "d", Final: true, Label: "go", Node: "n",
		Findings: findings.Findings{Tests: []string{"TestA"}}, Timings: store.Timings{Boot: time.Second},
		Queued: began, Began: began.Add(time.Second), Ended: began.Add(11 * time.Second), Pipeline: "check", Change: change(1),
	}, b)
	set, err := s.Buildset(t.Context(), "set-one")
	require.NoError(t, err)
	assert.Equal(t, []store.Build{b}, set.Builds)
	assert.Equal(t, "t", set.Tree)
	assert.Equal(t, []queue.Key{{Number: 9, PatchSet: 1}}, set.Base)
	for _, uuid := range []string{"", "none"} {
		_, err = s.Build(t.Context(), uuid)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = s.Buildset(t.Context(), uuid)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}

func TestFilterChoosesBuilds(t *testing.T) {
	s := filled(t)
	yes, no := true, false
	for name, tt := range map[string]struct {
		filter store.Filter
		want   []string
	}{
		"all, newest first": {store.Filter{}, []string{"two", "one"}},
		"change":            {store.Filter{Change: 1}, []string{"one"}},
		"result":            {store.Filter{Result: "SUCCESS"}, []string{"one"}},
		"complete":          {store.Filter{Complete: &yes}, []string{"one"}},
		"running":           {store.Filter{Complete: &no}, []string{"two"}},
		"not voting":        {store.Filter{Voting: &no}, nil},
		"page":              {store.Filter{Limit: 1, Skip: 1}, []string{"one"}},
		"no SQL":            {store.Filter{Project: "' OR 1 = 1 --"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := s.Builds(t.Context(), tt.filter)
			require.NoError(t, err)
			var got []string
			for _, b := range list {
				got = append(got, b.UUID)
			}
			assert.Equal(t, tt.want, got)
		})
	}
	sets, err := s.Buildsets(t.Context(), store.Filter{Complete: &yes})
	require.NoError(t, err)
	require.Len(t, sets, 1)
	assert.Equal(t, "set-one", sets[0].UUID)
}

func TestAbortBuildsEndsWhatWasLeftBehind(t *testing.T) {
	s := filled(t)
	n, err := s.AbortBuilds(t.Context(), began)
	require.NoError(t, err)
	assert.EqualValues(t, 1, n)
	b, err := s.Build(t.Context(), "two")
	require.NoError(t, err)
	assert.Equal(t, queue.Aborted, b.Result)
	assert.False(t, b.Final)
}

func TestEstimateIsTheMeanOfSuccesses(t *testing.T) {
	s := filled(t)
	d, err := s.Estimate(t.Context(), "p", "unit")
	require.NoError(t, err)
	assert.Equal(t, 10*time.Second, d)
	d, err = s.Estimate(t.Context(), "p", "other")
	require.NoError(t, err)
	assert.Zero(t, d)
}
