package web_test

import (
	"bufio"
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/githttp"
	"github.com/gatehouse-dev/gatehouse/review/query"
	"github.com/gatehouse-dev/gatehouse/review/rest"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
	"github.com/gatehouse-dev/gatehouse/review/web"
)

// site is a review server with all of its HTTP doors.
type site struct {
	*reviewtest.Site

	t       *testing.T
	address string
	keyFile string
}

func start(t *testing.T) *site {
	t.Helper()
	s := &site{Site: reviewtest.Start(t), t: t, keyFile: filepath.Join(t.TempDir(), "key")}
	s.address = s.serve()
	return s
}

// serve starts another instance of the pages, as after a restart.
func (s *site) serve() string {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil))
	language := query.New(s.Labels(""), time.Now)
	handler, err := web.New(web.Config{
		Service: s.Service, Compile: language.Compile, Log: log, KeyFile: s.keyFile,
		REST: rest.New(rest.Config{Service: s.Service, Compile: language.Compile, Log: log}),
		Git:  githttp.New(s.Service, log), IsGit: githttp.Match,
	})
	require.NoError(s.t, err)
	server := httptest.NewServer(handler)
	s.t.Cleanup(server.Close)
	return server.URL
}

// browser keeps cookies and follows redirections, as a browser does.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

// page is what a browser got: the address is where it ended up.
type page struct {
	status  int
	address string
	header  http.Header
	text    string
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	return &browser{s.t, s.address, &http.Client{Jar: jar}}
}

// as is a browser in which a user has signed in.
func (s *site) as(user string) *browser {
	b := s.browser()
	p := b.post("/login", url.Values{"username": {user}, "password": {reviewtest.Password}})
	require.Equal(s.t, 200, p.status, p.text)
	return b
}

func (b *browser) send(r *http.Request) page {
	b.t.Helper()
	response, err := b.client.Do(r)
	require.NoError(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return page{response.StatusCode, response.Request.URL.RequestURI(), response.Header, string(text)}
}

func (b *browser) get(path string) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+path, nil)
	require.NoError(b.t, err)
	return b.send(r)
}

func (b *browser) post(path string, form url.Values) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(r)
}

var tokenForm = regexp.MustCompile(`name="token" value="([^"]+)"`)

// press sends a form of a page: its token, and what is given.
func (b *browser) press(path string, fields ...string) page {
	b.t.Helper()
	token := tokenForm.FindStringSubmatch(b.get(path).text)
	require.NotNil(b.t, token, "no form on %s", path)
	form := url.Values{"token": {token[1]}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.post(path, form)
}

var tags = regexp.MustCompile(`<[^>]*>`)

// words is the page's text without markup, white space folded.
func (p page) words() string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(p.text, " "))), " ")
}

func oneChange(t *testing.T, subject, options string) (*site, *reviewtest.Clone) {
	t.Helper()
	s := start(t)
	s.Project(t, "tools/hello")
	clone := s.Clone(t, "ann", "tools/hello")
	clone.Commit("hello.go", "package hello\n\n// Hello says <hello>.\nconst Hello = \"hello\"\n", subject)
	clone.Git("push", "-q", "origin", "HEAD:refs/for/main"+options)
	return s, clone
}

const change = "/c/tools/hello/+/1"

