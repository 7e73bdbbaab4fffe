package network_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/network"
)

func TestAJobGetsWhatIsOffered(t *testing.T) {
	o, err := network.New(network.Config{Full: true, Go: &network.GoProxy{}, Proxies: map[string]network.Proxy{
		"pypi": {Hosts: []string{"pypi.org"}}, "npm": {Hosts: []string{"registry.npmjs.org"}},
	}})
	require.NoError(t, err)
	assert.Equal(t, []string{"go", "npm", "pypi"}, o.Names())
	for _, tt := range []struct {
		asks, services []string
		routed         bool
	}{
		{nil, nil, false}, {[]string{"go"}, []string{"go"}, false}, {[]string{"pypi", "go", "npm"}, []string{"go", "proxy"}, false}, {[]string{"full"}, []string{"go"}, true},
	} {
		a, err := o.Access(tt.asks)
		require.NoError(t, err)
		var services []string
		for _, s := range a.Services {
			services = append(services, s.Name)
		}
		assert.Equal(t, tt.services, services)
		assert.Equal(t, tt.routed, a.Router != nil)
		a.Close()
	}
	_, err = o.Access([]string{"go", "cargo"})
	require.ErrorIs(t, err, network.ErrNotOffered)
}

func TestNothingIsOfferedUnlessTheOperatorSaysSo(t *testing.T) {
	empty, err := network.New(network.Config{})
	require.NoError(t, err)
	for _, o := range []*network.Offers{nil, empty} {
		assert.Empty(t, o.Names())
		for _, name := range []string{"full", "go", "none", ""} {
			assert.False(t, o.Has(name))
			_, err := o.Access([]string{name})
			require.ErrorIs(t, err, network.ErrNotOffered)
		}
	}
}

func TestGoLooksForModulesWhereTheyAre(t *testing.T) {
	for _, c := range []network.Config{{Full: true, Go: &network.GoProxy{}}, {Full: true}} {
		o, err := network.New(c)
		require.NoError(t, err)
		a, err := o.Access([]string{"full"})
		require.NoError(t, err)
		if c.Go == nil {
			assert.Equal(t, "https://proxy.golang.org,direct", a.Env["GOPROXY"])
			continue
		}
		assert.Equal(t, "http://127.0.0.1:1,direct", a.Services[0].Env("127.0.0.1:1")["GOPROXY"])
	}
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	for host, want := range map[string]string{
		"":                 "is neither a name nor an address",
		"http://pypi.org":  "the port is a number",
		"pypi.org/simple":  "is neither a name nor an address",
		"*":                "is neither a name nor an address",
		"a.*.org":          "is neither a name nor an address",
		"pypi.org:https":   "the port is a number",
		"pypi.org:0":       "the port is a number",
		"pypi.org:65536":   "the port is a number",
		"localhost":        "listed as a literal IP:port",
		"LocalHost.:80":    "listed as a literal IP:port",
		"*.localhost":      "listed as a literal IP:port",
		"mirror.localhost": "listed as a literal IP:port",
	} {
		_, err := network.New(network.Config{Proxies: map[string]network.Proxy{"p": {Hosts: []string{host}}}})
		require.ErrorContains(t, err, want, host)
		require.ErrorContains(t, err, "proxy p")
	}
	for _, name := range []string{"", "full", "none", "go", "Upper", "a b", "-a"} {
		_, err := network.New(network.Config{Proxies: map[string]network.Proxy{name: {Hosts: []string{"pypi.org"}}}})
		require.ErrorContains(t, err, "a name is made of", name)
	}
	_, err := network.New(network.Config{Proxies: map[string]network.Proxy{"p": {}}})
	require.ErrorContains(t, err, "proxy p reaches no hosts")
}
