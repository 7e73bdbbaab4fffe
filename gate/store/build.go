package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/findings"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
)

// ErrNotFound is reported for a build or build set that is not known.
var ErrNotFound = errors.New("not found")

// Buildset is the record of all builds of a change for one state.
type Buildset struct {
	UUID     string
	Pipeline string
	Change   queue.Change
	// Base are the changes ahead that are in the state.
	Base         []queue.Key
	Commit, Tree string
	// Result is an item's result; empty: under way; CANCELED: thrown away.
	Result  string
	Message string
	Began   time.Time
	Ended   time.Time // zero: not yet
	// Builds are filled in by Store.Buildset only.
	Builds []Build
}

// Build is the record of a try of a job.
type Build struct {
	UUID     string
	Buildset string
	Job      string
	Try      int
	Voting   bool
	Result   queue.Result // empty: under way
	Detail   string
	// Final is false for a try whose place another one took.
	Final    bool
	Label    string
	Node     string
	Findings findings.Findings
	Timings  Timings
	Queued   time.Time
	Began    time.Time // when a machine was asked for
	Ended    time.Time
	// Pipeline and Change are those of the build set.
	Pipeline string
	Change   queue.Change
}

// Timings says where the time of a build went.
type Timings struct {
	Queue time.Duration `json:"queue"` // until a machine was asked for
	Boot  time.Duration `json:"boot"`  // until it answered
	Copy  time.Duration `json:"copy"`  // the tree
	Pre   time.Duration `json:"pre_run"`
	Run   time.Duration `json:"run"`
	Post  time.Duration `json:"post_run"`
	// Collect is the artifacts' time.
	Collect time.Duration `json:"collect"`
}

// AddBuildset records that a build set began.
func (s *Store) AddBuildset(ctx context.Context, b Buildset) error {
	base, err := json.Marshal(b.Base)
	if err != nil {
		return fmt.Errorf("store build set %s: %w", b.UUID, err)
	}
	_, err = s.db.ExecContext(ctx, `
		INSERT INTO buildsets (uuid, pipeline, project, branch, change, patch_set, revision, ref, subject, owner, url, base, began)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (uuid) DO NOTHING`,
		b.UUID, b.Pipeline, b.Change.Project, b.Change.Branch, b.Change.Number, b.Change.PatchSet,
		b.Change.Revision, b.Change.Ref, b.Change.Subject, b.Change.Owner, b.Change.URL, base, micros(b.Began))
	if err != nil {
		return fmt.Errorf("store build set %s: %w", b.UUID, err)
	}
	return nil
}

// SetMerged records the state that a build set tests.
func (s *Store) SetMerged(ctx context.Context, uuid, commit, tree string) error {
	return s.exec(ctx, "store state of build set "+uuid, `UPDATE buildsets SET commit_id = $1, tree = $2 WHERE uuid = $3`, commit, tree, uuid)
}

// EndBuildset records how a build set ended, unless it has ended before.
func (s *Store) EndBuildset(ctx context.Context, uuid, result, message string, at time.Time) error {
	return s.exec(ctx, "end build set "+uuid, `
		UPDATE buildsets SET result = $1, message = $2, ended = $3 WHERE uuid = $4 AND ended = 0`, result, message, micros(at), uuid)
}

// ResettleBuildset records another end of a build set that has ended.
func (s *Store) ResettleBuildset(ctx context.Context, uuid, result, message string) error {
	return s.exec(ctx, "settle build set "+uuid, `UPDATE buildsets SET result = $1, message = $2 WHERE uuid = $3`, result, message, uuid)
}

// AddBuild records that a build was asked for.
func (s *Store) AddBuild(ctx context.Context, b Build) error {
	return s.exec(ctx, "store build "+b.UUID, `
		INSERT INTO builds (uuid, buildset, job, try, voting, label, queued, result, ended) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (uuid) DO NOTHING`, b.UUID, b.Buildset, b.Job, b.Try, b.Voting, b.Label, micros(b.Queued), b.Result, micros(b.Ended))
}

// BeginBuild records that a machine is asked for.
func (s *Store) BeginBuild(ctx context.Context, uuid string, at time.Time) error {
	return s.exec(ctx, "begin build "+uuid, `UPDATE builds SET began = $1 WHERE uuid = $2`, micros(at), uuid)
}

// EndBuild records how a build ended: Result, Detail, Label, Node, Findings,
// Timings and Ended of b.
func (s *Store) EndBuild(ctx context.Context, b Build) error {
	found, err := json.Marshal(b.Findings)
	if err != nil {
		return fmt.Errorf("end build %s: %w", b.UUID, err)
	}
	timings, err := json.Marshal(b.Timings)
	if err != nil {
		return fmt.Errorf("end build %s: %w", b.UUID, err)
	}
	return s.exec(ctx, "end build "+b.UUID, `
		UPDATE builds SET result = $1, detail = $2, label = $3, node = $4, findings = $5, timings = $6, ended = $7 WHERE uuid = $8`,
		b.Result, b.Detail, b.Label, b.Node, found, timings, micros(b.Ended), b.UUID)
}

// SettleBuild records what the queue made of a build's result.
func (s *Store) SettleBuild(ctx context.Context, uuid string, r queue.Result, final bool) error {
	return s.exec(ctx, "settle build "+uuid, `UPDATE builds SET result = $1, final = $2 WHERE uuid = $3`, r, final, uuid)
}

// AbortBuilds ends the builds that a gate left behind that went away, and
// returns how many.
func (s *Store) AbortBuilds(ctx context.Context, at time.Time) (int64, error) {
	r, err := s.db.ExecContext(ctx, `UPDATE builds SET result = $1, final = $2, detail = $3, ended = $4 WHERE ended = 0`,
		queue.Aborted, false, "the gate was stopped while the build ran", micros(at))
	if err != nil {
		return 0, fmt.Errorf("end lost builds: %w", err)
	}
	return r.RowsAffected()
}

func (s *Store) exec(ctx context.Context, what, query string, args ...any) error {
	if _, err := s.db.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Estimate returns how long the last successful builds of a job took in the
// mean; zero if there is none.
func (s *Store) Estimate(ctx context.Context, project, job string) (time.Duration, error) {
	var micros sql.NullFloat64
	err := s.db.QueryRowContext(ctx, `
		SELECT avg(took) FROM (
			SELECT b.ended - b.began AS took FROM builds b JOIN buildsets s ON s.uuid = b.buildset
			WHERE b.job = $1 AND b.result = $2 AND s.project = $3 AND b.began > 0 ORDER BY b.queued DESC LIMIT 10)`,
		job, queue.Success, project).Scan(&micros)
	if err != nil {
		return 0, fmt.Errorf("estimate job %s: %w", job, err)
	}
	return time.Duration(micros.Float64) * time.Microsecond, nil
}