func TestEachPathHasItsDoor(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t, "Say hello", "")
	b := s.browser()
	assert.Contains(t, b.get("/tools/hello/info/refs?service=git-upload-pack").header.Get("Content-Type"), "git-upload-pack")
	assert.Contains(t, b.get("/changes/").text, ")]}'")
	assert.Equal(t, 401, b.get("/a/changes/").status)
	for _, path := range []string{"/", "/login", change, change + "/1", change + "/1/hello.go", "/?q=status:merged"} {
		p := b.get(path)
		assert.Equal(t, 200, p.status, path)
		assert.Contains(t, p.header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'", path)
		assert.NotRegexp(t, `<script>|<style|style="| on[a-z]+="|https?://[^"]*\.js`, p.text, path)
	}
	for _, path := range []string{"/nothing", "/c/tools/hello/+/9", "/c/tools/hello", "/c/tools/hello/+/1/7", "/77"} {
		assert.Equal(t, 404, b.get(path).status, path)
	}
	for _, path := range []string{"/static/htmx.min.js", "/static/review.css", "/static/syntax.css", "/static/icon.svg"} {
		assert.Equal(t, 200, b.get(path).status, path)
	}
	assert.Equal(t, change, b.get("/1").address)
	assert.Equal(t, change, b.get("/c/other/+/1").address)
	assert.Equal(t, change, b.get("/?q=1").address, "a number in the search box leads to the change")
	assert.Equal(t, "/?q=status%3Aopen", b.get("/q/status:open").address)
}

func TestListShowsChangesAndSearches(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t, "Say <script>alert(1)</script>", "%topic=greetings,wip")
	p := s.browser().get("/")
	assert.Contains(t, p.words(), "Say <script>alert(1)</script> WIP greetings Ann Author tools/hello main")
	assert.NotContains(t, p.text, "<script>alert")
	assert.Contains(t, s.browser().get("/?q=topic:other").words(), "No change matches.")
	wrong := s.browser().get("/?q=status:odd")
	assert.Equal(t, 400, wrong.status)
	assert.Contains(t, wrong.words(), "Unrecognized value: odd")
	assert.Contains(t, s.as("ann").get("/?q=is:owner").words(), "Ann Author tools/hello")
}

func TestChangePageTellsAll(t *testing.T) {
	t.Parallel()
	s, clone := oneChange(t, "Say hello\n\nTo <everybody>.", "")
	clone.Write(".gate.yaml", "- job: {name: unit}\n")
	clone.Amend("hello.go", "package hello\n\n// Hello says <hello>.\nconst Hello = \"hullo\"\n")
	clone.Git("push", "-q", "origin", "HEAD:refs/for/main")
	review1 := func(user string, in review.ReviewInput) {
		_, err := s.Review(t.Context(), s.Account(t, user), 1, 2, in)
		require.NoError(t, err)
	}
	review1("gate", review.ReviewInput{
		Message: "Build failed (check pipeline).\n\n- unit http://gate/build/1 : FAILURE in 12s\n- lint http://gate/build/2 : SUCCESS in 3s",
		Labels:  map[string]int{"Verified": -1}, Tag: "autogenerated:zuul:check",
	})
	review1("bob", review.ReviewInput{Comments: []review.Comment{{Path: "hello.go", Line: 4, Message: "Hullo?", Unresolved: true}}})

	p := s.browser().get(change)
	words := p.words()
	assert.Contains(t, words, "To <everybody>.")
	assert.Contains(t, words, "Code-Review no votes needs Code-Review +2")
	assert.Contains(t, words, "Verified −1 Gate not needed", "main holds no .gate.yaml yet")
	assert.Contains(t, words, "check Build failed (check pipeline).")
	assert.Contains(t, p.text, `<a href="http://gate/build/1">unit</a>`)
	assert.Contains(t, words, "FAILURE 12s")
	assert.Contains(t, words, "Hullo?")
	assert.Contains(t, p.text, `<span class="kd">const</span>`)
	assert.Contains(t, words, "Sign in to reply and vote.")

	between := s.browser().get(change + "/1..2").text
	assert.Contains(t, between, "<mark>u</mark>")
	assert.Contains(t, between, "<mark>e</mark>")
	old := s.browser().get(change + "/1").words()
	assert.Contains(t, old, "This is patch set 1. Patch set 2 is the current one.")
	assert.NotContains(t, old, "FAILURE 12s", "the results are patch set 2's")
}

