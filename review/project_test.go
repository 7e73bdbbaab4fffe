package review_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

func TestProjectNames(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"demo": "demo", "a.b/c-d_e": "a.b/c-d_e", "/demo/": "demo", "demo.git": "demo", "über/größe": "über/größe", "x@y+z": "x@y+z",
	}
	for name, want := range good {
		got, err := review.CleanProjectName(name)
		assert.NoError(t, err, name)
		assert.Equal(t, want, got)
	}
	for _, name := range []string{"", "/", ".", "..", "../x", "x/../y", "x/..", "x//y", ".hidden", "x/.hidden", "x.git/y", "x.lock/y", "a/b",
		"x\x00y", "x\ny", "x y ", "-x", "x/-y", "x\\y", "x:y", "x*", "x~y/" + string(make([]byte, 300))} {
		_, err := review.CleanProjectName(name)
		assert.True(t, fault.Is(err, fault.BadRequest), "%q", name)
	}
}
