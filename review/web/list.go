package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// pageSize is the number of changes on a page of the list.
const pageSize = 50

type listBody struct {
	Tabs       []tab
	Labels     []string
	Changes    []listRow
	Problem    string // what is wrong with the query
	Prev, Next string // addresses; "" for none
	LastEvent  int64
	Fresh      bool   // the list is empty though nothing was searched for
	Self       string // the list's own address
}

type tab struct {
	Name, URL string
	Current   bool
}

type listRow struct {
	review.Change

	URL                   string
	Votes                 []cell // by label
	Ready                 bool   // nothing keeps it from being submitted
	Insertions, Deletions int
}

// cell is the vote that says most about a label: a veto before approval, that
// before any other.
type cell struct {
	Label string
	Value int
	Class string // max min plus minus none
	Who   string
}

var tabs = []tab{
	{Name: "Open", URL: "status:open"}, {Name: "Merged", URL: "status:merged"}, {Name: "Abandoned", URL: "status:abandoned"},
}

var ownTabs = []tab{{Name: "Mine", URL: "owner:self"}, {Name: "To review", URL: "status:open reviewer:self -owner:self"}}

// listPage lists the changes that q selects; the open ones without it.
func (s *Site) listPage(v *visit) error {
	text := strings.TrimSpace(v.r.URL.Query().Get("q"))
	if text == "" {
		text = "status:open"
	}
	start, err := strconv.Atoi(v.r.URL.Query().Get("start"))
	if err != nil || start < 0 {
		start = 0
	}
	body := &listBody{LastEvent: s.service.LastEvent(), Self: listURL(text, start)}
	all := tabs
	if v.caller != nil {
		all = slices.Concat(all, ownTabs)
	}
	for _, t := range all {
		body.Tabs = append(body.Tabs, tab{t.Name, listURL(t.URL, 0), text == t.URL})
	}
	for _, label := range s.service.Labels("") {
		body.Labels = append(body.Labels, label.Name)
	}
	status, found, err := s.fillList(v, body, text, start)
	if err != nil {
		return err
	}
	if found == 1 && start == 0 && numberOrID(text) {
		return v.redirect(body.Changes[0].URL)
	}
	body.Fresh = found == 0 && text == "status:open"
	page := s.page(v, "Changes")
	page.Query, page.Body = text, body
	return s.render(v, status, "list", page)
}

// fillList runs the query. What is wrong with it is told on the page.
func (s *Site) fillList(v *visit, body *listBody, text string, start int) (status, found int, err error) {
	query, err := s.config.Compile(v.ctx(), v.caller, text)
	if fault.Is(err, fault.BadRequest) {
		body.Problem = err.Error()
		return http.StatusBadRequest, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	if query.Limit == 0 || query.Limit > pageSize {
		query.Limit = pageSize
	}
	query.Start = start
	changes, more, err := s.service.Search(v.ctx(), v.caller, query)
	if err != nil {
		return 0, 0, err
	}
	details, err := s.service.Details(v.ctx(), changes, review.WantVotes|review.WantRequirements|review.WantCurrent)
	if err != nil {
		return 0, 0, err
	}
	for i := range details {
		body.Changes = append(body.Changes, s.listRow(&details[i]))
	}
	if more {
		body.Next = listURL(text, start+query.Limit)
	}
	if start > 0 {
		body.Prev = listURL(text, max(start-query.Limit, 0))
	}
	return http.StatusOK, len(changes), nil
}

func listURL(query string, start int) string {
	values := url.Values{"q": {query}}
	if start > 0 {
		values.Set("start", strconv.Itoa(start))
	}
	return "/?" + values.Encode()
}

func (s *Site) listRow(d *review.Detail) listRow {
	row := listRow{Change: d.Change, URL: changeURL(d.Project, d.Number)}
	for _, label := range s.service.Labels(d.Project) {
		row.Votes = append(row.Votes, strongest(label, d.CurrentVotes(label.Name)))
	}
	row.Ready = d.Open() && needs(d) == ""
	if current := d.Current(); current != nil {
		row.Insertions, row.Deletions = current.Insertions, current.Deletions
	}
	return row
}

// needs is what still keeps an open change from being submitted.
func needs(d *review.Detail) string {
	if !d.Open() {
		return ""
	}
	var reasons []string
	if d.WIP {
		reasons = append(reasons, "is work in progress")
	}
	for _, r := range d.Requirements {
		if r.Status == review.Unsatisfied {
			reasons = append(reasons, r.Reason)
		}
	}
	return strings.Join(reasons, "; ")
}

func strongest(label review.Label, votes []review.Vote) cell {
	best := cell{Label: label.Name, Class: "none"}
	for _, vote := range votes {
		class := voteClass(label, vote.Value)
		if weight[class] > weight[best.Class] {
			best = cell{Label: label.Name, Value: vote.Value, Class: class, Who: vote.Account.Name()}
		}
	}
	return best
}

var weight = map[string]int{"none": 0, "plus": 1, "minus": 2, "max": 3, "min": 4}

func voteClass(label review.Label, value int) string {
	switch {
	case value == label.Min():
		return "min"
	case value == label.Max():
		return "max"
	case value > 0:
		return "plus"
	case value < 0:
		return "minus"
	default:
		return "none"
	}
}

// numberOrID reports whether a query is nothing but a change's number or
// Change-Id: whoever typed it wants to be there.
func numberOrID(text string) bool {
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return true
	}
	return len(text) == 41 && text[0] == 'I' && !strings.ContainsAny(text, " :()")
}

// redirectQuery serves the addresses that Gerrit's pages have for searches.
func redirectQuery(v *visit) error {
	text := strings.ReplaceAll(v.r.PathValue("query"), "+", " ")
	return v.redirect(listURL(text, 0))
}

func (s *Site) dashboard(v *visit) error {
	if v.caller == nil {
		return v.redirect("/login?next=/dashboard/self")
	}
	return v.redirect(listURL("owner:self", 0))
}

// redirectNumber sends /N to the change's page.
func (s *Site) redirectNumber(v *visit) error {
	number, err := strconv.ParseInt(v.r.PathValue("number"), 10, 64)
	if err != nil {
		return fault.New(fault.NotFound, "There is no such page.")
	}
	change, err := s.service.Change(v.ctx(), v.caller, number)
	if err != nil {
		return s.askToSignIn(v, err)
	}
	return v.redirect(changeURL(change.Project, change.Number))
}

// askToSignIn offers nobody in particular to become somebody, who may see
// what was not found.
func (s *Site) askToSignIn(v *visit, err error) error {
	if v.caller == nil && fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "%s. You may see more after signing in.", err.Error())
	}
	return err
}
