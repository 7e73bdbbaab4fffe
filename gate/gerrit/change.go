package gerrit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
)

// wanted is what the gate asks of every change.
const wanted = "o=CURRENT_REVISION&o=CURRENT_COMMIT&o=DETAILED_LABELS&o=DETAILED_ACCOUNTS&o=MESSAGES&o=SUBMIT_REQUIREMENTS"

// stamp is Gerrit's form of a time, in UTC.
const stamp = `"2006-01-02 15:04:05.000000000"`

type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(data []byte) error {
	t, err := time.Parse(stamp, string(data))
	if err != nil {
		return fmt.Errorf("time %s: %w", data, err)
	}
	m.Time = t
	return nil
}

type accountInfo struct {
	ID       int64  `json:"_account_id"`
	Name     string `json:"name"`
	Username string `json:"username"`
	Email    string `json:"email"`
}

func (a accountInfo) called() string {
	for _, s := range []string{a.Name, a.Username, a.Email} {
		if s != "" {
			return s
		}
	}
	return "account " + strconv.FormatInt(a.ID, 10)
}

type changeInfo struct {
	Project         string      `json:"project"`
	Branch          string      `json:"branch"`
	Subject         string      `json:"subject"`
	Status          string      `json:"status"`
	Number          int         `json:"_number"`
	WorkInProgress  bool        `json:"work_in_progress"`
	Owner           accountInfo `json:"owner"`
	CurrentRevision string      `json:"current_revision"`
	Revisions       map[string]struct {
		Number  int    `json:"_number"`
		Ref     string `json:"ref"`
		Created moment `json:"created"`
	} `json:"revisions"`
	Labels map[string]struct {
		All []struct {
			accountInfo
			Value int `json:"value"`
		} `json:"all"`
	} `json:"labels"`
	Messages []struct {
		Author   *accountInfo `json:"author"`
		Date     moment       `json:"date"`
		Message  string       `json:"message"`
		Revision int          `json:"_revision_number"`
	} `json:"messages"`
	Requirements []struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	} `json:"submit_requirements"`
	More bool `json:"_more_changes"`
}

// Change describes a change as it stands.
func (g *Gerrit) Change(ctx context.Context, number int) (*source.Change, error) {
	var info changeInfo
	if err := g.get(ctx, "changes/"+strconv.Itoa(number)+"?"+wanted, &info); err != nil {
		if hasStatus(err, http.StatusNotFound) {
			return nil, fmt.Errorf("%w: %w", source.ErrNotFound, err)
		}
		return nil, fmt.Errorf("read change %d: %w", number, err)
	}
	return g.describe(ctx, &info)
}

// Open calls f with every open change, in pages.
func (g *Gerrit) Open(ctx context.Context, f func(*source.Change) error) error {
	for start := 0; ; {
		var page []changeInfo
		if err := g.get(ctx, fmt.Sprintf("changes/?q=%s&n=100&start=%d&%s", url.QueryEscape("status:open"), start, wanted), &page); err != nil {
			return fmt.Errorf("list open changes: %w", err)
		}
		for i := range page {
			c, err := g.describe(ctx, &page[i])
			if err != nil {
				return err
			}
			if err := f(c); err != nil {
				return err
			}
		}
		if len(page) == 0 || !page[len(page)-1].More {
			return nil
		}
		start += len(page)
	}
}

func (g *Gerrit) describe(ctx context.Context, info *changeInfo) (*source.Change, error) {
	self, err := g.self(ctx)
	if err != nil {
		return nil, err
	}
	revision, ok := info.Revisions[info.CurrentRevision]
	if !ok {
		return nil, fmt.Errorf("change %d: %w", info.Number, errors.New("the answer has no current revision"))
	}
	c := &source.Change{
		Change: queue.Change{
			Key:     queue.Key{Number: info.Number, PatchSet: revision.Number},
			Project: info.Project, Branch: info.Branch, Revision: info.CurrentRevision, Ref: revision.Ref,
			Subject: info.Subject, Owner: info.Owner.called(),
			URL: fmt.Sprintf("%s/c/%s/+/%d", g.config.URL, escapeProject(info.Project), info.Number),
		},
		Status: source.Status(info.Status), WIP: info.WorkInProgress, Uploaded: revision.Created.Time,
		Unmet: map[string]string{},
	}
	for _, label := range slices.Sorted(maps.Keys(info.Labels)) {
		for _, v := range info.Labels[label].All {
			if v.Value != 0 {
				c.Votes = append(c.Votes, source.Vote{Label: label, Value: v.Value, By: v.called(), Own: v.ID == self})
			}
		}
	}
	for _, m := range info.Messages {
		c.Messages = append(c.Messages, source.Message{
			Own: m.Author != nil && m.Author.ID == self, PatchSet: m.Revision, Text: m.Message, At: m.Date.Time,
		})
	}
	for _, r := range info.Requirements {
		if r.Status == "UNSATISFIED" || r.Status == "ERROR" {
			c.Unmet[r.Name] = r.Status
		}
	}
	return c, nil
}

// Related asks for the chain of commits that the change is part of.
func (g *Gerrit) Related(ctx context.Context, c queue.Change) (needs, neededBy []int, err error) {
	var answer struct {
		Changes []struct {
			Number  int    `json:"_change_number"`
			Current int    `json:"_current_revision_number"`
			Own     int    `json:"_revision_number"`
			Status  string `json:"status"`
			Commit  struct {
				ID      string `json:"commit"`
				Parents []struct {
					ID string `json:"commit"`
				} `json:"parents"`
			} `json:"commit"`
		} `json:"changes"`
	}
	if err := g.get(ctx, fmt.Sprintf("changes/%d/revisions/%d/related", c.Number, c.PatchSet), &answer); err != nil {
		return nil, nil, fmt.Errorf("read changes related to %d: %w", c.Number, err)
	}
	parents := map[string][]string{}
	for _, r := range answer.Changes {
		for _, p := range r.Commit.Parents {
			parents[r.Commit.ID] = append(parents[r.Commit.ID], p.ID)
		}
	}
	// Descendants come first: going backwards, what is needed comes before
	// what needs it.
	for _, r := range slices.Backward(answer.Changes) {
		switch {
		case r.Number == c.Number || r.Number == 0 || r.Status != "" && r.Status != string(source.New):
		case descends(parents, c.Revision, r.Commit.ID):
			needs = append(needs, r.Number)
		case descends(parents, r.Commit.ID, c.Revision):
			neededBy = append(neededBy, r.Number)
		}
	}
	return needs, neededBy, nil
}

// descends reports whether commit from has ancestor among the commits known.
func descends(parents map[string][]string, from, ancestor string) bool {
	seen := map[string]bool{}
	next := []string{from}
	for len(next) > 0 {
		id := next[0]
		next = next[1:]
		for _, p := range parents[id] {
			if p == ancestor {
				return true
			}
			if !seen[p] {
				seen[p] = true
				next = append(next, p)
			}
		}
	}
	return false
}
