package review

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// NewAccount is an account to be made. Only the username is required.
type NewAccount struct {
	Username, FullName, Email string
	HTTPPassword              string
	SSHKeys                   []string // as authorized_keys has them
}

// Gerrit's own rule for usernames.
var usernameForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._@-]*[a-zA-Z0-9])?$`)

const maxText = 2048 // of names, topics and the like, in bytes

// CreateAccount makes an account; administrators may. A username or address
// that is taken is fault.Conflict.
func (s *Service) CreateAccount(ctx context.Context, caller *Account, n NewAccount) (*Account, error) {
	if err := administrator(caller, "create account"); err != nil {
		return nil, err
	}
	if !usernameForm.MatchString(n.Username) || len(n.Username) > maxText {
		return nil, fault.New(fault.BadRequest, "Username '%s' must contain only letters, numbers, _, - or .", n.Username)
	}
	keys := make([]parsedKey, len(n.SSHKeys))
	for i, line := range n.SSHKeys {
		var err error
		if keys[i], err = parseKey(line); err != nil {
			return nil, err
		}
	}
	if err := checkEmail(n.Email); err != nil {
		return nil, err
	}
	hash := ""
	if n.HTTPPassword != "" {
		var err error
		if hash, err = hashPassword(n.HTTPPassword); err != nil {
			return nil, err
		}
	}
	a := &Account{Username: n.Username, FullName: n.FullName, Email: n.Email, Active: true}
	err := s.write(ctx, func(t *tx) error {
		if err := insertAccount(ctx, t, a); err != nil {
			return err
		}
		if err := setHTTPPassword(ctx, t, a.ID, hash); err != nil {
			return err
		}
		for _, k := range keys {
			if _, err := insertKey(ctx, t, a.ID, k); err != nil {
				return err
			}
		}
		return nil
	})
	return a, err
}

func checkEmail(email string) error {
	if email == "" {
		return nil
	}
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email {
		return fault.New(fault.BadRequest, "invalid email address: %q", email)
	}
	return nil
}

// insertAccount gives a its id and writes it.
func insertAccount(ctx context.Context, t *tx, a *Account) error {
	a.Registered = t.at
	err := t.QueryRowContext(ctx, `UPDATE counters SET value = value + 1 WHERE name = 'account' RETURNING value`).Scan(&a.ID)
	if err != nil {
		return fmt.Errorf("number account: %w", err)
	}
	err = t.exec(ctx, "insert account", `INSERT INTO accounts (id, username, full_name, email, admin, service, registered, origin)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, a.ID, a.Username, a.FullName, a.Email, a.Admin, a.Service, micros(t.at), a.origin)
	if db.IsUnique(err) {
		return fault.New(fault.Conflict, "username '%s' already exists", a.Username)
	}
	if err != nil || a.Email == "" {
		return err
	}
	err = t.exec(ctx, "insert email", `INSERT INTO account_emails (email, account) VALUES ($1, $2)`, a.Email, a.ID)
	if db.IsUnique(err) {
		return fault.New(fault.Conflict, "email '%s' already exists", a.Email)
	}
	return err
}

const accountColumns = `id, username, full_name, email, admin, service, active, registered, origin`

func selectAccount(ctx context.Context, q querier, where string, args ...any) (*Account, error) {
	all, err := selectAccounts(ctx, q, where+` LIMIT 1`, args...)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, nil
	}
	return &all[0], nil
}

