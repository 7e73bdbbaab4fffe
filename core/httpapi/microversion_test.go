package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

const legacy = "X-Openstack-Nova-Api-Version"

func negotiate(headers http.Header) (httpapi.Microversion, http.Header, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = headers
	w := httptest.NewRecorder()
	v, err := httpapi.Negotiate(w, r, "compute", legacy, httpapi.Microversion{Major: 2, Minor: 1}, httpapi.Microversion{Major: 2, Minor: 93})
	return v, w.Header(), err
}

func TestNegotiatePicksTheVersionAskedFor(t *testing.T) {
	for name, test := range map[string]struct {
		headers http.Header
		want    string
	}{
		"none":           {http.Header{}, "2.1"},
		"standard":       {http.Header{"Openstack-Api-Version": {"compute 2.47"}}, "2.47"},
		"legacy":         {http.Header{legacy: {"2.2"}}, "2.2"},
		"standard first": {http.Header{legacy: {"2.2"}, "Openstack-Api-Version": {"compute 2.3"}}, "2.3"},
		"latest":         {http.Header{"Openstack-Api-Version": {"compute latest"}}, "2.93"},
		"of several":     {http.Header{"Openstack-Api-Version": {"volume 3.59, compute 2.60"}}, "2.60"},
		"another's":      {http.Header{"Openstack-Api-Version": {"volume 3.59"}}, "2.1"},
		"in two lines":   {http.Header{"Openstack-Api-Version": {"volume 3.59", "compute 2.7"}}, "2.7"},
		"highest":        {http.Header{legacy: {"2.93"}}, "2.93"},
	} {
		t.Run(name, func(t *testing.T) {
			v, headers, err := negotiate(test.headers)
			require.NoError(t, err)
			assert.Equal(t, test.want, v.String())
			assert.Equal(t, "compute "+test.want, headers.Get("Openstack-Api-Version"))
			assert.Equal(t, test.want, headers.Get(legacy))
			assert.Equal(t, []string{"OpenStack-API-Version", legacy}, headers.Values("Vary"))
		})
	}
}

func TestNegotiateRefusesWhatThereIsNot(t *testing.T) {
	for _, version := range []string{"2.0", "2.94", "2.999", "1.1", "3.1"} {
		_, headers, err := negotiate(http.Header{legacy: {version}})
		assert.True(t, fault.Is(err, fault.NotAcceptable), version)
		require.EqualError(t, err, "Version "+version+" is not supported by the API. Minimum is 2.1 and maximum is 2.93.")
		assert.Equal(t, "compute "+version, headers.Get("Openstack-Api-Version"), "the refused version is echoed")
	}
	for _, version := range []string{"2", "x", "2.01", "2.1.1", "-2.1", "2.1 ", "Latest", "2.99999", "0.1"} {
		_, headers, err := negotiate(http.Header{legacy: {version}})
		assert.True(t, fault.Is(err, fault.BadRequest), version)
		assert.Empty(t, headers, version)
	}
}
