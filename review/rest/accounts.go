package rest

import (
	"strconv"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

func (s *Server) accountRoutes() {
	s.handle("GET /accounts", s.findAccounts)
	s.handle("PUT /accounts/{account}", s.putAccount)
	s.account("GET /accounts/{account}", func(_ *call, a *review.Account) (any, error) { return account(*a, true), nil })
	s.account("GET /accounts/{account}/detail", s.getAccountDetail)
	s.account("GET /accounts/{account}/name", func(_ *call, a *review.Account) (any, error) { return a.FullName, nil })
	s.account("PUT /accounts/{account}/name", s.putName)
	s.account("GET /accounts/{account}/username", func(_ *call, a *review.Account) (any, error) { return a.Username, nil })
	s.account("GET /accounts/{account}/active", getActive)
	s.account("GET /accounts/{account}/groups", func(_ *call, a *review.Account) (any, error) { return groupInfos(a.Groups()), nil })
	s.account("GET /accounts/{account}/capabilities", getCapabilities)
	s.account("GET /accounts/{account}/preferences", getPreferences)
	s.account("GET /accounts/{account}/emails", s.listEmails)
	s.account("PUT /accounts/{account}/emails/{email}", s.putEmail)
	s.account("DELETE /accounts/{account}/emails/{email}", s.deleteEmail)
	s.account("PUT /accounts/{account}/password.http", s.putPassword)
	s.account("DELETE /accounts/{account}/password.http", s.deletePassword)
	s.keyRoutes()
	s.starRoutes()
}

// account registers a route below an account, which the handler is given.
func (s *Server) account(pattern string, h func(c *call, a *review.Account) (any, error)) {
	s.handle(pattern, func(c *call) (any, error) {
		name := c.arg("account")
		if c.caller == nil && (name == "self" || name == "me") {
			return nil, fault.New(fault.Forbidden, "Authentication required")
		}
		account, err := s.service.FindAccount(c.ctx(), c.caller, name)
		if err != nil {
			return nil, err
		}
		return h(c, account)
	})
}

func (s *Server) findAccounts(c *call) (any, error) {
	accounts, err := s.suggest(c)
	if err != nil {
		return nil, err
	}
	details := c.has("suggest") || c.r.URL.Query().Get("o") != ""
	infos := make([]accountInfo, len(accounts))
	for i, a := range accounts {
		infos[i] = account(a, details)
	}
	return infos, nil
}

func (s *Server) putAccount(c *call) (any, error) {
	if _, err := c.needCaller(); err != nil {
		return nil, err
	}
	var input struct {
		Username string `json:"username"`
		Name     string `json:"name"`
		Email    string `json:"email"`
		Key      string `json:"ssh_key"`
		Password string `json:"http_password"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	username := c.arg("account")
	if input.Username != "" && input.Username != username {
		return nil, fault.New(fault.BadRequest, "username must match URL")
	}
	n := review.NewAccount{Username: username, FullName: input.Name, Email: input.Email, HTTPPassword: input.Password}
	if input.Key != "" {
		n.SSHKeys = []string{input.Key}
	}
	made, err := s.service.CreateAccount(c.ctx(), c.caller, n)
	if err != nil {
		return nil, c.onlyCreate(err)
	}
	return created{account(*made, true)}, nil
}

func (s *Server) getAccountDetail(_ *call, a *review.Account) (any, error) {
	info := account(*a, true)
	info.RegisteredOn = maybe(a.Registered)
	return info, nil
}

func (s *Server) putName(c *call, a *review.Account) (any, error) {
	var input struct {
		Name string `json:"name"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	if err := s.service.SetFullName(c.ctx(), c.caller, a.ID, input.Name); err != nil {
		return nil, err
	}
	if input.Name == "" {
		return noContent{}, nil
	}
	return input.Name, nil
}

func getActive(_ *call, a *review.Account) (any, error) {
	if a.Active {
		return content{"text/plain; charset=UTF-8", []byte("ok")}, nil
	}
	return noContent{}, nil
}

// getCapabilities lists the global capabilities, which administrators have.
func getCapabilities(_ *call, a *review.Account) (any, error) {
	capabilities := map[string]any{"queryLimit": map[string]int{"min": 0, "max": review.MaxLimit}}
	if a.Admin {
		for _, name := range []string{"administrateServer", "createAccount", "createGroup", "createProject", "maintainServer", "viewAllAccounts", "viewConnections"} {
			capabilities[name] = true
		}
	}
	return capabilities, nil
}

// getPreferences answers with how every account's pages look.
func getPreferences(c *call, _ *review.Account) (any, error) {
	if _, err := c.needCaller(); err != nil {
		return nil, err
	}
	return map[string]any{
		"changes_per_page": 25, "date_format": "ISO", "time_format": "HHMM_24", "diff_view": "SIDE_BY_SIDE",
		"email_strategy": "DISABLED", "my": []struct{}{},
	}, nil
}

type emailInfo struct {
	Email     string `json:"email"`
	Preferred bool   `json:"preferred,omitempty"`
}

func (s *Server) listEmails(c *call, a *review.Account) (any, error) {
	emails, err := s.service.Emails(c.ctx(), c.caller, a.ID)
	if err != nil {
		return nil, err
	}
	infos := make([]emailInfo, len(emails))
	for i, email := range emails {
		infos[i] = emailInfo{Email: email, Preferred: email == a.Email}
	}
	return infos, nil
}

func (s *Server) putEmail(c *call, a *review.Account) (any, error) {
	email := c.arg("email")
	if err := s.service.AddEmail(c.ctx(), c.caller, a.ID, email); err != nil {
		return nil, c.onlyCreate(err)
	}
	return created{emailInfo{Email: email}}, nil
}

func (s *Server) deleteEmail(c *call, a *review.Account) (any, error) {
	return noContent{}, s.service.DeleteEmail(c.ctx(), c.caller, a.ID, c.arg("email"))
}

func (s *Server) putPassword(c *call, a *review.Account) (any, error) {
	var input struct {
		Generate bool   `json:"generate"`
		Password string `json:"http_password"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	if !input.Generate && input.Password == "" {
		return s.deletePassword(c, a)
	}
	if input.Generate {
		input.Password = ""
	}
	return s.service.SetHTTPPassword(c.ctx(), c.caller, a.ID, input.Password)
}

func (s *Server) deletePassword(c *call, a *review.Account) (any, error) {
	return noContent{}, s.service.DeleteHTTPPassword(c.ctx(), c.caller, a.ID)
}

func (s *Server) keyRoutes() {
	s.account("GET /accounts/{account}/sshkeys", s.listKeys)
	s.account("POST /accounts/{account}/sshkeys", s.postKey)
	s.account("GET /accounts/{account}/sshkeys/{seq}", s.getKey)
	s.account("DELETE /accounts/{account}/sshkeys/{seq}", s.deleteKey)
}

// keyInfo is Gerrit's SshKeyInfo.
type keyInfo struct {
	Seq       int    `json:"seq"`
	Line      string `json:"ssh_public_key"`
	Encoded   string `json:"encoded_key"`
	Algorithm string `json:"algorithm"`
	Comment   string `json:"comment,omitempty"`
	Valid     bool   `json:"valid"`
}

func key(k review.SSHKey) keyInfo {
	return keyInfo{Seq: k.Seq, Line: k.Line(), Encoded: k.Encoded, Algorithm: k.Algorithm, Comment: k.Comment, Valid: true}
}

func (s *Server) listKeys(c *call, a *review.Account) (any, error) {
	keys, err := s.service.SSHKeys(c.ctx(), c.caller, a.ID)
	if err != nil {
		return nil, err
	}
	infos := make([]keyInfo, len(keys))
	for i, k := range keys {
		infos[i] = key(k)
	}
	return infos, nil
}

// postKey takes the key as plain text. A key that the account has is no
// error.
func (s *Server) postKey(c *call, a *review.Account) (any, error) {
	line, err := c.readText()
	if err != nil {
		return nil, err
	}
	k, err := s.service.AddSSHKey(c.ctx(), c.caller, a.ID, line)
	if err != nil {
		return nil, err
	}
	return created{key(k)}, nil
}

func (s *Server) getKey(c *call, a *review.Account) (any, error) {
	keys, err := s.service.SSHKeys(c.ctx(), c.caller, a.ID)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if strconv.Itoa(k.Seq) == c.arg("seq") {
			return key(k), nil
		}
	}
	return nil, fault.New(fault.NotFound, "Not found: %s", c.arg("seq"))
}

func (s *Server) deleteKey(c *call, a *review.Account) (any, error) {
	seq, err := strconv.Atoi(c.arg("seq"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "Not found: %s", c.arg("seq"))
	}
	return noContent{}, s.service.DeleteSSHKey(c.ctx(), c.caller, a.ID, seq)
}
