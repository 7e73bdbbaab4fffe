package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Filter chooses builds or build sets. Empty fields choose all.
type Filter struct {
	Project, Pipeline, Branch, Job string
	Change, PatchSet               int
	Result, UUID, Revision         string
	// Complete, if set, chooses those that have ended or have not.
	Complete *bool
	// Voting and Final are of builds only.
	Voting, Final *bool
	// Limit bounds the answer (0: 50, at most 1000), Skip leaves out the
	// first ones.
	Limit, Skip int
}

// where collects conditions and their arguments.
type where struct {
	conditions []string
	args       []any
}

func (w *where) is(column string, value any) {
	w.args = append(w.args, value)
	w.conditions = append(w.conditions, column+" = $"+strconv.Itoa(len(w.args)))
}

func (w *where) text(column, value string) {
	if value != "" {
		w.is(column, value)
	}
}

func (w *where) number(column string, value int) {
	if value != 0 {
		w.is(column, value)
	}
}

func (w *where) ended(table string, complete *bool) {
	if complete == nil {
		return
	}
	if *complete {
		w.conditions = append(w.conditions, table+".ended > 0")
	} else {
		w.conditions = append(w.conditions, table+".ended = 0")
	}
}

func (w *where) clause() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

// page appends the order and the bounds of the answer.
func (w *where) page(order string, f Filter) string {
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	w.args = append(w.args, min(limit, 1000), max(f.Skip, 0))
	n := len(w.args)
	return fmt.Sprintf("%s ORDER BY %s DESC LIMIT $%d OFFSET $%d", w.clause(), order, n-1, n)
}

// ofSet applies the conditions on the build set.
func (w *where) ofSet(f Filter) {
	w.text("s.project", f.Project)
	w.text("s.pipeline", f.Pipeline)
	w.text("s.branch", f.Branch)
	w.number("s.change", f.Change)
	w.number("s.patch_set", f.PatchSet)
	w.text("s.revision", f.Revision)
}

const setColumns = `s.uuid, s.pipeline, s.project, s.branch, s.change, s.patch_set, s.revision, s.ref, s.subject, s.owner, s.url,
	s.base, s.commit_id, s.tree, s.result, s.message, s.began, s.ended`

const buildColumns = `b.uuid, b.buildset, b.job, b.try, b.voting, b.result, b.detail, b.final, b.label, b.node, b.findings, b.timings,
	b.queued, b.began, b.ended, s.pipeline, s.project, s.branch, s.change, s.patch_set, s.revision, s.ref, s.subject, s.owner, s.url`

// Builds returns builds, newest first.
func (s *Store) Builds(ctx context.Context, f Filter) ([]Build, error) {
	var w where
	w.ofSet(f)
	w.text("b.job", f.Job)
	w.text("b.result", f.Result)
	w.text("b.uuid", f.UUID)
	w.ended("b", f.Complete)
	if f.Voting != nil {
		w.is("b.voting", *f.Voting)
	}
	if f.Final != nil {
		w.is("b.final", *f.Final)
	}
	return s.builds(ctx, "SELECT "+buildColumns+" FROM builds b JOIN buildsets s ON s.uuid = b.buildset"+w.page("b.queued", f), w.args...)
}

// Build returns a build, or ErrNotFound.
func (s *Store) Build(ctx context.Context, uuid string) (Build, error) {
	list, err := s.Builds(ctx, Filter{UUID: uuid})
	if err != nil {
		return Build{}, err
	}
	if uuid == "" || len(list) == 0 {
		return Build{}, fmt.Errorf("build %s: %w", uuid, ErrNotFound)
	}
	return list[0], nil
}

func (s *Store) builds(ctx context.Context, query string, args ...any) ([]Build, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("select builds: %w", err)
	}
	defer rows.Close()
	var list []Build
	for rows.Next() {
		b, err := scanBuild(rows)
		if err != nil {
			return nil, fmt.Errorf("select builds: %w", err)
		}
		list = append(list, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("select builds: %w", err)
	}
	return list, nil
}

func scanBuild(rows *sql.Rows) (Build, error) {
	var b Build
	var found, timings []byte
	var queued, began, ended int64
	c := &b.Change
	err := rows.Scan(&b.UUID, &b.Buildset, &b.Job, &b.Try, &b.Voting, &b.Result, &b.Detail, &b.Final, &b.Label, &b.Node, &found, &timings,
		&queued, &began, &ended, &b.Pipeline, &c.Project, &c.Branch, &c.Number, &c.PatchSet, &c.Revision, &c.Ref, &c.Subject, &c.Owner, &c.URL)
	if err != nil {
		return b, err
	}
	b.Queued, b.Began, b.Ended = fromMicros(queued), fromMicros(began), fromMicros(ended)
	if err := json.Unmarshal(found, &b.Findings); err != nil {
		return b, err
	}
	return b, json.Unmarshal(timings, &b.Timings)
}

// Buildsets returns build sets, newest first, without their builds.
func (s *Store) Buildsets(ctx context.Context, f Filter) ([]Buildset, error) {
	var w where
	w.ofSet(f)
	w.text("s.result", f.Result)
	w.text("s.uuid", f.UUID)
	w.ended("s", f.Complete)
	//nolint:gosec // the conditions are constants, their values are parameters
	rows, err := s.db.QueryContext(ctx, "SELECT "+setColumns+" FROM buildsets s"+w.page("s.began", f), w.args...)
	if err != nil {
		return nil, fmt.Errorf("select build sets: %w", err)
	}
	defer rows.Close()
	var list []Buildset
	for rows.Next() {
		b, err := scanBuildset(rows)
		if err != nil {
			return nil, fmt.Errorf("select build sets: %w", err)
		}
		list = append(list, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("select build sets: %w", err)
	}
	return list, nil
}

func scanBuildset(rows *sql.Rows) (Buildset, error) {
	var b Buildset
	var base []byte
	var began, ended int64
	c := &b.Change
	err := rows.Scan(&b.UUID, &b.Pipeline, &c.Project, &c.Branch, &c.Number, &c.PatchSet, &c.Revision, &c.Ref, &c.Subject, &c.Owner, &c.URL,
		&base, &b.Commit, &b.Tree, &b.Result, &b.Message, &began, &ended)
	if err != nil {
		return b, err
	}
	b.Began, b.Ended = fromMicros(began), fromMicros(ended)
	return b, json.Unmarshal(base, &b.Base)
}

// Buildset returns a build set with its builds, first try first, or
// ErrNotFound.
func (s *Store) Buildset(ctx context.Context, uuid string) (Buildset, error) {
	list, err := s.Buildsets(ctx, Filter{UUID: uuid})
	if err != nil {
		return Buildset{}, err
	}
	if uuid == "" || len(list) == 0 {
		return Buildset{}, fmt.Errorf("build set %s: %w", uuid, ErrNotFound)
	}
	b := list[0]
	b.Builds, err = s.builds(ctx, "SELECT "+buildColumns+" FROM builds b JOIN buildsets s ON s.uuid = b.buildset WHERE b.buildset = $1 ORDER BY b.queued, b.try", uuid)
	return b, err
}
