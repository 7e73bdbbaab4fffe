package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/review"
)

//go:embed templates
var templates embed.FS

// views are the pages by name, each with the layout and the shared parts.
type views struct{ byName map[string]*template.Template }

func parseViews() (*views, error) {
	shared, err := template.New("layout.html").Funcs(functions).ParseFS(templates, "templates/layout.html", "templates/parts/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse templates: %w", err)
	}
	names, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	v := &views{byName: map[string]*template.Template{}}
	for _, name := range names {
		clone, err := shared.Clone()
		if err != nil {
			return nil, fmt.Errorf("parse templates: %w", err)
		}
		if clone, err = clone.ParseFS(templates, name); err != nil {
			return nil, fmt.Errorf("parse templates: %w", err)
		}
		v.byName[strings.TrimSuffix(path.Base(name), ".html")] = clone
	}
	return v, nil
}

// page is what every page is made of; Body is its own.
type page struct {
	Title  string
	Caller *review.Account
	Token  string // for forms; "" for nobody
	Query  string // in the search box
	Here   string // the page's own address, to come back to after signing in
	Body   any
}

func (s *Site) page(v *visit, title string) *page {
	p := &page{Title: title, Caller: v.caller, Here: v.r.URL.RequestURI()}
	if v.session != "" {
		p.Token = s.sessions.token(v.session)
	}
	return p
}

// render answers with a page. It is made before anything is sent, so that an
// error can still be shown.
func (s *Site) render(v *visit, status int, view string, p *page) error {
	var body bytes.Buffer
	if err := s.views.byName[view].ExecuteTemplate(&body, "layout.html", p); err != nil {
		return fmt.Errorf("render page %s: %w", view, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Cache-Control", "private, no-store")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(body.Bytes()) // it fails if the client went away: there is nobody left to tell
	return nil
}

// fragment answers with a part of a page.
func (s *Site) fragment(v *visit, view, part string, data any) error {
	var body bytes.Buffer
	if err := s.views.byName[view].ExecuteTemplate(&body, part, data); err != nil {
		return fmt.Errorf("render %s: %w", part, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Cache-Control", "private, no-store")
	_, _ = v.w.Write(body.Bytes())
	return nil
}

var functions = template.FuncMap{
	"ago":        func(t time.Time) string { return ago(time.Since(t), t) },
	"iso":        func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") },
	"date":       func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"changeURL":  changeURL,
	"linkify":    linkify,
	"signed":     signed,
	"short":      func(revision string) string { return revision[:min(len(revision), 8)] },
	"lower":      func(text any) string { return strings.ToLower(fmt.Sprint(text)) },
	"search":     func(query string) string { return "/?q=" + url.QueryEscape(query) },
	"quote":      quote,
	"labelShort": labelShort,
	"statusWord": statusWord,
	"fileKind":   func(status string) string { return fileKinds[status] },
	"tail":       func(text string) string { return text[max(len(text)-16, 0):] },
	"action":     newAction,
}

// labelShort is a label's initials: "CR" for Code-Review.
func labelShort(label string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(label, "-") {
		if part != "" {
			b.WriteString(part[:1])
		}
	}
	return b.String()
}

// statusWord is where a change stands, in a word.
func statusWord(d *review.Detail) string {
	if d.Open() && d.WIP {
		return "work in progress"
	}
	if d.Open() {
		return "open"
	}
	return strings.ToLower(string(d.Status))
}

// fileKinds say what git's letters mean.
var fileKinds = map[string]string{
	"A": "added", "M": "modified", "D": "deleted", "R": "renamed", "C": "copied", "T": "type changed",
}

// actionView is a button that does something to a change.
type actionView struct {
	Token, URL, Do, Label string
	Action                review.Action
}

func newAction(p *page, url, do, label string, action review.Action) actionView {
	return actionView{p.Token, url, do, label, action}
}

// changeURL is the path of a change's page.
func changeURL(project string, number int64) string {
	return (&url.URL{Path: "/c/" + project + "/+/" + strconv.FormatInt(number, 10)}).EscapedPath()
}

// quote makes one value for the search language out of any text.
func quote(text string) string {
	if text != "" && !strings.ContainsAny(text, " \"(){}:\t") {
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func signed(value int) string {
	if value == 0 {
		return "0"
	}
	return strings.Replace(fmt.Sprintf("%+d", value), "-", "\u2212", 1)
}

// ago says how long ago t was: roughly, since who wants it exactly hovers.
func ago(d time.Duration, t time.Time) string {
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d < 14*24*time.Hour:
		return fmt.Sprintf("%d d", int(d.Hours()/24))
	default:
		return t.UTC().Format("2006-01-02")
	}
}
