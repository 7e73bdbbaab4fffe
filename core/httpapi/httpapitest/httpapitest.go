// Package httpapitest is what the tests of the OpenStack endpoints share.
package httpapitest

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// Tokens are callers by their tokens. All others are refused.
type Tokens map[string]httpapi.Caller

// Validate implements httpapi.Tokens.
func (t Tokens) Validate(_ context.Context, token string) (httpapi.Caller, error) {
	if caller, ok := t[token]; ok {
		return caller, nil
	}
	return httpapi.Caller{}, fault.New(fault.Unauthorized, "The request you have made requires authentication.")
}

// Callers are a member of each of the projects alpha and beta, one who may
// only read in alpha, an administrator, and somebody without a project.
var Callers = Tokens{
	"alpha":    {UserID: "alpha-user", ProjectID: "alpha", Roles: []string{"member"}},
	"beta":     {UserID: "beta-user", ProjectID: "beta", Roles: []string{"member"}},
	"reader":   {UserID: "reader", ProjectID: "alpha", Roles: []string{"reader"}},
	"admin":    {UserID: "admin", ProjectID: "admin", Roles: []string{"admin"}},
	"unscoped": {UserID: "nobody"},
}

// Answer is what a response says before its body.
type Answer struct {
	StatusCode int
	Header     http.Header
}

// Do makes a request with a token and headers (names and values in turn), and
// returns the answer and its body.
func Do(t *testing.T, token, method, url, body string, headers ...string) (Answer, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("X-Auth-Token", token)
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response, err := http.DefaultTransport.RoundTrip(request) // redirects are answers like others
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return Answer{response.StatusCode, response.Header}, string(content)
}
