package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// storyModule is the real module that the demo puts under review. Which
// version is go.mod's affair.
const storyModule = "github.com/google/uuid"

// storyTimeout bounds each wait for the gate, machines included.
const storyTimeout = 5 * time.Minute

// story is what a developer does with Gatehouse, told by the tools that a
// developer has: git, and HTTP as curl would speak it.
type story struct {
	review, gate   string // addresses, host:port
	user, password string
	project        string
	dir            string // the work tree
	say            func(format string, args ...any)

	change int // number of the change, once pushed
}

// tell runs the whole story. What it returns says which expectation failed.
func (s *story) tell(ctx context.Context) error {
	if err := s.importModule(ctx); err != nil {
		return fmt.Errorf("put the module under review: %w", err)
	}
	var message string
	for i, set := range patchSets {
		if err := s.push(ctx, set, i > 0); err != nil {
			return fmt.Errorf("push patch set %d: %w", i+1, err)
		}
		s.say("pushed patch set %d of change %d: %s", i+1, s.change, set.what)
		vote, report, err := s.awaitVerified(ctx, i+1)
		if err != nil {
			return err
		}
		if vote != set.vote || !strings.Contains(report, set.report) {
			return fmt.Errorf("patch set %d got Verified %+d, expected %+d with %q; the gate said:\n%s\n%s",
				i+1, vote, set.vote, set.report, report, s.logTails(ctx, report))
		}
		s.say("check voted Verified %+d:\n%s", vote, indent(report))
	}
	if err := s.vote(ctx, map[string]int{"Code-Review": 2, "Workflow": 1}); err != nil {
		return err
	}
	s.say("voted Code-Review +2, Workflow +1")
	message, err := s.awaitMerged(ctx)
	if err != nil {
		return err
	}
	s.say("the gate tested it on the tip and merged it:\n%s", indent(message))
	log, err := s.git(ctx, "log", "--graph", "--format=%h %an: %s", "--max-count=6", "FETCH_HEAD")
	if err != nil {
		return err
	}
	s.say("branch main is now:\n%s", indent(log))
	return nil
}

// importModule makes the project and pushes the module to its main branch,
// together with the files that gate it.
func (s *story) importModule(ctx context.Context) error {
	source, version, err := moduleSource(ctx)
	if err != nil {
		return err
	}
	input := map[string]any{"description": storyModule + " " + version, "branches": []string{"main"}}
	if err := s.call(ctx, http.MethodPut, "/a/projects/"+url.PathEscape(s.project), input, nil); err != nil {
		return err
	}
	if err := copyTree(s.dir, source); err != nil {
		return err
	}
	for name, text := range storyFiles {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	hook := &bytes.Buffer{}
	if err := s.call(ctx, http.MethodGet, "/tools/hooks/commit-msg", nil, hook); err != nil {
		return err
	}
	if err := s.initRepository(ctx); err != nil {
		return err
	}
	//nolint:gosec // a hook is a program
	if err := os.WriteFile(filepath.Join(s.dir, ".git/hooks/commit-msg"), hook.Bytes(), 0o700); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"add", "."},
		{"commit", "--quiet", "--message", "Import " + storyModule + " " + version},
		{"push", "--quiet", "origin", "HEAD:refs/heads/main"},
	} {
		if _, err := s.git(ctx, args...); err != nil {
			return err
		}
	}
	s.say("project %s holds %s %s, with a .gate.yaml of the jobs lint and unit", s.project, storyModule, version)
	return nil
}

