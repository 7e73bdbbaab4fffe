package gate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate"
	"github.com/gatehouse-dev/gatehouse/gate/merger"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
	"github.com/gatehouse-dev/gatehouse/testenv/network"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// review is a review server in memory, and the repository behind it: a state
// is the list of the changes in it.
type review struct {
	mu       sync.Mutex
	changes  map[int]*source.Change
	branch   []string            // what is merged
	history  map[string][]string // by revision: the branch right after its merge
	file     string              // .gate.yaml
	mode     source.SubmitType
	hooks    *source.Hooks
	submits  []int
	clash    map[string]bool // revisions that merge with nothing
	down     bool            // every call fails
	spoil    bool            // the next merge gives another tree
	refuse   error           // what Submit answers
	needs    map[int][]int
	watching chan struct{}
}

func newReview(file string) *review {
	return &review{
		changes: map[int]*source.Change{}, history: map[string][]string{}, file: file, mode: source.MergeIfNecessary,
		clash: map[string]bool{}, needs: map[int][]int{}, watching: make(chan struct{}, 100),
	}
}

var errDown = errors.New("connection refused")

// push uploads a patch set and tells of it.
func (r *review) push(number int) {
	r.mu.Lock()
	c, ok := r.changes[number]
	if !ok {
		c = &source.Change{Status: source.New}
		r.changes[number] = c
	}
	c.PatchSet++
	c.Change = queue.Change{
		Key: queue.Key{Number: number, PatchSet: c.PatchSet}, Project: "p", Branch: "main", Subject: fmt.Sprintf("change %d", number),
		Revision: fmt.Sprintf("r%d.%d", number, c.PatchSet), Ref: fmt.Sprintf("refs/changes/%d/%d", number, c.PatchSet), Owner: "dev", URL: "http://review/" + fmt.Sprint(number),
	}
	c.Uploaded = time.Now()
	c.Votes = nil
	c.Messages = append(c.Messages, source.Message{PatchSet: c.PatchSet, Text: fmt.Sprintf("Uploaded patch set %d.", c.PatchSet), At: time.Now()})
	r.mu.Unlock()
	r.tell(number)
}

func (r *review) tell(number int) {
	r.mu.Lock()
	hooks := r.hooks
	r.mu.Unlock()
	if hooks != nil {
		hooks.Touched(number)
	}
}

// say leaves a person's message and votes.
func (r *review) say(number int, text string, votes ...source.Vote) {
	r.mu.Lock()
	c := r.changes[number]
	head := fmt.Sprintf("Patch Set %d:", c.PatchSet)
	for _, v := range votes {
		v.By = "reviewer"
		c.Votes = slices.DeleteFunc(c.Votes, func(x source.Vote) bool { return x.Label == v.Label && !x.Own })
		if v.Value != 0 {
			c.Votes = append(c.Votes, v)
		}
		head += fmt.Sprintf(" %s%+d", v.Label, v.Value)
	}
	c.Messages = append(c.Messages, source.Message{PatchSet: c.PatchSet, Text: head + "\n\n" + text, At: time.Now()})
	r.mu.Unlock()
	r.tell(number)
}

func (r *review) approve(number int) {
	r.say(number, "", source.Vote{Label: "Code-Review", Value: 2}, source.Vote{Label: "Workflow", Value: 1})
}

// own are the gate's messages on a change, without those that tell of a start.
func (r *review) own(number int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []string{}
	for _, m := range r.changes[number].Messages {
		if m.Own && !strings.Contains(m.Text, "Starting") {
			list = append(list, m.Text)
		}
	}
	return list
}

// verified is the gate's vote on a change.
func (r *review) verified(number int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.changes[number].Votes {
		if v.Own && v.Label == "Verified" {
			return v.Value
		}
	}
	return 0
}

func (r *review) status(number int) source.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes[number].Status
}

func (r *review) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *review) Watch(ctx context.Context, hooks source.Hooks) error {
	r.mu.Lock()
	r.hooks = &hooks
	r.mu.Unlock()
	hooks.Connected()
	<-ctx.Done()
	r.mu.Lock()
	r.hooks = nil
	r.mu.Unlock()
	return ctx.Err()
}

func (r *review) Change(_ context.Context, number int) (*source.Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, errDown
	}
	c, ok := r.changes[number]
	if !ok {
		return nil, source.ErrNotFound
	}
	seen := *c
	seen.Votes, seen.Messages = slices.Clone(c.Votes), slices.Clone(c.Messages)
	return &seen, nil
}

