package review

import (
	"context"
	"time"
)

// Account is somebody, or a service, known to the review server.
type Account struct {
	ID         int64 // from 1000000
	Username   string
	FullName   string
	Email      string // the preferred one; may be empty
	Admin      bool   // member of Administrators
	Service    bool   // member of Service Users
	Active     bool
	Registered time.Time

	origin string // whose it is where passwords are kept: "user:ID"; "" if nobody's
}

// Name is what people call the account: the full name, else the username.
func (a *Account) Name() string {
	if a.FullName != "" {
		return a.FullName
	}
	return a.Username
}

// The groups every site has.
const (
	Administrators  = "Administrators"
	ServiceUsers    = "Service Users"
	RegisteredUsers = "Registered Users"
	AnonymousUsers  = "Anonymous Users"
)

// Groups are the names of the groups that the account belongs to; nil stands
// for nobody in particular.
func (a *Account) Groups() []string {
	groups := []string{AnonymousUsers}
	if a == nil {
		return groups
	}
	groups = append(groups, RegisteredUsers)
	if a.Service {
		groups = append(groups, ServiceUsers)
	}
	if a.Admin {
		groups = append(groups, Administrators)
	}
	return groups
}

// User is what is known of somebody where passwords are kept.
type User struct {
	ID                        string // never given to another user; may be empty
	Username, FullName, Email string
	Admin, Service            bool
	Disabled                  bool // may not log in; Verify refuses such a user itself
}

// Passwords verifies passwords; the identity service does. If it implements
// Standings too, a user who is disabled or deleted loses access here.
type Passwords interface {
	// Verify reports whose password it is, or fault.Unauthorized.
	Verify(ctx context.Context, username, password string) (User, error)
}

// SSHKey is a public key by which an account logs in.
type SSHKey struct {
	Seq       int    // numbers the account's keys from 1
	Algorithm string // "ssh-ed25519"
	Encoded   string // base64
	Comment   string
}

// Line is the key as authorized_keys has it.
func (k *SSHKey) Line() string {
	line := k.Algorithm + " " + k.Encoded
	if k.Comment != "" {
		line += " " + k.Comment
	}
	return line
}
