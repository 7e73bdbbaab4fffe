package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// place is what the path of a change's page says:
// /c/PROJECT/+/NUMBER[/[BASE..]PS[/FILE]].
type place struct {
	project  string
	number   int64
	base     int // a patch set to compare with; 0: the parent
	patchSet int // 0: the current one
	file     string
}

func parsePlace(path string) (place, bool) {
	project, rest, ok := strings.Cut(path, "/+/")
	if !ok {
		return place{}, false
	}
	p := place{project: project}
	parts := strings.SplitN(rest, "/", 3)
	var err error
	if p.number, err = strconv.ParseInt(parts[0], 10, 64); err != nil {
		return place{}, false
	}
	if len(parts) > 1 && parts[1] != "" {
		base, patchSet, compared := strings.Cut(parts[1], "..")
		if !compared {
			base, patchSet = "0", parts[1]
		}
		if p.base, err = strconv.Atoi(base); err != nil || p.base < 0 {
			return place{}, false
		}
		if p.patchSet, err = strconv.Atoi(patchSet); err != nil || p.patchSet < 1 {
			return place{}, false
		}
	}
	if len(parts) > 2 {
		p.file = parts[2]
	}
	return p, true
}

// url is the path of a page; file may be empty.
func (p place) url(base, patchSet int, file string) string {
	path := "/c/" + p.project + "/+/" + strconv.FormatInt(p.number, 10)
	if patchSet > 0 {
		path += "/"
		if base > 0 {
			path += strconv.Itoa(base) + ".."
		}
		path += strconv.Itoa(patchSet)
		if file != "" {
			path += "/" + file
		}
	}
	return (&url.URL{Path: path}).EscapedPath()
}

// Set is the path of the page with all files of the same patch set.
func (p place) Set() string { return p.url(p.base, p.patchSet, "") }

// PatchSet is the patch set that the page is about.
func (p place) PatchSet() int { return p.patchSet }

// changeBody is everything on a change's page.
type changeBody struct {
	*review.Detail

	Place       place
	URL         string // of the change
	Self        string // of this page
	LastEvent   int64
	Shown       *review.PatchSet // the patch set that the page is about
	Outdated    bool             // there is a newer one
	Base        int
	Sets        []setLink
	Bases       []setLink
	Labels      []labelRow
	Submittable bool
	Actions     review.Actions
	Gate        []gateResult
	Thread      []messageRow
	Related     []relatedRow
	Files       []*fileView
	Insertions  int
	Deletions   int
	Ballot      []ballot
	Fetch       []fetchLine
	Single      bool // only one file is shown
}

type setLink struct {
	Number  int
	Name    string
	URL     string
	Current bool
	Title   string
}

type labelRow struct {
	Name        string
	Votes       []voteView
	Requirement *review.Requirement // nil if no submission asks for the label
}

type voteView struct {
	review.Vote

	Class string
	Text  string
}

// ballot is what the caller may vote under one label.
type ballot struct {
	Label  string
	Was    int // the caller's vote as the page shows it
	Values []choice
}

type choice struct {
	Value   int
	Text    string
	Checked bool
	Class   string
}

type messageRow struct {
	review.Message

	Heading  string // "Patch Set 2: Verified+1"
	Text     string // without the heading
	Service  bool
	Open     bool
	Comments []review.Comment
}

type relatedRow struct {
	review.Related

	URL     string
	Current bool
}

type fetchLine struct{ Name, Command string }

func (s *Site) getChange(v *visit) error {
	where, ok := parsePlace(v.r.PathValue("rest"))
	if !ok {
		return fault.New(fault.NotFound, "There is no such page.")
	}
	lastEvent := s.service.LastEvent() // before anything is read, so that no event is missed
	change, err := s.service.Change(v.ctx(), v.caller, where.number)
	if err != nil {
		return s.askToSignIn(v, err)
	}
	if change.Project != where.project {
		return v.redirect(changeURL(change.Project, change.Number))
	}
	body, err := s.changeBody(v, change, where)
	if err != nil {
		return err
	}
	body.LastEvent = lastEvent
	if where.file != "" {
		return s.showFile(v, body)
	}
	if err := s.addDiffs(v, body); err != nil {
		return err
	}
	page := s.page(v, strconv.FormatInt(change.Number, 10)+": "+change.Subject)
	page.Body = body
	return s.render(v, http.StatusOK, "change", page)
}

// showFile shows one file with all its lines: as a page, or, asked by a page's
// script, as the part of it.
func (s *Site) showFile(v *visit, body *changeBody) error {
	file, err := s.fileView(v, body, body.Place.file, true)
	if err != nil {
		return err
	}
	if v.r.Header.Get("Hx-Request") == "true" {
		return s.fragment(v, "change", "diff", file)
	}
	file.Open = true
	body.Files, body.Single = []*fileView{file}, true
	page := s.page(v, file.Path)
	page.Body = body
	return s.render(v, http.StatusOK, "change", page)
}

const wantForPage = review.WantPatchSets | review.WantVotes | review.WantMessages | review.WantReviewers |
	review.WantRequirements | review.WantComments