func TestPrivateChangesStayHidden(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t, "A secret", "%private")
	for _, b := range []*browser{s.browser(), s.as("bob")} {
		p := b.get(change)
		assert.Equal(t, 404, p.status)
		assert.NotContains(t, p.text, "secret")
		assert.NotContains(t, b.get("/").text, "secret")
	}
	assert.Equal(t, 200, s.as("ann").get(change).status)
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	wrong := b.post("/login", url.Values{"username": {"ann"}, "password": {"wrong"}, "next": {"/settings"}})
	assert.Equal(t, 401, wrong.status)
	assert.Contains(t, wrong.words(), "That name and password do not match.")
	assert.Contains(t, b.get("/settings").address, "/login", "settings are somebody's")

	in := b.post("/login", url.Values{"username": {"ann"}, "password": {"secret"}, "next": {"/settings"}})
	assert.Equal(t, "/settings", in.address)
	assert.Contains(t, in.words(), "Ann Author")
	elsewhere := s.browser().post("/login", url.Values{"username": {"ann"}, "password": {"secret"}, "next": {"https://evil.example/"}})
	assert.Equal(t, "/", elsewhere.address)

	b.base = s.serve() // as after a restart; the host, so the cookie, is the same
	assert.Equal(t, "/settings", b.get("/settings").address)
	out := b.press("/settings") // without "do": refused, but by somebody
	assert.Equal(t, 400, out.status)
	token := tokenForm.FindStringSubmatch(b.get("/settings").text)[1]
	b.post("/logout", url.Values{"token": {token}})
	assert.Contains(t, b.get("/settings").address, "/login")
}

func TestSessionCookieIsTheBrowsersAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	in := b.post("/login", url.Values{"username": {"ann"}, "password": {"secret"}})
	cookie, err := http.ParseSetCookie(in.header.Get("Set-Cookie"))
	require.NoError(t, err)
	assert.True(t, cookie.HttpOnly)
	assert.Equal(t, http.SameSiteLaxMode, cookie.SameSite)

	forged := strings.Replace(cookie.Value, ".", "0.", 1) // another account's number
	for _, value := range []string{forged, "", "1.2", cookie.Value + "x"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.address+"/settings", nil)
		require.NoError(t, err)
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: value})
		stranger := s.browser()
		assert.Contains(t, stranger.send(r).address, "/login", value)
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t, "Say hello", "")
	b := s.as("ann")
	assert.Equal(t, 403, b.post(change, url.Values{"do": {"abandon"}}).status)
	assert.Equal(t, 403, b.post(change, url.Values{"do": {"abandon"}, "token": {"guessed"}}).status)
	other := s.as("bob").get("/settings").text
	assert.Equal(t, 403, b.post(change, url.Values{"do": {"abandon"}, "token": {tokenForm.FindStringSubmatch(other)[1]}}).status)

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.address+"/login", strings.NewReader("username=ann&password=secret"))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	assert.Equal(t, 403, s.browser().send(r).status)
	assert.Equal(t, 401, s.browser().post(change, url.Values{"do": {"abandon"}}).status)
	assert.Contains(t, s.browser().get(change).text, `class="tag new"`)
}

func TestReplyVotesAndSubmit(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t, "Say hello", "")
	bob := s.as("bob")
	p := bob.press(change, "do", "reply", "patchset", "1", "message", "Fine.\r\nReally.", "label:Code-Review", "1", "was:Code-Review", "0")
	require.Equal(t, 200, p.status, p.words())
	assert.Contains(t, p.words(), "Patch Set 1: Code-Review+1")
	assert.Contains(t, p.words(), "Fine. Really.")
	assert.NotContains(t, p.text, `value="submit"`)
	assert.Equal(t, 400, bob.press(change, "do", "reply", "patchset", "1", "label:Code-Review", "1", "was:Code-Review", "1").status,
		"an unchanged vote says nothing")
	assert.Equal(t, 403, bob.press(change, "do", "reply", "patchset", "1", "label:Code-Review", "2", "was:Code-Review", "1").status)
	assert.Equal(t, 403, bob.press(change, "do", "abandon").status)

	admin := s.as("admin")
	p = admin.press(change, "do", "reply", "patchset", "1", "label:Code-Review", "2", "was:Code-Review", "0")
	assert.Contains(t, p.words(), "Ready to submit")
	assert.Contains(t, p.text, `value="submit"`)
	p = admin.press(change, "do", "submit")
	require.Equal(t, 200, p.status, p.words())
	assert.Contains(t, p.text, `class="tag merged"`)
}

