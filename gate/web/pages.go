package web

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/store"
)

var functions = template.FuncMap{
	"class":    resultClass,
	"duration": duration,
	"moment":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"clock":    func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"millis":   time.UnixMilli,
	"span":     func(n *int64) string { return duration(time.Duration(*n) * time.Millisecond) },
	"bytes":    byteSize,
}

// resultClass is the kind of a result, for its colour.
func resultClass(result any) string {
	switch fmt.Sprint(result) {
	case "":
		return "run"
	case "SUCCESS":
		return "good"
	case "SKIPPED", "CANCELED", "ABORTED", "RETRY", "NO_JOBS", "DEQUEUED":
		return "wait"
	default:
		return "bad"
	}
}

// duration is a time for people: 850ms, 14s, 3m 05s, 1h 02m.
func duration(d time.Duration) string {
	switch s := int(d.Round(time.Second) / time.Second); {
	case d <= 0:
		return "–"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %02ds", s/60, s%60)
	default:
		return fmt.Sprintf("%dh %02dm", s/3600, s/60%60)
	}
}

func byteSize(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return fmt.Sprintf("%d MiB", n>>20)
	}
}

// render writes a page. It is made wholly before it is sent, so that a broken
// one is an error and no half page.
func (s *Server) render(w http.ResponseWriter, name string, data any) error {
	var out bytes.Buffer
	if err := s.templates.ExecuteTemplate(&out, name, data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(out.Bytes()) // an error is the reader's going away
	return nil
}

func (s *Server) statusPage(w http.ResponseWriter, _ *http.Request) error {
	return s.render(w, "status.html", s.config.Status())
}

func (s *Server) statusFragment(w http.ResponseWriter, _ *http.Request) error {
	return s.render(w, "status-body", s.config.Status())
}

// listView is a page of builds or build sets.
type listView struct {
	Filter    url.Values
	Builds    []store.Build
	Buildsets []store.Buildset
	Older     string // query of the next page, if there is one
	Newer     string
	Results   []string
}

func (s *Server) buildsPage(w http.ResponseWriter, r *http.Request) error {
	f := filter(r.URL.Query())
	limit := bound(&f)
	list, err := s.config.Store.Builds(r.Context(), f)
	if err != nil {
		return err
	}
	v := listView{Builds: list[:min(len(list), limit)], Results: []string{
		"SUCCESS", "FAILURE", "TIMED_OUT", "POST_FAILURE", "RETRY", "RETRY_LIMIT", "NODE_FAILURE", "DISK_FULL", "ERROR", "SKIPPED", "CANCELED", "ABORTED",
	}}
	v.page(r.URL.Query(), f.Skip, limit, len(list) > limit)
	return s.render(w, "builds.html", v)
}

func (s *Server) buildsetsPage(w http.ResponseWriter, r *http.Request) error {
	f := filter(r.URL.Query())
	limit := bound(&f)
	list, err := s.config.Store.Buildsets(r.Context(), f)
	if err != nil {
		return err
	}
	v := listView{Buildsets: list[:min(len(list), limit)], Results: []string{
		"SUCCESS", "FAILURE", "MERGE_FAILURE", "MERGE_CONFLICT", "CONFIG_ERROR", "NO_JOBS", "DEQUEUED", "CANCELED",
	}}
	v.page(r.URL.Query(), f.Skip, limit, len(list) > limit)
	return s.render(w, "buildsets.html", v)
}

// bound asks for one row more than a page shows, to know of a next one.
func bound(f *store.Filter) (limit int) {
	limit = f.Limit
	if limit <= 0 || limit > 500 {
		limit = 50
	}
	f.Limit = limit + 1
	return limit
}

func (v *listView) page(q url.Values, skip, limit int, more bool) {
	v.Filter = q
	at := func(skip int) string {
		next := maps.Clone(q)
		next.Set("skip", strconv.Itoa(skip))
		return next.Encode()
	}
	if more {
		v.Older = at(skip + limit)
	}
	if skip > 0 {
		v.Newer = at(max(skip-limit, 0))
	}
}

// filter reads Zuul's names of what to choose.
func filter(q url.Values) store.Filter {
	number := func(name string) int {
		n, _ := strconv.Atoi(q.Get(name))
		return max(n, 0)
	}
	flag := func(name string) *bool {
		b, err := strconv.ParseBool(q.Get(name))
		if err != nil {
			return nil
		}
		return &b
	}
	return store.Filter{
		Project: q.Get("project"), Pipeline: q.Get("pipeline"), Branch: q.Get("branch"), Job: q.Get("job_name"),
		Change: number("change"), PatchSet: number("patchset"), Result: q.Get("result"), UUID: q.Get("uuid"), Revision: q.Get("newrev"),
		Complete: flag("complete"), Voting: flag("voting"), Final: flag("final"), Limit: number("limit"), Skip: number("skip"),
	}
}

// buildView is a build with what belongs to it.
type buildView struct {
	store.Build
	Files    []fs.FileInfo
	Siblings []store.Build
	Live     *Job
}

// Phases are where the build's time went.
func (b buildView) Phases() []phase {
	t := b.Timings
	list := []phase{
		{"waiting", t.Queue}, {"machine", t.Boot}, {"copy", t.Copy}, {"pre-run", t.Pre}, {"run", t.Run}, {"post-run", t.Post}, {"artifacts", t.Collect},
	}
	kept := list[:0]
	for _, p := range list {
		if p.Took > 0 {
			kept = append(kept, p)
		}
	}
	return kept
}

type phase struct {
	Name string
	Took time.Duration
}

func (s *Server) build(ctx context.Context, uuid string) (buildView, error) {
	b, err := s.config.Store.Build(ctx, uuid)
	if err != nil {
		return buildView{}, err
	}
	v := buildView{Build: b, Live: s.liveJob(uuid)}
	if v.Files, err = s.config.Logs.Files(uuid); err != nil {
		return v, err
	}
	set, err := s.config.Store.Buildset(ctx, b.Buildset)
	if err != nil {
		return v, err
	}
	v.Siblings = set.Builds
	return v, nil
}

// liveJob is the job of a build that has not ended.
func (s *Server) liveJob(uuid string) *Job {
	for _, p := range s.config.Status().Pipelines {
		for _, q := range p.ChangeQueues {
			for _, h := range q.Heads {
				for _, i := range h {
					for _, j := range i.Jobs {
						if j.UUID != nil && *j.UUID == uuid && j.Result == nil {
							return &j
						}
					}
				}
			}
		}
	}
	return nil
}

func (s *Server) buildPage(w http.ResponseWriter, r *http.Request) error {
	v, err := s.build(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return err
	}
	return s.render(w, "build.html", v)
}

func (s *Server) buildFragment(w http.ResponseWriter, r *http.Request) error {
	v, err := s.build(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return err
	}
	return s.render(w, "build-head", v)
}

func (s *Server) buildsetPage(w http.ResponseWriter, r *http.Request) error {
	set, err := s.config.Store.Buildset(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return err
	}
	if set.Base == nil {
		set.Base = []queue.Key{}
	}
	return s.render(w, "buildset.html", set)
}
