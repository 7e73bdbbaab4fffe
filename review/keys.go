package review

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// minRSA is the fewest bits of an RSA key that may log in (NIST SP 800-131A).
const minRSA = 2048

type parsedKey struct {
	blob    []byte
	comment string
}

// parseKey reads a line of authorized_keys; options before the key are refused.
func parseKey(line string) (parsedKey, error) {
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(line)))
	if err != nil || len(options) > 0 || len(rest) > 0 {
		return parsedKey{}, fault.New(fault.BadRequest, "Invalid SSH Key: one public key is wanted, as in id_ed25519.pub")
	}
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
	case ssh.KeyAlgoRSA:
		if bits := rsaBits(key); bits < minRSA {
			return parsedKey{}, fault.New(fault.BadRequest, "Invalid SSH Key: RSA with %d bits, at least %d are needed", bits, minRSA)
		}
	default:
		return parsedKey{}, fault.New(fault.BadRequest, "Invalid SSH Key: type %s is not supported", key.Type())
	}
	if len(comment) > maxText {
		comment = comment[:maxText]
	}
	return parsedKey{blob: key.Marshal(), comment: comment}, nil
}

func (k parsedKey) sshKey(seq int) SSHKey {
	algorithm := ""
	if key, err := ssh.ParsePublicKey(k.blob); err == nil {
		algorithm = key.Type()
	}
	return SSHKey{Seq: seq, Algorithm: algorithm, Encoded: base64.StdEncoding.EncodeToString(k.blob), Comment: k.comment}
}

// AddSSHKey registers a public key, a line of authorized_keys. A key that the
// account has already is returned again; another account's is fault.Conflict.
func (s *Service) AddSSHKey(ctx context.Context, caller *Account, id int64, line string) (SSHKey, error) {
	if err := editable(caller, id); err != nil {
		return SSHKey{}, err
	}
	key, err := parseKey(line)
	if err != nil {
		return SSHKey{}, err
	}
	var added SSHKey
	err = s.write(ctx, func(t *tx) error {
		added, err = insertKey(ctx, t, id, key)
		return err
	})
	return added, err
}

func insertKey(ctx context.Context, t *tx, id int64, key parsedKey) (SSHKey, error) {
	known, err := selectKeys(ctx, t, `account = $1 AND blob = $2`, id, key.blob)
	if err != nil {
		return SSHKey{}, err
	}
	if len(known) > 0 {
		return known[0], nil
	}
	var seq int
	err = t.QueryRowContext(ctx, `INSERT INTO ssh_keys (account, seq, blob, comment)
		SELECT $1, coalesce(max(seq), 0) + 1, $2, $3 FROM ssh_keys WHERE account = $1 RETURNING seq`, id, key.blob, key.comment).Scan(&seq)
	if db.IsUnique(err) {
		return SSHKey{}, fault.New(fault.Conflict, "SSH key is registered for another account")
	}
	if err != nil {
		return SSHKey{}, fmt.Errorf("insert ssh key: %w", err)
	}
	return key.sshKey(seq), nil
}

func selectKeys(ctx context.Context, q querier, where string, args ...any) ([]SSHKey, error) {
	rows, err := q.QueryContext(ctx, `SELECT seq, blob, comment FROM ssh_keys WHERE `+where+` ORDER BY seq`, args...)
	if err != nil {
		return nil, fmt.Errorf("select ssh keys: %w", err)
	}
	type row struct {
		seq int
		parsedKey
	}
	all, err := collect(rows, func(r *row) []any { return []any{&r.seq, &r.blob, &r.comment} })
	keys := make([]SSHKey, len(all))
	for i, r := range all {
		keys[i] = r.sshKey(r.seq)
	}
	return keys, err
}

// SSHKeys lists an account's keys.
func (s *Service) SSHKeys(ctx context.Context, caller *Account, id int64) ([]SSHKey, error) {
	if err := editable(caller, id); err != nil {
		return nil, err
	}
	return selectKeys(ctx, s.db, `account = $1`, id)
}

// DeleteSSHKey takes a key away from an account.
func (s *Service) DeleteSSHKey(ctx context.Context, caller *Account, id int64, seq int) error {
	if err := editable(caller, id); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		result, err := t.ExecContext(ctx, `DELETE FROM ssh_keys WHERE account = $1 AND seq = $2`, id, seq)
		if err != nil {
			return fmt.Errorf("delete ssh key: %w", err)
		}
		if n, err := result.RowsAffected(); err == nil && n == 0 {
			return fault.New(fault.NotFound, "Not found: %d", seq)
		}
		return nil
	})
}

// AccountByKey is the account of that name with that public key, in SSH's wire
// format, if ActiveAccount lets it in; otherwise it is fault.Unauthorized.
func (s *Service) AccountByKey(ctx context.Context, username string, blob []byte) (*Account, error) {
	a, err := selectAccount(ctx, s.db, `username = $1 AND active = 1 AND id = (SELECT account FROM ssh_keys WHERE blob = $2)`, username, blob)
	if err == nil && a == nil {
		err = errLogin()
	}
	if err != nil {
		return nil, err
	}
	return s.inStanding(ctx, a)
}