func selectAccounts(ctx context.Context, q querier, where string, args ...any) ([]Account, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+accountColumns+` FROM accounts WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("select accounts: %w", err)
	}
	type row struct {
		Account
		registered int64
	}
	all, err := collect(rows, func(r *row) []any {
		return []any{&r.ID, &r.Username, &r.FullName, &r.Email, &r.Admin, &r.Service, &r.Active, &r.registered, &r.origin}
	})
	accounts := make([]Account, len(all))
	for i, r := range all {
		accounts[i] = r.Account
		accounts[i].Registered = fromMicros(r.registered)
	}
	return accounts, err
}

// AccountByID is the account of that id, or fault.NotFound.
func (s *Service) AccountByID(ctx context.Context, id int64) (*Account, error) {
	a, err := selectAccount(ctx, s.db, `id = $1`, id)
	if err == nil && a == nil {
		err = accountNotFound(strconv.FormatInt(id, 10))
	}
	return a, err
}

// AccountByUsername is the account of that username, or fault.NotFound.
func (s *Service) AccountByUsername(ctx context.Context, username string) (*Account, error) {
	a, err := selectAccount(ctx, s.db, `username = $1`, username)
	if err == nil && a == nil {
		err = accountNotFound(username)
	}
	return a, err
}

func accountNotFound(text string) error {
	return fault.New(fault.NotFound, "Account '%s' not found", text)
}

// FindAccount finds the account that text means: "self" or "me", an id, a
// username, an address, a full name, or "Name <address>". None, or more than
// one of that full name, is fault.NotFound.
func (s *Service) FindAccount(ctx context.Context, caller *Account, text string) (*Account, error) {
	return findAccount(ctx, s.db, caller, text)
}

func findAccount(ctx context.Context, q querier, caller *Account, text string) (*Account, error) {
	text = strings.TrimSpace(text)
	if text == "self" || text == "me" {
		if caller == nil {
			return nil, errAnonymous()
		}
		return caller, nil
	}
	if id, err := strconv.ParseInt(text, 10, 64); err == nil {
		if a, err := selectAccount(ctx, q, `id = $1`, id); a != nil || err != nil {
			return a, err
		}
	}
	email := text
	if i := strings.LastIndexByte(text, '<'); i >= 0 && strings.HasSuffix(text, ">") {
		email = text[i+1 : len(text)-1]
	}
	for _, where := range []struct{ condition, value string }{
		{`username = $1`, text},
		{`id = (SELECT account FROM account_emails WHERE email = $1)`, email},
	} {
		if a, err := selectAccount(ctx, q, where.condition, where.value); a != nil || err != nil {
			return a, err
		}
	}
	named, err := selectAccounts(ctx, q, `full_name = $1 LIMIT 2`, text)
	if err != nil {
		return nil, err
	}
	if len(named) != 1 || text == "" {
		return nil, accountNotFound(text)
	}
	return &named[0], nil
}

// SuggestAccounts lists at most limit active accounts of which the username,
// a word of the full name, or the address begins with text.
func (s *Service) SuggestAccounts(ctx context.Context, caller *Account, text string, limit int) ([]Account, error) {
	if err := registered(caller); err != nil {
		return nil, err
	}
	prefix := likeEscape(text) + "%"
	return selectAccounts(ctx, s.db, `active = 1 AND (username LIKE $1 ESCAPE '\' OR full_name LIKE $1 ESCAPE '\'
		OR full_name LIKE $2 ESCAPE '\' OR email LIKE $1 ESCAPE '\') ORDER BY username LIMIT $3`, prefix, "% "+prefix, limit)
}

// likeEscape makes text stand for itself in LIKE … ESCAPE '\'.
func likeEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// editable fails unless the caller is the account of that id or administers.
func editable(caller *Account, id int64) error {
	if err := registered(caller); err != nil {
		return err
	}
	if caller.ID != id && !caller.Admin {
		return fault.New(fault.Forbidden, "not allowed to change another account")
	}
	return nil
}

// SetFullName names an account: one's own, or any for an administrator.
func (s *Service) SetFullName(ctx context.Context, caller *Account, id int64, name string) error {
	if err := editable(caller, id); err != nil {
		return err
	}
	if len(name) > maxText || strings.ContainsAny(name, "\n\r\x00<>") {
		return fault.New(fault.BadRequest, "invalid name")
	}
	return s.write(ctx, func(t *tx) error {
		return t.exec(ctx, "name account", `UPDATE accounts SET full_name = $1 WHERE id = $2`, name, id)
	})
}

// Emails lists the addresses registered for an account, the preferred first.
func (s *Service) Emails(ctx context.Context, caller *Account, id int64) ([]string, error) {
	if err := editable(caller, id); err != nil {
		return nil, err
	}
	return selectEmails(ctx, s.db, id)
}

func selectEmails(ctx context.Context, q querier, id int64) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT e.email FROM account_emails e JOIN accounts a ON a.id = e.account
		WHERE a.id = $1 ORDER BY a.email <> e.email, e.email`, id)
	if err != nil {
		return nil, fmt.Errorf("select emails: %w", err)
	}
	return collect(rows, func(e *string) []any { return []any{e} })
}

// AddEmail registers an address for an account. Without mail to confirm it,
// only administrators may.
func (s *Service) AddEmail(ctx context.Context, caller *Account, id int64, email string) error {
	if err := administrator(caller, "add email"); err != nil {
		return err
	}
	if err := checkEmail(email); err != nil {
		return err
	}
	if email == "" {
		return fault.New(fault.BadRequest, "email address is required")
	}
	return s.write(ctx, func(t *tx) error {
		err := t.exec(ctx, "insert email", `INSERT INTO account_emails (email, account) VALUES ($1, $2)`, email, id)
		if db.IsUnique(err) {
			return fault.New(fault.Conflict, "email '%s' already exists", email)
		}
		if err != nil {
			return err
		}
		return t.exec(ctx, "prefer email", `UPDATE accounts SET email = $1 WHERE id = $2 AND email = ''`, email, id)
	})
}

// DeleteEmail takes an address away from an account; administrators may. If it
// was the preferred one, another takes its place.
func (s *Service) DeleteEmail(ctx context.Context, caller *Account, id int64, email string) error {
	if err := administrator(caller, "delete email"); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		result, err := t.ExecContext(ctx, `DELETE FROM account_emails WHERE account = $1 AND email = $2`, id, email)
		if err != nil {
			return fmt.Errorf("delete email: %w", err)
		}
		if n, err := result.RowsAffected(); err == nil && n == 0 {
			return fault.New(fault.NotFound, "Not found: %s", email)
		}
		return t.exec(ctx, "prefer email", `UPDATE accounts SET
			email = coalesce((SELECT min(email) FROM account_emails WHERE account = $1), '')
			WHERE id = $1 AND email = $2`, id, email)
	})
}

// SetHTTPPassword gives an account a password for REST and git over HTTP
// beside the one that Passwords knows, and returns it. An empty password makes
// a random one; another than that only administrators may choose.
func (s *Service) SetHTTPPassword(ctx context.Context, caller *Account, id int64, password string) (string, error) {
	if err := editable(caller, id); err != nil {
		return "", err
	}
	if password != "" && !caller.Admin {
		return "", fault.New(fault.Forbidden, "administrate server not permitted")
	}
	if password == "" {
		var random [32]byte
		_, _ = rand.Read(random[:]) // never fails (crypto/rand)
		password = base64.RawURLEncoding.EncodeToString(random[:])
	}
	hash, err := hashPassword(password)
	if err != nil {
		return "", err
	}
	return password, s.setHTTPPassword(ctx, id, hash)
}

// DeleteHTTPPassword takes an account's HTTP password away.
func (s *Service) DeleteHTTPPassword(ctx context.Context, caller *Account, id int64) error {
	if err := editable(caller, id); err != nil {
		return err
	}
	return s.setHTTPPassword(ctx, id, "")
}

func (s *Service) setHTTPPassword(ctx context.Context, id int64, hash string) error {
	s.logins.forget()
	defer s.logins.forget() // also what was remembered while we wrote
	return s.write(ctx, func(t *tx) error { return setHTTPPassword(ctx, t, id, hash) })
}

func setHTTPPassword(ctx context.Context, t *tx, id int64, hash string) error {
	return t.exec(ctx, "set http password", `UPDATE accounts SET http_password = $1 WHERE id = $2`, hash, id)
}

// hashPassword is what is stored of an HTTP password: bcrypt of its SHA-256,
// since bcrypt itself reads 72 bytes only.
func hashPassword(password string) (string, error) {
	sum := sha256.Sum256([]byte(password))
	hash, err := bcrypt.GenerateFromPassword(sum[:], bcrypt.DefaultCost)
	if err != nil {
		return "", fmt.Errorf("hash http password: %w", err)
	}
	return string(hash), nil
}

// hasHTTPPassword reports whether that is the account's HTTP password.
func hasHTTPPassword(ctx context.Context, q querier, username, password string) (bool, error) {
	var hash string
	err := q.QueryRowContext(ctx, `SELECT http_password FROM accounts WHERE username = $1 AND active = 1`, username).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("select http password: %w", err)
	}
	sum := sha256.Sum256([]byte(password))
	return hash != "" && bcrypt.CompareHashAndPassword([]byte(hash), sum[:]) == nil, nil
}
