package review

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Standings is what Passwords may offer besides: what has become of a user who
// shows no password, but a key, a session, or a password of ours.
type Standings interface {
	// Standing is what is known of the user of that name now. One who is not
	// known is fault.NotFound.
	Standing(ctx context.Context, username string) (User, error)
}

// originPrefix begins the origin of an account that belongs to a user.
const originPrefix = "user:"

// origin is how an account remembers that it is the user's.
func (u *User) origin() string { return originPrefix + u.ID }

// another reports whether the account belonged to another user of that name,
// who was deleted since.
func (a *Account) another(u *User) bool {
	return a.origin != "" && a.origin != originPrefix && u.ID != "" && a.origin != u.origin()
}

func errInactive() error {
	return fault.New(fault.Unauthorized, "Your account is closed: ask an administrator")
}

// ActiveAccount is the account of that id, if it may still act: neither closed
// here, nor disabled or deleted where passwords are kept; otherwise it is
// fault.Unauthorized. Its groups are those that it has there now. Each use of a
// key or session asks anew; an answer holds for Config.Recheck.
func (s *Service) ActiveAccount(ctx context.Context, id int64) (*Account, error) {
	a, err := selectAccount(ctx, s.db, `id = $1`, id)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, errInactive()
	}
	return s.inStanding(ctx, a)
}

// inStanding is a as it is now, or fault.Unauthorized if it may not act.
func (s *Service) inStanding(ctx context.Context, a *Account) (*Account, error) {
	if !a.Active {
		return nil, errInactive()
	}
	source, ok := s.config.Passwords.(Standings)
	if !ok {
		return a, nil
	}
	user, err := s.standings.ask(ctx, source, a.Username, s.config.Recheck)
	if fault.Is(err, fault.NotFound) {
		if a.origin != "" {
			return nil, errInactive()
		}
		return a, nil // made here, for one who never was a user
	}
	if err != nil {
		return nil, fmt.Errorf("standing of user: %w", err)
	}
	if user.Disabled || a.another(&user) {
		return nil, errInactive()
	}
	if a.origin == "" { // nobody has proved yet to be that user: groups can only be lost
		user.Admin, user.Service = user.Admin && a.Admin, user.Service && a.Service
		user.FullName, user.Email, user.ID = "", "", ""
		return s.followUser(ctx, a, &user, "")
	}
	return s.followUser(ctx, a, &user, user.origin())
}

// followUser makes the account what its user is: in the same groups, and with its
// address registered. A name is taken over only where there is none, since
// people may choose theirs here.
func (s *Service) followUser(ctx context.Context, a *Account, u *User, origin string) (*Account, error) {
	next := *a
	next.Admin, next.Service, next.origin = u.Admin, u.Service, origin
	if next.FullName == "" {
		next.FullName = u.FullName
	}
	if a.another(u) {
		next.Registered = now()
	}
	if next != *a {
		if err := s.write(ctx, func(t *tx) error { return updateFollowed(ctx, t, a, &next) }); err != nil {
			return nil, err
		}
	}
	if u.Email == "" || strings.EqualFold(u.Email, next.Email) {
		return &next, nil
	}
	return &next, s.followEmail(ctx, &next, u.Email)
}

// updateFollowed writes what of an account follows its user. If it is another
// user of that name, who registers now, what the old one had to log in with is
// deleted; web sessions that began before are over.
func updateFollowed(ctx context.Context, t *tx, before, a *Account) error {
	if !before.Registered.Equal(a.Registered) {
		if err := t.exec(ctx, "delete keys", `DELETE FROM ssh_keys WHERE account = $1`, a.ID); err != nil {
			return err
		}
		if err := setHTTPPassword(ctx, t, a.ID, ""); err != nil {
			return err
		}
	}
	return t.exec(ctx, "follow user", `UPDATE accounts SET admin = $1, service = $2, origin = $3, full_name = $4, registered = $5 WHERE id = $6`,
		a.Admin, a.Service, a.origin, a.FullName, micros(a.Registered), a.ID)
}

// followEmail registers an address for an account, unless it is somebody
// else's or is no address.
func (s *Service) followEmail(ctx context.Context, a *Account, email string) error {
	known, err := selectEmails(ctx, s.db, a.ID)
	if err != nil || checkEmail(email) != nil {
		return err
	}
	for _, e := range known {
		if strings.EqualFold(e, email) {
			return nil
		}
	}
	var holder *Account
	if holder, err = selectAccount(ctx, s.db, `id = (SELECT account FROM account_emails WHERE email = $1)`, email); holder != nil || err != nil {
		return err
	}
	err = s.write(ctx, func(t *tx) error {
		if err := t.exec(ctx, "insert email", `INSERT INTO account_emails (email, account) VALUES ($1, $2)`, email, a.ID); err != nil {
			return err
		}
		return t.exec(ctx, "prefer email", `UPDATE accounts SET email = $1 WHERE id = $2`, email, a.ID)
	})
	if db.IsUnique(err) {
		return nil // another request was first
	}
	if err == nil {
		a.Email = email
	}
	return err
}

// standings remembers for a short while what Standings has said.
type standings struct {
	mu    sync.Mutex
	known map[string]standing
}

type standing struct {
	user  User
	err   error // nil or fault.NotFound
	until time.Time
}

const maxStandings = 1024

func (c *standings) ask(ctx context.Context, source Standings, username string, recheck time.Duration) (User, error) {
	c.mu.Lock()
	found, ok := c.known[username]
	c.mu.Unlock()
	if ok && time.Now().Before(found.until) {
		return found.user, found.err
	}
	asked := time.Now()
	user, err := source.Standing(ctx, username)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return User{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxStandings {
		c.known = map[string]standing{}
	}
	c.known[username] = standing{user, err, asked.Add(recheck)}
	return user, err
}

// forget drops what was remembered of a user: something newer is known.
func (c *standings) forget(username string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, username)
}