func (s *Site) changeBody(v *visit, change *review.Change, where place) (*changeBody, error) {
	d, err := s.service.Detail(v.ctx(), change, wantForPage)
	if err != nil {
		return nil, err
	}
	if where.patchSet == 0 {
		where.patchSet = change.PatchSet
	}
	b := &changeBody{
		Detail: d, Place: where, URL: changeURL(change.Project, change.Number), Base: where.base,
		Self: where.url(where.base, where.patchSet, where.file), Shown: d.Get(where.patchSet),
		Outdated: where.patchSet != change.PatchSet,
	}
	if b.Shown == nil || where.base > 0 && d.Get(where.base) == nil {
		return nil, fault.New(fault.NotFound, "Change %d has no such patch set.", change.Number)
	}
	if b.Actions, err = s.service.Actions(v.ctx(), v.caller, change); err != nil {
		return nil, err
	}
	related, err := s.service.Related(v.ctx(), v.caller, change, b.Shown)
	if err != nil {
		return nil, err
	}
	for _, r := range related {
		b.Related = append(b.Related, relatedRow{r, changeURL(r.Change.Project, r.Change.Number), r.Change.Number == change.Number})
	}
	b.Submittable = needs(d) == "" && change.Open()
	b.Gate = gateResults(d.Messages, where.patchSet)
	b.Thread = thread(d, b.Gate)
	b.addSets()
	s.addLabels(v, b)
	s.addFetch(v, b)
	return b, nil
}

// addSets links the patch sets, and what they can be compared with.
func (b *changeBody) addSets() {
	b.Bases = []setLink{{Name: "parent", URL: b.Place.url(0, b.Place.patchSet, ""), Current: b.Base == 0}}
	for i := range b.PatchSets {
		ps := &b.PatchSets[i]
		link := setLink{
			Number: ps.Number, Name: strconv.Itoa(ps.Number), URL: b.Place.url(0, ps.Number, ""),
			Current: ps.Number == b.Place.patchSet, Title: strings.ToLower(strings.ReplaceAll(string(ps.Kind), "_", " ")),
		}
		b.Sets = append(b.Sets, link)
		if ps.Number < b.Place.patchSet {
			link.URL, link.Current = b.Place.url(ps.Number, b.Place.patchSet, ""), ps.Number == b.Base
			b.Bases = append(b.Bases, link)
		}
	}
}

func (s *Site) addLabels(v *visit, b *changeBody) {
	var permitted map[string][]int
	if v.caller != nil && b.Open() {
		permitted = s.service.Permitted(v.caller, &b.Change)
	}
	for _, label := range s.service.Labels(b.Project) {
		row, own := labelRow{Name: label.Name, Requirement: b.requirement(label.Name)}, 0
		for _, vote := range b.CurrentVotes(label.Name) {
			row.Votes = append(row.Votes, voteView{vote, voteClass(label, vote.Value), label.Text(vote.Value)})
			if v.caller != nil && vote.Account.ID == v.caller.ID {
				own = vote.Value
			}
		}
		b.Labels = append(b.Labels, row)
		choices := ballot{Label: label.Name, Was: own}
		for _, value := range permitted[label.Name] {
			choices.Values = append(choices.Values, choice{value, label.Text(value), value == own, voteClass(label, value)})
		}
		if len(choices.Values) > 1 {
			b.Ballot = append(b.Ballot, choices)
		}
	}
}

// requirement is the submit requirement about a label of an open change.
func (b *changeBody) requirement(label string) *review.Requirement {
	for i := range b.Requirements {
		if b.Requirements[i].Label == label && b.Open() {
			return &b.Requirements[i]
		}
	}
	return nil
}

func (s *Site) addFetch(v *visit, b *changeBody) {
	remote := s.service.URL() + "/" + b.Project
	if v.caller != nil {
		remote = "ssh://" + v.caller.Username + "@" + s.service.SSH() + "/" + b.Project
	}
	fetch := "git fetch " + remote + " " + b.Shown.Ref()
	b.Fetch = []fetchLine{
		{"git-review", "git review -d " + strconv.FormatInt(b.Number, 10) + "," + strconv.Itoa(b.Shown.Number)},
		{"Check out", fetch + " && git checkout FETCH_HEAD"},
		{"Cherry-pick", fetch + " && git cherry-pick FETCH_HEAD"},
	}
}

// thread is the change's history. Comments on files stand with the message
// they were published with. What services say is folded, unless it is
// their last word on the patch set and tells of a failure.
func thread(d *review.Detail, results []gateResult) []messageRow {
	latest := map[string]bool{}
	for _, result := range results {
		latest[result.Message] = result.Failed
	}
	rows := make([]messageRow, len(d.Messages))
	for i, m := range d.Messages {
		rows[i] = messageRow{Message: m, Text: m.Text, Service: m.Author != nil && m.Author.Service}
		rows[i].Open = !rows[i].Service || latest[m.ID]
		if strings.HasPrefix(m.Text, "Patch Set ") {
			rows[i].Heading, rows[i].Text, _ = strings.Cut(m.Text, "\n")
			rows[i].Text = strings.TrimSpace(rows[i].Text)
		} else if !strings.Contains(strings.TrimSpace(m.Text), "\n") {
			rows[i].Heading, rows[i].Text = m.Text, ""
		}
		for _, comment := range d.Comments {
			if comment.MessageID == m.ID {
				rows[i].Comments = append(rows[i].Comments, comment)
			}
		}
	}
	return rows
}
