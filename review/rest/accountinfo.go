package rest

import "github.com/gatehouse-dev/gatehouse/review"

// accountInfo is Gerrit's AccountInfo.
type accountInfo struct {
	ID           int64      `json:"_account_id"`
	Name         string     `json:"name,omitempty"`
	Email        string     `json:"email,omitempty"`
	Username     string     `json:"username,omitempty"`
	Tags         []string   `json:"tags,omitempty"`
	Inactive     bool       `json:"inactive,omitempty"`
	RegisteredOn *timestamp `json:"registered_on,omitempty"`
}

// account describes an account; only by its number unless detailed.
func account(a review.Account, detailed bool) accountInfo {
	if !detailed {
		return accountInfo{ID: a.ID}
	}
	info := accountInfo{ID: a.ID, Name: a.Name(), Email: a.Email, Username: a.Username, Inactive: !a.Active}
	if a.Service {
		info.Tags = []string{"SERVICE_USER"}
	}
	return info
}
