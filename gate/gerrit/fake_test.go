package gerrit_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// server is as much of a Gerrit as the gate uses: REST with a password, and
// stream-events over ssh for registered keys.
type server struct {
	t    *testing.T
	http *httptest.Server
	ssh  net.Listener

	mu       sync.Mutex
	answers  map[string]any // by path and query below /a/
	status   map[string]int
	posted   map[string][]byte
	keys     []ssh.PublicKey
	streams  []ssh.Channel
	host     ssh.Signer
	sessions sync.WaitGroup
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, answers: map[string]any{"accounts/self": map[string]any{"_account_id": 7}}, status: map[string]int{}, posted: map[string][]byte{}, host: newHostKey(t)}
	s.http = httptest.NewServer(http.HandlerFunc(s.rest))
	t.Cleanup(s.http.Close)
	s.listen("127.0.0.1:0")
	t.Cleanup(func() {
		s.cut()
		_ = s.ssh.Close()
		s.sessions.Wait()
	})
	return s
}

func newHostKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	return signer
}

// rest answers behind Gerrit's guard; errors are plain text, as Gerrit's.
func (s *server) rest(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	path, below := strings.CutPrefix(r.URL.RequestURI(), "/a/")
	if !below || user != "gate" || password != "secret" {
		w.Header().Set("WWW-Authenticate", `Basic realm="Gerrit"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if status := s.status[path]; status != 0 {
		http.Error(w, "the reason", status)
		return
	}
	if r.Method == http.MethodPost {
		s.posted[path] = body
		if path == "accounts/self/sshkeys" {
			key, _, _, _, err := ssh.ParseAuthorizedKey(body)
			if err != nil {
				http.Error(w, "no key", http.StatusBadRequest)
				return
			}
			s.keys = append(s.keys, key)
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = io.WriteString(w, ")]}'\n{}\n")
		return
	}
	answer, ok := s.answers[path]
	if !ok {
		http.Error(w, "Not found: "+path, http.StatusNotFound)
		return
	}
	data, err := json.Marshal(answer)
	if raw, is := answer.(string); is {
		data, err = []byte(raw), nil
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(append([]byte(")]}'\n"), data...))
}

func (s *server) listen(address string) {
	s.t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(s.t, err)
	s.ssh = l
	s.sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.sessions.Go(func() { s.serve(conn) })
		}
	})
}

func (s *server) serve(conn net.Conn) {
	s.mu.Lock()
	config := &ssh.ServerConfig{PublicKeyCallback: s.known}
	config.AddHostKey(s.host)
	s.mu.Unlock()
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		_ = conn.Close()
		return
	}
	s.sessions.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		channel, requests, err := n.Accept()
		if err != nil {
			continue
		}
		for r := range requests {
			command := bytes.TrimLeft(r.Payload, "\x00")
			// It listens before it is told so: no event is missed.
			s.mu.Lock()
			s.streams = append(s.streams, channel)
			s.mu.Unlock()
			_ = r.Reply(r.Type == "exec" && len(command) > 1 && string(command[1:]) == "gerrit stream-events", nil)
			break
		}
		s.sessions.Go(func() { ssh.DiscardRequests(requests) })
	}
	_ = c.Close()
}

func (s *server) known(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return &ssh.Permissions{}, nil
		}
	}
	return nil, io.EOF
}

// emit sends an event to everybody who listens.
func (s *server) emit(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.streams {
		_, _ = io.WriteString(c, line+"\n")
	}
}

// cut ends all streams.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.streams {
		_ = c.Close()
	}
	s.streams = nil
}
