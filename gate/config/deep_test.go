package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/config"
)

// A stack that overflows cannot be recovered from: depth must be bounded
// before the YAML parser sees the file.
func TestHostileFilesAreRefusedQuickly(t *testing.T) {
	for name, in := range map[string]string{
		"deep flow lists":    strings.Repeat("[", 200_000),
		"deep flow maps":     strings.Repeat("{a: ", 50_000),
		"deep block lists":   strings.Repeat("- ", 100_000),
		"deep indentation":   deep(600),
		"too large":          strings.Repeat("#", 2<<20),
		"aliases multiplied": "- &a [x,x,x]\n- &b [*a,*a,*a]\n- &c [*b,*b,*b]\n- job: {name: a, run: *c}\n",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := config.Parse([]byte(in))
			require.ErrorAs(t, err, &config.Errors{})
			assert.Less(t, time.Since(began), 10*time.Second)
		})
	}
}

func deep(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
