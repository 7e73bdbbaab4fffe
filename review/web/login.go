package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

type loginBody struct {
	Next, Username, Problem string
}

func (s *Site) loginPage(v *visit) error {
	page := s.page(v, "Sign in")
	page.Body = loginBody{Next: local(v.r.URL.Query().Get("next"))}
	return s.render(v, http.StatusOK, "login", page)
}

// login begins a session. Gertty's auth-type "form" posts here, too.
func (s *Site) login(v *visit) error {
	username, next := strings.TrimSpace(v.r.PostForm.Get("username")), local(v.r.PostForm.Get("next"))
	account, err := s.service.Login(v.ctx(), username, v.r.PostForm.Get("password"))
	if fault.Is(err, fault.Unauthorized) {
		page := s.page(v, "Sign in")
		page.Body = loginBody{Next: next, Username: username, Problem: "That name and password do not match."}
		return s.render(v, http.StatusUnauthorized, "login", page)
	}
	if err != nil {
		return err
	}
	setCookie(v, s.sessions.issue(account.ID, time.Now()))
	return v.redirect(next)
}

func (s *Site) logout(v *visit) error {
	setCookie(v, "")
	return v.redirect("/")
}

// redirect sends the browser to a path with GET.
func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// local is path if it lies on this server, else "/": nobody can be sent
// elsewhere by signing in.
func local(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