func TestOwnerAbandonsAndRestores(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t, "Say hello", "")
	ann := s.as("ann")
	assert.Contains(t, ann.press(change, "do", "abandon").text, `class="tag abandoned"`)
	assert.Equal(t, 409, ann.press(change, "do", "abandon").status)
	assert.Contains(t, ann.press(change, "do", "restore").text, `class="tag new"`)
	assert.Contains(t, ann.press(change, "do", "wip").words(), "work in progress")
	assert.NotContains(t, ann.press(change, "do", "ready").words(), "work in progress")
	assert.Contains(t, ann.press(change, "do", "topic", "topic", "greetings").words(), "Topic greetings")
}

func TestSettingsKeepKeysAndPasswords(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.as("bob")
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl bob@laptop"
	assert.Contains(t, b.press("/settings", "do", "add-key", "key", key).words(), "bob@laptop")
	assert.Equal(t, 400, b.press("/settings", "do", "add-key", "key", "nonsense").status)
	assert.Contains(t, b.press("/settings", "do", "delete-key", "seq", "1").words(), "No key yet.")

	shown := b.press("/settings", "do", "new-password")
	secret := regexp.MustCompile(`class="secret">([^<]+)<`).FindStringSubmatch(shown.text)
	require.NotNil(t, secret)
	account, err := s.Login(t.Context(), "bob", html.UnescapeString(secret[1]))
	require.NoError(t, err)
	assert.Equal(t, "bob", account.Username)
	assert.NotContains(t, b.get("/settings").text, secret[1], "it is shown once")
}

func TestPagesHearOfEvents(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t, "Say hello", "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+"/events?change=1", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	require.True(t, lines.Scan())
	assert.Equal(t, ": hello", lines.Text())

	_, err = s.Abandon(t.Context(), s.Account(t, "ann"), 1, "")
	require.NoError(t, err)
	for lines.Scan() && lines.Text() != "data: 1" {
	}
	assert.Equal(t, "data: 1", lines.Text())
}

func TestASessionEndsWithItsUser(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.as("ann")
	require.Contains(t, ann.get("/settings").words(), "User name ann")
	s.People.Forget("ann")
	assert.Equal(t, "/login?next=/settings", ann.get("/settings").address)
	s.People.Know(reviewtest.Users["ann"])
	assert.Contains(t, ann.get("/settings").words(), "User name ann")
}

func TestASessionEndsAsItsAccountBecomesAnothers(t *testing.T) {
	t.Parallel()
	s := start(t)
	session := func(began time.Time, account *review.Account) *browser {
		b := s.browser()
		address, err := url.Parse(s.address)
		require.NoError(t, err)
		b.client.Jar.SetCookies(address, []*http.Cookie{web.Session(t, s.keyFile, account.ID, began)})
		return b
	}
	ann := s.Account(t, "ann")
	assert.Equal(t, "/settings", session(ann.Registered, ann).get("/settings").address)
	old := session(ann.Registered.Add(-time.Hour), ann)
	assert.Equal(t, "/login?next=/settings", old.get("/settings").address)
}

func TestTheSignInOfAnAdministratorWhoIsNoneAnyMore(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.as("admin")
	require.Contains(t, admin.get("/settings").words(), "Administrators")
	s.People.Know(review.User{Username: "admin"})
	assert.NotContains(t, admin.get("/settings").words(), "Administrators")
}
