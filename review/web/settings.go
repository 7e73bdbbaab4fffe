package web

import (
	"net/http"
	"strconv"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

type settingsBody struct {
	Keys     []review.SSHKey
	Emails   []string
	Password string // just made: shown once
	URL, SSH string
	Saved    bool
}

func (s *Site) settingsPage(v *visit) error {
	if v.caller == nil {
		return v.redirect("/login?next=/settings")
	}
	return s.showSettings(v, "")
}

func (s *Site) showSettings(v *visit, password string) error {
	keys, err := s.service.SSHKeys(v.ctx(), v.caller, v.caller.ID)
	if err != nil {
		return err
	}
	emails, err := s.service.Emails(v.ctx(), v.caller, v.caller.ID)
	if err != nil {
		return err
	}
	page := s.page(v, "Settings")
	page.Here = "/settings"
	page.Body = settingsBody{
		Keys: keys, Emails: emails, Password: password, URL: s.service.URL(), SSH: s.service.SSH(), Saved: v.r.URL.Query().Has("saved"),
	}
	return s.render(v, http.StatusOK, "settings", page)
}

// changeSettings does what the pressed button, named "do", says.
func (s *Site) changeSettings(v *visit) error {
	caller, err := v.needCaller()
	if err != nil {
		return err
	}
	form := v.r.PostForm
	switch form.Get("do") {
	case "add-key":
		_, err = s.service.AddSSHKey(v.ctx(), caller, caller.ID, form.Get("key"))
	case "delete-key":
		var seq int
		if seq, err = strconv.Atoi(form.Get("seq")); err != nil {
			return fault.New(fault.BadRequest, "There is no such key.")
		}
		err = s.service.DeleteSSHKey(v.ctx(), caller, caller.ID, seq)
	case "new-password":
		var password string
		if password, err = s.service.SetHTTPPassword(v.ctx(), caller, caller.ID, ""); err == nil {
			return s.showSettings(v, password)
		}
	case "delete-password":
		err = s.service.DeleteHTTPPassword(v.ctx(), caller, caller.ID)
	case "name":
		err = s.service.SetFullName(v.ctx(), caller, caller.ID, form.Get("name"))
	default:
		err = fault.New(fault.BadRequest, "The form says nothing to do.")
	}
	if err != nil {
		return err
	}
	return v.redirect("/settings?saved")
}
