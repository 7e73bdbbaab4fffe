package review

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// accountSource gives the accounts of rows by their ids.
type accountSource struct {
	byID map[int64]Account
}

// loadAccounts reads the accounts of the given ids.
func loadAccounts(ctx context.Context, q querier, ids map[int64]bool) (accountSource, error) {
	source := accountSource{byID: make(map[int64]Account, len(ids))}
	list := make([]int64, 0, len(ids))
	for id := range ids {
		list = append(list, id)
	}
	for chunk := range chunks(list) {
		condition, args := inList("id", chunk)
		accounts, err := selectAccounts(ctx, q, condition, args...)
		if err != nil {
			return source, err
		}
		for _, a := range accounts {
			source.byID[a.ID] = a
		}
	}
	return source, nil
}

// chunks cuts a list into parts that fit into one statement's parameters.
func chunks(list []int64) func(yield func([]int64) bool) {
	const size = 500
	return func(yield func([]int64) bool) {
		for len(list) > 0 {
			n := min(size, len(list))
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// inList is "column IN ($1, …)" and its arguments.
func inList(column string, ids []int64) (string, []any) {
	args := make([]any, len(ids))
	marks := make([]string, len(ids))
	for i, id := range ids {
		args[i] = id
		marks[i] = fmt.Sprintf("$%d", i+1)
	}
	return column + " IN (" + strings.Join(marks, ", ") + ")", args
}

type changeRow struct {
	Change
	owner                       int64
	submitter                   sql.NullInt64
	hashtags                    sql.NullString
	created, updated, submitted int64
}

// selectChanges reads "changes c"; rest begins with WHERE or is empty.
func selectChanges(ctx context.Context, q querier, rest string, args ...any) ([]Change, error) {
	rows, err := q.QueryContext(ctx, `SELECT c.number, c.project, c.branch, c.change_id, c.owner, c.status, c.patch_set,
		c.subject, c.topic, c.wip, c.private, c.created, c.updated, c.submitted, c.submitter, c.merged_as,
		(SELECT group_concat(tag, char(10)) FROM hashtags h WHERE h.change = c.number)
		FROM changes c `+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("select changes: %w", err)
	}
	all, err := collect(rows, func(r *changeRow) []any {
		return []any{&r.Number, &r.Project, &r.Branch, &r.ID, &r.owner, &r.Status, &r.PatchSet,
			&r.Subject, &r.Topic, &r.WIP, &r.Private, &r.created, &r.updated, &r.submitted, &r.submitter, &r.MergedAs, &r.hashtags}
	})
	if err != nil {
		return nil, err
	}
	ids := map[int64]bool{}
	for i := range all {
		ids[all[i].owner] = true
		if all[i].submitter.Valid {
			ids[all[i].submitter.Int64] = true
		}
	}
	accounts, err := loadAccounts(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	changes := make([]Change, len(all))
	for i := range all {
		changes[i] = all[i].change(accounts)
	}
	return changes, nil
}

func (r *changeRow) change(accounts accountSource) Change {
	c := r.Change
	c.Owner = accounts.byID[r.owner]
	c.Created, c.Updated, c.Submitted = fromMicros(r.created), fromMicros(r.updated), fromMicros(r.submitted)
	if r.submitter.Valid {
		submitter := accounts.byID[r.submitter.Int64]
		c.Submitter = &submitter
	}
	if r.hashtags.String != "" {
		c.Hashtags = strings.Split(r.hashtags.String, "\n")
	}
	return c
}

// selectChange is the only change of a condition, or nil.
func selectChange(ctx context.Context, q querier, rest string, args ...any) (*Change, error) {
	all, err := selectChanges(ctx, q, rest+" LIMIT 1", args...)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

type patchSetRow struct {
	PatchSet
	parents                   string
	uploader, created         int64
	authorTime, committerTime int64
	authorZone, committerZone int
}

// selectPatchSets reads "patch_sets p"; rest begins with WHERE.
func selectPatchSets(ctx context.Context, q querier, rest string, args ...any) ([]PatchSet, error) {
	rows, err := q.QueryContext(ctx, `SELECT p.change, p.number, p.revision, p.tree, p.parents, p.kind, p.uploader, p.created,
		p.author_name, p.author_email, p.author_time, p.author_zone,
		p.committer_name, p.committer_email, p.committer_time, p.committer_zone,
		p.message, p.description, p.insertions, p.deletions FROM patch_sets p `+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("select patch sets: %w", err)
	}
	all, err := collect(rows, func(r *patchSetRow) []any {
		return []any{&r.Change, &r.Number, &r.Revision, &r.Tree, &r.parents, &r.Kind, &r.uploader, &r.created,
			&r.Author.Name, &r.Author.Email, &r.authorTime, &r.authorZone,
			&r.Committer.Name, &r.Committer.Email, &r.committerTime, &r.committerZone,
			&r.Message, &r.Description, &r.Insertions, &r.Deletions}
	})
	if err != nil {
		return nil, err
	}
	ids := map[int64]bool{}
	for i := range all {
		ids[all[i].uploader] = true
	}
	accounts, err := loadAccounts(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	sets := make([]PatchSet, len(all))
	for i := range all {
		r := &all[i]
		sets[i] = r.PatchSet
		sets[i].Parents = strings.Fields(r.parents)
		sets[i].Uploader = accounts.byID[r.uploader]
		sets[i].Created = fromMicros(r.created)
		sets[i].Author.When = zoned(r.authorTime, r.authorZone)
		sets[i].Committer.When = zoned(r.committerTime, r.committerZone)
	}
	return sets, nil
}

// zoned is a time of microseconds since 1970 in a zone minutes east of UTC.
func zoned(us int64, minutes int) time.Time {
	return time.UnixMicro(us).In(time.FixedZone("", minutes*60))
}

// zone is the minutes east of UTC of a time's zone.
func zone(t time.Time) int {
	_, seconds := t.Zone()
	return seconds / 60
}

func insertChange(ctx context.Context, t *tx, c *Change) error {
	return t.exec(ctx, "insert change", `INSERT INTO changes (number, project, branch, change_id, owner, patch_set, subject, topic,
		wip, private, created, updated) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)`,
		c.Number, c.Project, c.Branch, c.ID, c.Owner.ID, c.PatchSet, c.Subject, c.Topic, c.WIP, c.Private, micros(t.at))
}

func insertPatchSet(ctx context.Context, t *tx, p *PatchSet, files []File) error {
	p.Created = t.at
	for _, f := range files {
		p.Insertions += f.Insertions
		p.Deletions += f.Deletions
	}
	err := t.exec(ctx, "insert patch set", `INSERT INTO patch_sets (change, number, revision, tree, parents, kind, uploader, created,
		author_name, author_email, author_time, author_zone, committer_name, committer_email, committer_time, committer_zone,
		message, description, insertions, deletions)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		p.Change, p.Number, p.Revision, p.Tree, strings.Join(p.Parents, " "), p.Kind, p.Uploader.ID, micros(t.at),
		p.Author.Name, p.Author.Email, p.Author.When.UnixMicro(), zone(p.Author.When),
		p.Committer.Name, p.Committer.Email, p.Committer.When.UnixMicro(), zone(p.Committer.When),
		p.Message, p.Description, p.Insertions, p.Deletions)
	if err != nil {
		return err
	}
	for _, parent := range p.Parents {
		if err := t.exec(ctx, "insert parent", `INSERT INTO patch_set_parents (parent, change, patch_set) VALUES ($1, $2, $3)
			ON CONFLICT DO NOTHING`, parent, p.Change, p.Number); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := t.exec(ctx, "insert file", `INSERT INTO files (change, patch_set, path, old_path, status, insertions, deletions, is_binary)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			p.Change, p.Number, f.Path, f.OldPath, f.Status, f.Insertions, f.Deletions, f.Binary); err != nil {
			return err
		}
	}
	return nil
}

// touch says that a change was updated now.
func touch(ctx context.Context, t *tx, c *Change) error {
	c.Updated = t.at
	return t.exec(ctx, "touch change", `UPDATE changes SET updated = $1 WHERE number = $2`, micros(t.at), c.Number)
}

// placeholder is the n-th parameter of a query, from 1.
func placeholder(n int) string { return "$" + strconv.Itoa(n) }