// initRepository makes the work tree's repository, with credentials such that
// a person can go on pushing from it.
func (s *story) initRepository(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(s.dir, ".git"), 0o700); err != nil {
		return err
	}
	remote := &url.URL{Scheme: "http", Host: s.review, Path: "/" + s.project}
	login := *remote
	login.User, login.Path = url.UserPassword(s.user, s.password), ""
	store := filepath.Join(s.dir, ".git", "gatehouse-credentials")
	if err := os.WriteFile(store, []byte(login.String()+"\n"), 0o600); err != nil {
		return err
	}
	remote.User = url.User(s.user)
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"config", "user.name", "Demo Developer"},
		{"config", "user.email", "developer@example.org"},
		{"config", "credential.helper", "store --file='" + store + "'"},
		{"remote", "add", "origin", remote.String()},
	} {
		if _, err := s.git(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

var changeURL = regexp.MustCompile(`/\+/(\d+)`)

// push makes a patch set's edits and sends it for review.
func (s *story) push(ctx context.Context, set patchSet, amend bool) error {
	for _, e := range set.edits {
		if err := e.apply(s.dir); err != nil {
			return err
		}
	}
	commit := []string{"commit", "--quiet", "--all", "--message", storyMessage}
	if amend {
		commit = []string{"commit", "--quiet", "--all", "--amend", "--no-edit"}
	}
	if _, err := s.git(ctx, commit...); err != nil {
		return err
	}
	out, err := s.git(ctx, "push", "origin", "HEAD:refs/for/main")
	if err != nil {
		return err
	}
	match := changeURL.FindStringSubmatch(out)
	if match == nil {
		return fmt.Errorf("git push names no change:\n%s", out)
	}
	_, err = fmt.Sscan(match[1], &s.change)
	return err
}

// changeDetail is what the story reads of Gerrit's ChangeInfo.
type changeDetail struct {
	Status string `json:"status"`
	Labels map[string]struct {
		All []struct {
			Username string `json:"username"`
			Value    int    `json:"value"`
		} `json:"all"`
	} `json:"labels"`
	Messages []struct {
		Message  string `json:"message"`
		Tag      string `json:"tag"`
		PatchSet int    `json:"_revision_number"`
	} `json:"messages"`
}

// awaitVerified waits for the gate's vote on a patch set: the value that is
// not 0, and the message that came with it.
func (s *story) awaitVerified(ctx context.Context, patchSet int) (int, string, error) {
	var vote int
	var message string
	err := s.await(ctx, "Verified vote", func(d changeDetail) bool {
		vote, message = 0, ""
		for _, v := range d.Labels["Verified"].All {
			if v.Value != 0 {
				vote = v.Value
			}
		}
		for _, m := range d.Messages {
			if m.PatchSet == patchSet && strings.Contains(m.Message, "Verified") {
				message = m.Message
			}
		}
		return vote != 0 && message != ""
	})
	return vote, message, err
}

// awaitMerged waits until the change is merged, and fetches the branch.
func (s *story) awaitMerged(ctx context.Context) (string, error) {
	var message string
	rejected := false
	err := s.await(ctx, "merge", func(d changeDetail) bool {
		for _, m := range d.Messages {
			if strings.Contains(m.Message, "Verified+2") || strings.Contains(m.Message, "Verified-2") {
				message = m.Message
			}
		}
		rejected = strings.Contains(message, "Verified-2")
		return rejected || d.Status == "MERGED"
	})
	if err == nil && rejected {
		err = fmt.Errorf("the gate did not merge the change:\n%s\n%s", message, s.logTails(ctx, message))
	}
	if err != nil {
		return "", err
	}
	_, err = s.git(ctx, "fetch", "--quiet", "origin", "main")
	return message, err
}

func (s *story) vote(ctx context.Context, labels map[string]int) error {
	return s.call(ctx, http.MethodPost, fmt.Sprintf("/a/changes/%d/revisions/current/review", s.change),
		map[string]any{"labels": labels}, nil)
}

// await asks for the change until done says that it is as hoped for.
func (s *story) await(ctx context.Context, what string, done func(changeDetail) bool) error {
	ctx, cancel := context.WithTimeout(ctx, storyTimeout)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		body := &bytes.Buffer{}
		var d changeDetail
		err := s.call(ctx, http.MethodGet, fmt.Sprintf("/a/changes/%d/detail", s.change), nil, body)
		if err == nil {
			err = json.Unmarshal(body.Bytes(), &d)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && done(d) {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("no %s of change %d within %s: see http://%s", what, s.change, storyTimeout, s.gate)
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// call makes a REST call as the story's user. A body without Gerrit's prefix
// is written to out, if given.
func (s *story) call(ctx context.Context, method, path string, input any, out *bytes.Buffer) error {
	var body io.Reader
	if input != nil {
		text, err := json.Marshal(input)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.review+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth(s.user, s.password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(answer))
	}
	if out != nil {
		out.Write(bytes.TrimPrefix(answer, []byte(")]}'\n")))
	}
	return nil
}

// git runs git in the work tree, apart from the person's own configuration,
// and returns what it printed.
func (s *story) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return strings.TrimRight(string(out), "\n"), nil
}

var buildURL = regexp.MustCompile(`http://\S+/build/([0-9a-f-]+)`)

// logTails is the end of the log of each build that a report names.
func (s *story) logTails(ctx context.Context, report string) string {
	var tails strings.Builder
	for _, match := range buildURL.FindAllStringSubmatch(report, -1) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.gate+"/logs/"+match[1]+"/job-output.txt", nil)
		if err != nil {
			continue
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(response.Body) // what there is, is better than nothing
		response.Body.Close()
		lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		fmt.Fprintf(&tails, "%s:\n%s\n", match[0], indent(strings.Join(lines[max(0, len(lines)-20):], "\n")))
	}
	return tails.String()
}

// moduleSource finds the module's files in the module cache, in the version
// that this binary was built with.
func moduleSource(ctx context.Context) (dir, version string, err error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", "", errors.New("this binary has no build information")
	}
	for _, dep := range info.Deps {
		if dep.Path == storyModule {
			version = dep.Version
		}
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", storyModule+"@"+version)
	cmd.Dir = os.TempDir() // the version is named: no go.mod has a say
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("go mod download %s: %w", storyModule, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", "", err
	}
	return module.Dir, version, nil
}

// copyTree copies a module's files, read-only in the cache, so that they can
// be edited.
func copyTree(to, from string) error {
	return fs.WalkDir(os.DirFS(from), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}
