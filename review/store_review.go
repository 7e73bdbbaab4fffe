package review

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
)

// newID is a random id of 40 hex digits.
func newID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// withAccounts fills the accounts of rows: id tells where a row's account id
// is, 0 for none, set puts the account.
func withAccounts[T any](ctx context.Context, q querier, rows []T, id func(*T) int64, set func(*T, Account)) error {
	ids := map[int64]bool{}
	for i := range rows {
		ids[id(&rows[i])] = true
	}
	delete(ids, 0)
	accounts, err := loadAccounts(ctx, q, ids)
	if err != nil {
		return err
	}
	for i := range rows {
		if a, ok := accounts.byID[id(&rows[i])]; ok {
			set(&rows[i], a)
		}
	}
	return nil
}

// selectVotes reads votes; rest begins with WHERE.
func selectVotes(ctx context.Context, q querier, rest string, args ...any) ([]Vote, error) {
	rows, err := q.QueryContext(ctx, `SELECT change, patch_set, label, account, value, granted, tag, copied
		FROM votes `+rest+` ORDER BY change, patch_set, label, granted, account`, args...)
	if err != nil {
		return nil, fmt.Errorf("select votes: %w", err)
	}
	votes, err := collect(rows, func(v *Vote) []any {
		return []any{&v.Change, &v.PatchSet, &v.Label, &v.Account.ID, &v.Value, (*timeColumn)(&v.Granted), &v.Tag, &v.Copied}
	})
	if err != nil {
		return nil, err
	}
	return votes, withAccounts(ctx, q, votes,
		func(v *Vote) int64 { return v.Account.ID }, func(v *Vote, a Account) { v.Account = a })
}

// putVote sets a vote; the value 0 removes it.
func putVote(ctx context.Context, t *tx, v Vote) error {
	if v.Value == 0 {
		return t.exec(ctx, "delete vote", `DELETE FROM votes WHERE change = $1 AND patch_set = $2 AND label = $3 AND account = $4`,
			v.Change, v.PatchSet, v.Label, v.Account.ID)
	}
	return t.exec(ctx, "set vote", `INSERT INTO votes (change, patch_set, label, account, value, granted, tag, copied)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (change, patch_set, label, account) DO UPDATE SET
		value = excluded.value, granted = excluded.granted, tag = excluded.tag, copied = excluded.copied`,
		v.Change, v.PatchSet, v.Label, v.Account.ID, v.Value, micros(v.Granted), v.Tag, v.Copied)
}

// selectReviewers reads reviewers; rest begins with WHERE.
func selectReviewers(ctx context.Context, q querier, rest string, args ...any) ([]ReviewerEntry, error) {
	rows, err := q.QueryContext(ctx, `SELECT change, account, state, added FROM reviewers `+rest+` ORDER BY change, added, account`, args...)
	if err != nil {
		return nil, fmt.Errorf("select reviewers: %w", err)
	}
	entries, err := collect(rows, func(r *ReviewerEntry) []any {
		return []any{&r.Change, &r.Account.ID, &r.State, (*timeColumn)(&r.Added)}
	})
	if err != nil {
		return nil, err
	}
	return entries, withAccounts(ctx, q, entries,
		func(r *ReviewerEntry) int64 { return r.Account.ID }, func(r *ReviewerEntry, a Account) { r.Account = a })
}

// selectMessages reads messages; rest begins with WHERE.
func selectMessages(ctx context.Context, q querier, rest string, args ...any) ([]Message, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, change, patch_set, author, created, tag, text FROM messages `+rest+` ORDER BY change, created, rowid`, args...)
	if err != nil {
		return nil, fmt.Errorf("select messages: %w", err)
	}
	type row struct {
		Message
		author sql.NullInt64
	}
	all, err := collect(rows, func(r *row) []any {
		return []any{&r.ID, &r.Change, &r.PatchSet, &r.author, (*timeColumn)(&r.Created), &r.Tag, &r.Text}
	})
	if err != nil {
		return nil, err
	}
	err = withAccounts(ctx, q, all, func(r *row) int64 { return r.author.Int64 }, func(r *row, a Account) { r.Author = &a })
	messages := make([]Message, len(all))
	for i, r := range all {
		messages[i] = r.Message
	}
	return messages, err
}

// addMessage adds an entry about the current patch set to a change's history.
func addMessage(ctx context.Context, t *tx, c *Change, author *Account, tag, text string) error {
	return insertMessage(ctx, t, c, Message{ID: newID(), PatchSet: c.PatchSet, Author: author, Tag: tag, Text: text})
}

// insertMessage adds an entry to a change's history and touches the change.
func insertMessage(ctx context.Context, t *tx, c *Change, m Message) error {
	var author any
	if m.Author != nil {
		author = m.Author.ID
	}
	err := t.exec(ctx, "insert message", `INSERT INTO messages (id, change, patch_set, author, created, tag, text)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, m.ID, c.Number, m.PatchSet, author, micros(t.at), m.Tag, m.Text)
	if err != nil {
		return err
	}
	return touch(ctx, t, c)
}

const commentColumns = `id, change, patch_set, path, side, line, start_line, start_char, end_line, end_char, in_reply_to,
	author, updated, message, unresolved, tag, message_id`

// selectComments reads comments and drafts; rest begins with WHERE.
func selectComments(ctx context.Context, q querier, rest string, args ...any) ([]Comment, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+commentColumns+` FROM comments `+rest+` ORDER BY change, path, patch_set, line, updated, rowid`, args...)
	if err != nil {
		return nil, fmt.Errorf("select comments: %w", err)
	}
	comments, err := collect(rows, func(c *Comment) []any {
		return []any{&c.ID, &c.Change, &c.PatchSet, &c.Path, &c.Side, &c.Line,
			&c.Range.StartLine, &c.Range.StartChar, &c.Range.EndLine, &c.Range.EndChar, &c.InReplyTo,
			&c.Author.ID, (*timeColumn)(&c.Updated), &c.Message, &c.Unresolved, &c.Tag, &c.MessageID}
	})
	if err != nil {
		return nil, err
	}
	return comments, withAccounts(ctx, q, comments,
		func(c *Comment) int64 { return c.Author.ID }, func(c *Comment, a Account) { c.Author = a })
}

func insertComment(ctx context.Context, t *tx, c *Comment, draft bool) error {
	return t.exec(ctx, "insert comment", `INSERT INTO comments (`+commentColumns+`, draft)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		c.ID, c.Change, c.PatchSet, c.Path, c.Side, c.Line,
		c.Range.StartLine, c.Range.StartChar, c.Range.EndLine, c.Range.EndChar, c.InReplyTo,
		c.Author.ID, micros(c.Updated), c.Message, c.Unresolved, c.Tag, c.MessageID, draft)
}
