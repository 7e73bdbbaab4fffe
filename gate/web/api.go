package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/store"
)

// tenant is the only one there is.
const tenant = "gatehouse"

// api registers the REST API, part B of the gate's rules.
func (s *Server) api() {
	s.json("GET /api/info", func(*http.Request) (any, error) { return info(), nil })
	s.json("GET /api/tenants", func(*http.Request) (any, error) {
		return []map[string]any{{"name": tenant, "projects": 0, "queue": 0}}, nil
	})
	prefix := "GET /api/tenant/" + tenant
	s.json(prefix+"/info", func(*http.Request) (any, error) { return info(), nil })
	s.json(prefix+"/status", func(*http.Request) (any, error) { return s.config.Status(), nil })
	s.json(prefix+"/status/change/{change}", s.apiStatusChange)
	s.json(prefix+"/builds", s.apiBuilds)
	s.json(prefix+"/build/{uuid}", s.apiBuild)
	s.json(prefix+"/buildsets", s.apiBuildsets)
	s.json(prefix+"/buildset/{uuid}", s.apiBuildset)
	s.actions()
}

func info() any {
	return map[string]any{"info": map[string]any{
		"capabilities": map[string]any{"job_history": true, "auth": map[string]any{"realms": map[string]any{}, "read_protected": false}},
		"tenant":       tenant, "websocket_url": nil, "stats": map[string]any{},
	}}
}

