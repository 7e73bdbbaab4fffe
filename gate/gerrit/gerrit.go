// Package gerrit reads a Gerrit server and reports to it, as any Gerrit
// client does: stream-events over ssh, REST with HTTP passwords, git over
// HTTP. It follows Gerrit 3.x's documentation
// (https://gerrit-review.googlesource.com/Documentation/rest-api.html and
// cmd-stream-events.html), and works with Gatehouse's own review server and
// with Gerrit alike.
package gerrit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config says which server to use, and as whom.
type Config struct {
	// URL is the server's root, such as http://127.0.0.1:8080.
	URL string
	// SSH is the address of its ssh port, such as 127.0.0.1:29418.
	SSH string
	// User and Password are the gate's account; the password is Gerrit's HTTP
	// password.
	User, Password string
	// Dir keeps the ssh key, made and registered where missing, and the
	// server's host key as first seen.
	Dir string
	// Pause is the time between attempts to connect; it doubles up to Patience
	// times eight. Zero: one second.
	Pause time.Duration
	// Log takes what an operator may want to know.
	Log *slog.Logger
	// HTTP is the client to use; nil: one with a timeout of a minute.
	HTTP *http.Client
}

// Gerrit is a Gerrit server. Its methods may be called concurrently.
type Gerrit struct {
	config Config
	http   *http.Client
	signer ssh.Signer

	mu      sync.Mutex
	account int64 // the gate's own, 0: not asked yet
}

// New prepares to use a server; it does not connect. It makes the ssh key
// where there is none.
func New(c Config) (*Gerrit, error) {
	if _, err := url.Parse(c.URL); err != nil || c.URL == "" {
		return nil, fmt.Errorf("address of the review server %q: %w", c.URL, errors.Join(err))
	}
	c.URL = strings.TrimRight(c.URL, "/")
	if c.Pause == 0 {
		c.Pause = time.Second
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: time.Minute}
	}
	signer, err := loadKey(c.Dir)
	if err != nil {
		return nil, err
	}
	return &Gerrit{config: c, http: c.HTTP, signer: signer}, nil
}

// Remote is where git fetches a project from. The password is in the
// configuration, which goes to git by its environment.
func (g *Gerrit) Remote(project string) (remote string, config map[string]string) {
	token := base64.StdEncoding.EncodeToString([]byte(g.config.User + ":" + g.config.Password))
	return g.config.URL + "/a/" + escapeProject(project), map[string]string{
		"http.extraHeader":     "Authorization: Basic " + token,
		"credential.helper":    "",
		"http.followRedirects": "false",
	}
}

// escapeProject keeps the slashes, which git's URLs show.
func escapeProject(project string) string {
	parts := strings.Split(project, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// self is the number of the gate's own account.
func (g *Gerrit) self(ctx context.Context) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.account != 0 {
		return g.account, nil
	}
	var a struct {
		ID int64 `json:"_account_id"`
	}
	if err := g.get(ctx, "accounts/self", &a); err != nil {
		return 0, err
	}
	g.account = a.ID
	return a.ID, nil
}