func (r *review) Open(ctx context.Context, f func(*source.Change) error) error {
	r.mu.Lock()
	var open []int
	for n, c := range r.changes {
		if c.Status == source.New {
			open = append(open, n)
		}
	}
	r.mu.Unlock()
	slices.Sort(open)
	for _, n := range open {
		c, err := r.Change(ctx, n)
		if err != nil {
			return err
		}
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}

func (r *review) Related(_ context.Context, c queue.Change) (needs, neededBy []int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, list := range r.needs {
		if slices.Contains(list, c.Number) {
			neededBy = append(neededBy, n)
		}
	}
	return r.needs[c.Number], neededBy, nil
}

func (r *review) Report(_ context.Context, c queue.Change, in source.Report) error {
	r.mu.Lock()
	if r.down {
		r.mu.Unlock()
		return errDown
	}
	change := r.changes[c.Number]
	text := fmt.Sprintf("Patch Set %d:", c.PatchSet)
	for label, value := range in.Labels {
		change.Votes = slices.DeleteFunc(change.Votes, func(v source.Vote) bool { return v.Own && v.Label == label })
		if value != 0 && c.PatchSet == change.PatchSet {
			change.Votes = append(change.Votes, source.Vote{Label: label, Value: value, Own: true, By: "gate"})
		}
		text += fmt.Sprintf(" %s%+d", label, value)
	}
	for _, remark := range in.Comments {
		text += fmt.Sprintf(" [%s:%d %s]", remark.Path, remark.Line, remark.Message)
	}
	change.Messages = append(change.Messages, source.Message{Own: true, PatchSet: c.PatchSet, Text: text + "\n\n" + in.Message, At: time.Now()})
	r.mu.Unlock()
	r.tell(c.Number)
	return nil
}

func (r *review) Submit(_ context.Context, c queue.Change) error {
	r.mu.Lock()
	if r.refuse != nil {
		defer r.mu.Unlock()
		return r.refuse
	}
	r.submits = append(r.submits, c.Number)
	r.branch = append(r.branch, c.Revision)
	if r.spoil {
		r.branch = append(r.branch, "something else")
	}
	r.history[c.Revision] = slices.Clone(r.branch)
	r.changes[c.Number].Status = source.Merged
	r.mu.Unlock()
	r.tell(c.Number)
	return nil
}

func (r *review) Merging(context.Context, queue.Change) (source.SubmitType, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return "", errDown
	}
	return r.mode, nil
}

func (r *review) Remote(string) (string, map[string]string) { return "", nil }

// Merge, Tip, Merged, ReadFile and Archive make it gate.States.
func (r *review) Merge(_ context.Context, _, _ string, picks []merger.Pick, _ bool) (merger.State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	content := slices.Clone(r.branch)
	for _, p := range picks {
		if r.clash[p.Revision] {
			return merger.State{}, &merger.ConflictError{Change: p.Name, Files: []string{"a.go"}, Message: "CONFLICT (content)"}
		}
		if !slices.Contains(content, p.Revision) {
			content = append(content, p.Revision)
		}
	}
	tree := strings.Join(content, " ")
	return merger.State{Tip: strings.Join(r.branch, " "), Commit: "commit " + tree, Tree: tree, Files: []string{"a.go"}}, nil
}

func (r *review) Tip(context.Context, string, string) (commit, tree string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tree = strings.Join(r.branch, " ")
	return "commit " + tree, tree, nil
}

func (r *review) Merged(_ context.Context, _, _, revision string) (commit, tree string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	content, ok := r.history[revision]
	if !ok {
		return "", "", merger.ErrNotMerged
	}
	tree = strings.Join(content, " ")
	return "commit " + tree, tree, nil
}

func (r *review) ReadFile(context.Context, string, string, string, int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == "" {
		return nil, fs.ErrNotExist
	}
	return []byte(r.file), nil
}

func (r *review) Archive(_ context.Context, _, commit string, w io.Writer) error {
	_, err := io.WriteString(w, commit)
	return err
}

// machines gives out machines that do what run says.
type machines struct {
	mu     sync.Mutex
	open   map[string]bool
	most   int
	swept  []string
	launch func(r node.Request) error
	// fetch is how a machine gives files; nil: it has one, report.xml.
	fetch func(ctx context.Context, w io.Writer) error
	// connect is what a machine says to its network.
	connect error
	// run is the work of a machine. tree is what was copied into it.
	run func(ctx context.Context, m *machine, s node.Step, out io.Writer) (int, error)
}

func newMachines(run func(context.Context, *machine, node.Step, io.Writer) (int, error)) *machines {
	return &machines{open: map[string]bool{}, run: run}
}

func (m *machines) Launch(ctx context.Context, r node.Request) (gate.Node, error) {
	if m.launch != nil {
		if err := m.launch(r); err != nil {
			return nil, err
		}
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(3 * time.Second): // the boot
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[r.Build] = true
	m.most = max(m.most, len(m.open))
	return &machine{pool: m, request: r}, nil
}

func (m *machines) Sweep(_ context.Context, keep func(string) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for build := range m.open {
		if !keep(build) {
			delete(m.open, build)
			m.swept = append(m.swept, build)
		}
	}
	return nil
}

func (m *machines) used() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.open)
}

type machine struct {
	pool    *machines
	request node.Request
	tree    string
}

func (m *machine) Connect(_ context.Context, a network.Access) (map[string]string, error) {
	env := map[string]string{}
	for _, s := range a.Services {
		maps.Copy(env, s.Env("127.0.0.1:4000"))
	}
	return env, m.pool.connect
}

func (m *machine) CopyTree(_ context.Context, tar io.Reader, _ string) error {
	data, err := io.ReadAll(tar)
	m.tree = string(data)
	return err
}

func (m *machine) Run(ctx context.Context, s node.Step, out io.Writer) (int, error) {
	return m.pool.run(ctx, m, s, out)
}

func (m *machine) Fetch(ctx context.Context, path string, w io.Writer) error {
	if m.pool.fetch != nil {
		return m.pool.fetch(ctx, w)
	}
	if !strings.HasSuffix(path, "report.xml") {
		return fs.ErrNotExist
	}
	_, err := io.WriteString(w, "<report/>")
	return err
}

func (m *machine) Address() string { return "127.64.0.1:22" }
func (m *machine) Home() string    { return "/home/gate" }

func (m *machine) Close(context.Context) error {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	delete(m.pool.open, m.request.Build)
	return nil
}