// json registers a handler that answers with JSON.
func (s *Server) json(pattern string, h func(*http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		answer, err := h(r)
		status := http.StatusOK
		switch {
		case err == nil:
		case isNotFound(err):
			status, answer = http.StatusNotFound, fault("not found")
		case errors.Is(err, ErrRefused):
			status, answer = http.StatusBadRequest, fault(err.Error())
		default:
			s.config.Log.ErrorContext(r.Context(), "API call failed", "path", r.URL.Path, "error", err)
			status, answer = http.StatusInternalServerError, fault("internal error; the gate's log says which")
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method == http.MethodGet {
			w.Header().Set("Access-Control-Allow-Origin", "*") // as Zuul does: anonymous may read
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	})
}

func fault(description string) any { return map[string]any{"description": description} }

func (s *Server) apiStatusChange(r *http.Request) (any, error) {
	items := []Item{}
	for _, p := range s.config.Status().Pipelines {
		for _, q := range p.ChangeQueues {
			for _, h := range q.Heads {
				for _, i := range h {
					if i.Refs[0].ID == r.PathValue("change") {
						items = append(items, i)
					}
				}
			}
		}
	}
	return items, nil
}

// refInfo is a change in the answers.
type refInfo struct {
	Project  string  `json:"project"`
	Branch   string  `json:"branch"`
	Change   int     `json:"change"`
	PatchSet string  `json:"patchset"`
	Ref      string  `json:"ref"`
	OldRev   *string `json:"oldrev"`
	NewRev   string  `json:"newrev"`
	RefURL   string  `json:"ref_url"`
}

// buildInfo is a build in the answers.
type buildInfo struct {
	ID          string         `json:"_id"`
	UUID        string         `json:"uuid"`
	Job         string         `json:"job_name"`
	Result      *string        `json:"result"`
	ErrorDetail *string        `json:"error_detail"`
	Held        bool           `json:"held"`
	Start       *string        `json:"start_time"`
	End         *string        `json:"end_time"`
	Duration    *float64       `json:"duration"`
	Voting      bool           `json:"voting"`
	LogURL      string         `json:"log_url"`
	Nodeset     string         `json:"nodeset"`
	Pipeline    string         `json:"pipeline"`
	Final       bool           `json:"final"`
	Artifacts   []artifactInfo `json:"artifacts"`
	Provides    []string       `json:"provides"`
	Ref         refInfo        `json:"ref"`
	Buildset    setRef         `json:"buildset"`
	Failing     []string       `json:"failing"` // ours: tests and findings
	Timings     store.Timings  `json:"timings"` // ours, in nanoseconds
	Node        string         `json:"node"`    // ours
}

type setRef struct {
	UUID string `json:"uuid"`
}

type artifactInfo struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

func (s *Server) describe(b store.Build) (buildInfo, error) {
	c := b.Change
	i := buildInfo{
		ID: b.UUID, UUID: b.UUID, Job: b.Job, Result: orNull(string(b.Result)), ErrorDetail: orNull(b.Detail),
		Start: stamp(b.Began), End: stamp(b.Ended), Voting: b.Voting, LogURL: s.config.URL("/logs/" + b.UUID + "/"), Nodeset: b.Label,
		Pipeline: b.Pipeline, Final: b.Final, Artifacts: []artifactInfo{}, Provides: []string{},
		Ref:      refInfo{Project: c.Project, Branch: c.Branch, Change: c.Number, PatchSet: strconv.Itoa(c.PatchSet), Ref: c.Ref, NewRev: c.Revision, RefURL: c.URL},
		Buildset: setRef{b.Buildset}, Failing: append([]string{}, b.Findings.Names()...), Timings: b.Timings, Node: b.Node,
	}
	if !b.Began.IsZero() && !b.Ended.IsZero() {
		took := b.Ended.Sub(b.Began).Seconds()
		i.Duration = &took
	}
	files, err := s.config.Logs.Files(b.UUID)
	for _, f := range files {
		i.Artifacts = append(i.Artifacts, artifactInfo{Name: f.Name(), URL: i.LogURL + f.Name()})
	}
	return i, err
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05")
	return &s
}

func (s *Server) apiBuilds(r *http.Request) (any, error) {
	list, err := s.config.Store.Builds(r.Context(), filter(r.URL.Query()))
	if err != nil {
		return nil, err
	}
	return s.describeAll(list)
}

func (s *Server) describeAll(list []store.Build) ([]buildInfo, error) {
	infos := make([]buildInfo, 0, len(list))
	for _, b := range list {
		i, err := s.describe(b)
		if err != nil {
			return nil, err
		}
		infos = append(infos, i)
	}
	return infos, nil
}

func (s *Server) apiBuild(r *http.Request) (any, error) {
	b, err := s.config.Store.Build(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return nil, err
	}
	return s.describe(b)
}

// setInfo is a build set in the answers.
type setInfo struct {
	ID       string      `json:"_id"`
	UUID     string      `json:"uuid"`
	Result   *string     `json:"result"`
	Message  *string     `json:"message"`
	Pipeline string      `json:"pipeline"`
	Start    *string     `json:"first_build_start_time"`
	End      *string     `json:"last_build_end_time"`
	Refs     []refInfo   `json:"refs"`
	Commit   string      `json:"commit"` // ours: the tested state
	Tree     string      `json:"tree"`
	Builds   []buildInfo `json:"builds,omitempty"`
}

func (s *Server) describeSet(b store.Buildset) (setInfo, error) {
	c := b.Change
	i := setInfo{
		ID: b.UUID, UUID: b.UUID, Result: orNull(b.Result), Message: orNull(b.Message), Pipeline: b.Pipeline,
		Start: stamp(b.Began), End: stamp(b.Ended), Commit: b.Commit, Tree: b.Tree,
		Refs: []refInfo{{Project: c.Project, Branch: c.Branch, Change: c.Number, PatchSet: strconv.Itoa(c.PatchSet), Ref: c.Ref, NewRev: c.Revision, RefURL: c.URL}},
	}
	var err error
	if b.Builds != nil {
		i.Builds, err = s.describeAll(b.Builds)
	}
	return i, err
}

func (s *Server) apiBuildsets(r *http.Request) (any, error) {
	list, err := s.config.Store.Buildsets(r.Context(), filter(r.URL.Query()))
	if err != nil {
		return nil, err
	}
	infos := make([]setInfo, 0, len(list))
	for _, b := range list {
		i, err := s.describeSet(b)
		if err != nil {
			return nil, err
		}
		infos = append(infos, i)
	}
	return infos, nil
}

func (s *Server) apiBuildset(r *http.Request) (any, error) {
	b, err := s.config.Store.Buildset(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return nil, err
	}
	return s.describeSet(b)
}

// actions registers what changes the queues: bodies and answers as Zuul's.
func (s *Server) actions() {
	project := "POST /api/tenant/" + tenant + "/project/{project}/"
	s.action(project+"enqueue", func(r *http.Request, _ string, in actionInput) error {
		n, err := in.number()
		if err != nil {
			return err
		}
		return s.config.Actions.Enqueue(r.Context(), in.Pipeline, n)
	})
	s.action(project+"dequeue", func(r *http.Request, user string, in actionInput) error {
		n, err := in.number()
		if err != nil {
			return err
		}
		s.config.Actions.Dequeue(r.Context(), in.Pipeline, n, user)
		return nil
	})
	s.action("POST /api/tenant/"+tenant+"/resume", func(r *http.Request, _ string, in actionInput) error {
		s.config.Actions.Resume(r.Context(), in.Pipeline, in.Queue)
		return nil
	})
}

type actionInput struct {
	Pipeline string `json:"pipeline"`
	Change   string `json:"change"` // NUMBER or NUMBER,PATCHSET
	Queue    string `json:"queue"`  // of resume
}

func (a actionInput) number() (int, error) {
	first, _, _ := strings.Cut(a.Change, ",")
	n, err := strconv.Atoi(first)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%w: change must be NUMBER or NUMBER,PATCHSET", ErrRefused)
	}
	return n, nil
}

// action registers a handler that an administrator may call. A JSON body is
// asked for, which no page of another site can send without being allowed to.
func (s *Server) action(pattern string, h func(r *http.Request, user string, in actionInput) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok || s.config.Verify == nil {
			deny(w, http.StatusUnauthorized)
			return
		}
		admin, err := s.config.Verify(r.Context(), user, password)
		switch {
		case err != nil:
			deny(w, http.StatusUnauthorized)
			return
		case !admin:
			deny(w, http.StatusForbidden)
			return
		}
		media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		var in actionInput
		if media != "application/json" || json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in) != nil {
			http.Error(w, "The body must be JSON (Content-Type: application/json).", http.StatusBadRequest)
			return
		}
		if err := h(r, user, in); err != nil {
			status := http.StatusInternalServerError
			if errors.Is(err, ErrRefused) {
				status = http.StatusConflict
			}
			http.Error(w, err.Error(), status)
			return
		}
		s.config.Log.InfoContext(r.Context(), "queue changed by hand", "user", user, "path", r.URL.Path, "pipeline", in.Pipeline, "change", in.Change, "queue", in.Queue)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte("true\n"))
	})
}

func deny(w http.ResponseWriter, status int) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Gatehouse"`)
	}
	http.Error(w, "Only an administrator may change the queues.", status)
}
