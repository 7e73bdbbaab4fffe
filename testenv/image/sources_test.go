package image

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOnlyDebiansOwnSourcesOfTheSuiteAreTaken(t *testing.T) {
	var got strings.Builder
	oneLiners(&got, `# deb http://no/debian bookworm main
deb http://mirror/debian bookworm main contrib
deb-src http://mirror/debian bookworm main
deb [signed-by=/k.gpg arch=amd64] https://m/debian-security/ bookworm-security main
deb http://mirror/debian trixie main
deb http://mirror/debian bookworm-backports main
deb https://packages.example/apt bookworm main
`, "bookworm")
	stanzas(&got, `# A comment: with a colon
Types: deb deb-src
URIs: http://a/debian https://b/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off/debian
Suites: bookworm
Components: main
`, "bookworm")
	const key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
	assert.Equal(t, "deb http://mirror/debian bookworm main contrib\n"+
		"deb [signed-by=/k.gpg arch=amd64] https://m/debian-security/ bookworm-security main\n"+
		"deb "+key+"http://a/debian bookworm main\n"+"deb "+key+"http://a/debian bookworm-updates main\n"+
		"deb "+key+"https://b/debian bookworm main\n"+"deb "+key+"https://b/debian bookworm-updates main\n", got.String())
}
