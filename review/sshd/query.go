package sshd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// stats is the row after the changes.
type stats struct {
	Type   string `json:"type"`
	Rows   int    `json:"rowCount"`
	Millis int64  `json:"runTimeMilliseconds"`
	More   bool   `json:"moreChanges"`
}

// problem is the only row of a query that failed.
type problem struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// query searches changes and writes a row for each.
func (ss *session) query(ctx context.Context, args []string) error {
	o, err := parseOptions(queryWords(args), valued("format"), valued("start", "S"), valued("limit", "n"), flag("no-limit"),
		flag("current-patch-set"), flag("patch-sets"), flag("all-approvals"), flag("files"), flag("comments"), flag("commit-message"),
		flag("dependencies"), flag("submit-records"), flag("all-reviewers"))
	if err != nil {
		return err
	}
	out := bufio.NewWriter(ss.channel)
	write := writeText
	switch strings.ToUpper(o.get("format")) {
	case "JSON":
		write = writeJSON
	case "TEXT", "":
	default:
		return fault.New(fault.BadRequest, "\"%s\" is not a valid value for \"--format\"", o.get("format"))
	}
	err = ss.rows(ctx, o, func(row any) error { return write(out, row) })
	if err != nil && fault.KindOf(err) != fault.Internal {
		err = write(out, problem{"error", err.Error()})
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// queryWords keeps the search language's "-is:open" from looking like an
// option: no option of the command has a colon.
func queryWords(args []string) []string {
	words := make([]string, 0, len(args)+1)
	var terms []string
	for _, a := range args {
		if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, ":") {
			terms = append(terms, a)
			continue
		}
		words = append(words, a)
	}
	if len(terms) == 0 {
		return words
	}
	return append(append(words, "--"), terms...)
}

func (ss *session) rows(ctx context.Context, o *options, write func(any) error) error {
	began := time.Now()
	if len(o.args) == 0 {
		return fault.New(fault.BadRequest, "a query is required")
	}
	if o.has("files") && !o.has("patch-sets") && !o.has("current-patch-set") {
		return fault.New(fault.BadRequest, "--files option needs --patch-sets or --current-patch-set")
	}
	q, err := ss.server.config.Compile(ctx, ss.caller, strings.Join(o.args, " "))
	if err != nil {
		return err
	}
	if q.Start, err = o.number("start"); err != nil {
		return err
	}
	if n, err := o.number("limit"); err != nil {
		return err
	} else if n > 0 {
		q.Limit = n
	}
	changes, more, err := ss.service.Search(ctx, ss.caller, q)
	if err != nil {
		return err
	}
	for len(changes) > 0 { // in batches, so that memory is bounded
		batch := changes[:min(len(changes), 50)]
		changes = changes[len(batch):]
		if err := ss.batch(ctx, o, batch, write); err != nil {
			return err
		}
		q.Start += len(batch)
		if len(changes) == 0 && more && o.has("no-limit") {
			if changes, more, err = ss.service.Search(ctx, ss.caller, q); err != nil {
				return err
			}
		}
	}
	first, err := o.number("start")
	if err != nil {
		return err
	}
	return write(stats{"stats", q.Start - first, time.Since(began).Milliseconds(), more})
}

// batch writes the rows of some changes.
func (ss *session) batch(ctx context.Context, o *options, changes []review.Change, write func(any) error) error {
	var want review.Want
	for _, w := range []struct {
		option string
		want   review.Want
	}{
		{"current-patch-set", review.WantCurrent | review.WantVotes},
		{"commit-message", review.WantCurrent},
		{"patch-sets", review.WantPatchSets},
		{"all-approvals", review.WantPatchSets | review.WantVotes},
		{"files", review.WantFiles},
		{"comments", review.WantMessages | review.WantComments},
		{"submit-records", review.WantRequirements},
		{"all-reviewers", review.WantReviewers},
	} {
		if o.has(w.option) {
			want |= w.want
		}
	}
	details, err := ss.service.Details(ctx, changes, want)
	if err != nil {
		return err
	}
	for i := range details {
		row, err := ss.row(ctx, o, &details[i])
		if err != nil {
			return err
		}
		if err := write(row); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(w io.Writer, row any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(row)
}

// writeText writes a row for people: names and values, indented as they nest.
func writeText(w io.Writer, row any) error {
	text, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("encode row: %w", err)
	}
	if c, ok := row.(*review.ChangeAttribute); ok {
		fmt.Fprintf(w, "change %s\n", c.ID)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := textValue(w, d, "", 0); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w)
	return err
}

// textValue writes the decoder's next value under a name.
func textValue(w io.Writer, d *json.Decoder, name string, depth int) error {
	token, err := d.Token()
	if err != nil {
		return fmt.Errorf("write row: %w", err)
	}
	indent := strings.Repeat("  ", depth)
	delim, nested := token.(json.Delim)
	if !nested {
		value := strings.ReplaceAll(fmt.Sprint(token), "\n", "\n"+indent+"  ")
		_, err := fmt.Fprintf(w, "%s%s: %s\n", indent, name, value)
		return err
	}
	if name != "" {
		fmt.Fprintf(w, "%s%s:\n", indent, name)
	}
	for d.More() {
		member := name
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return fmt.Errorf("write row: %w", err)
			}
			member = fmt.Sprint(key)
		}
		if err := textValue(w, d, member, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
