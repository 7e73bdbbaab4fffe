package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

const (
	cookieName = "GatehouseReview"
	lifetime   = 14 * 24 * time.Hour
	keyBytes   = 32
)

// sessions signs and checks cookies. A cookie's value is
// "ACCOUNT.EXPIRY.NONCE.SIGNATURE": nothing is kept on the server.
type sessions struct{ key []byte }

// openSessions reads the key from file, or makes it.
func openSessions(file string) (*sessions, error) {
	key, err := os.ReadFile(file)
	if err == nil && len(key) == keyBytes {
		return &sessions{key}, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read key of web sessions: %w", err)
	}
	key = make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("make directory for key of web sessions: %w", err)
	}
	if err := os.WriteFile(file, key, 0o600); err != nil {
		return nil, fmt.Errorf("write key of web sessions: %w", err)
	}
	return &sessions{key}, nil
}

func (s *sessions) sign(purpose, text string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(purpose + "\x00" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// issue makes a session for an account.
func (s *sessions) issue(account int64, now time.Time) string {
	text := fmt.Sprintf("%d.%d.%s", account, now.Add(lifetime).Unix(), rand.Text())
	return text + "." + s.sign("session", text)
}

// account is whose session it is, and when it began, to the second. The
// account is 0 if the session is forged or over.
func (s *sessions) account(session string, now time.Time) (account int64, began time.Time) {
	i := strings.LastIndexByte(session, '.')
	if i < 0 || !equal(session[i+1:], s.sign("session", session[:i])) {
		return 0, time.Time{}
	}
	parts := strings.Split(session, ".")
	account, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return 0, time.Time{}
	}
	expiry, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || now.Unix() >= expiry {
		return 0, time.Time{}
	}
	return account, time.Unix(expiry, 0).Add(-lifetime)
}

// token is what forms of the session carry.
func (s *sessions) token(session string) string { return s.sign("form", session) }

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// identify finds out whose session the visit belongs to. A session that is
// over, or whose account was closed or became somebody else's since, makes it
// nobody's.
func (s *Site) identify(ctx context.Context, v *visit) error {
	cookie, err := v.r.Cookie(cookieName)
	if err != nil {
		return nil //nolint:nilerr // no cookie: nobody in particular
	}
	id, began := s.sessions.account(cookie.Value, time.Now())
	if id == 0 {
		return nil
	}
	account, err := s.service.ActiveAccount(ctx, id)
	if fault.Is(err, fault.Unauthorized) {
		return nil
	}
	if err != nil {
		return err
	}
	if began.Before(account.Registered.Truncate(time.Second)) {
		return nil
	}
	v.caller, v.session = account, cookie.Value
	return nil
}

// maxForm bounds a form, in bytes.
const maxForm = 1 << 20

// protection refuses forms that a browser says another site has sent.
var protection = http.NewCrossOriginProtection()

// checkForm reads a form and refuses it unless it is from one of our pages. A
// form for nobody, which is the one to sign in with, has no token.
func (s *Site) checkForm(v *visit) error {
	if err := protection.Check(v.r); err != nil {
		return fault.New(fault.Forbidden, "This form was sent by another site.")
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return fault.New(fault.BadRequest, "The form cannot be read: %v", err)
	}
	if v.session != "" && v.r.URL.Path != "/login" && !equal(v.r.PostForm.Get("token"), s.sessions.token(v.session)) {
		return fault.New(fault.Forbidden, "This form is out of date: reload the page and send it again.")
	}
	return nil
}

// setCookie begins a session, or ends it if value is empty.
func setCookie(v *visit, value string) {
	cookie := &http.Cookie{ //nolint:gosec // Secure where the site is; plain HTTP must work on a laptop
		Name: cookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: v.r.TLS != nil || v.r.Header.Get("X-Forwarded-Proto") == "https", MaxAge: int(lifetime / time.Second),
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(v.w, cookie)
}

// needCaller is the account that visits. There must be one.
func (v *visit) needCaller() (*review.Account, error) {
	if v.caller == nil {
		return nil, fault.New(fault.Unauthorized, "Sign in first.")
	}
	return v.caller, nil
}
