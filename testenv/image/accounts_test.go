package image

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// debianLike are the accounts of a system with shadow passwords.
func debianLike() *accounts {
	return &accounts{
		passwd: parseTable("root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\nnode:x:1000:1000::/srv/node:/bin/false\n"),
		group:  parseTable("root:x:0:\nstaff:x:50:\nnode:x:1000:\nbuild:x:1002:\n"),
		shadow: parseTable("root:*:19700:0:99999:7:::\n"),
		subuid: parseTable("node:100000:65536\n"), subgid: parseTable(""),
	}
}

func TestANewUserGetsTheNextFreeID(t *testing.T) {
	a := debianLike()
	got, err := a.add(User{Name: "gate"}, "/bin/sh")
	require.NoError(t, err)
	assert.Equal(t, account{name: "gate", home: "/home/gate", shell: "/bin/sh", uid: 1001, gid: 1001, made: true}, got)
	assert.Equal(t, []string{"gate", "x", "1001", "1001", "", "/home/gate", "/bin/sh"}, a.passwd.find(0, "gate", 7))
	assert.Equal(t, []string{"gate", "x", "1001", ""}, a.group.find(0, "gate", 4))
	assert.Equal(t, "root:*:19700:0:99999:7:::\ngate:*::0:99999:7:::\n", a.shadow.String())
	assert.Equal(t, "node:100000:65536\ngate:165536:65536\n", a.subuid.String())
	next, err := a.add(User{Name: "other", Shell: "/bin/dash"}, "/bin/sh")
	require.NoError(t, err)
	assert.Equal(t, 1003, next.uid, "a group has 1002")
	assert.Equal(t, "/bin/dash", next.shell)
}

func TestAUserThatIsThereIsTaken(t *testing.T) {
	a := debianLike()
	got, err := a.add(User{Name: "node"}, "/bin/sh")
	require.NoError(t, err)
	assert.Equal(t, account{name: "node", home: "/srv/node", shell: "/bin/sh", uid: 1000, gid: 1000}, got)
	assert.Equal(t, "/bin/sh", a.passwd.find(0, "node", 7)[6], "he can log in")
	_, err = a.add(User{Name: "node", UID: 1005}, "/bin/sh")
	require.EqualError(t, err, "the base system has user node with id 1000, not 1005")
}

func TestAnIDThatSomebodyHasIsNotGivenAgain(t *testing.T) {
	a := debianLike()
	_, err := a.add(User{Name: "gate", UID: 1000}, "/bin/sh")
	require.EqualError(t, err, "user gate: the base system's node has the id 1000")
	_, err = a.add(User{Name: "gate", UID: 1002}, "/bin/sh")
	require.EqualError(t, err, "user gate: the base system's build has the id 1002")
	got, err := a.add(User{Name: "build", UID: 1002}, "/bin/sh")
	require.NoError(t, err, "a user may have the id of the group of his name")
	assert.Equal(t, 1002, got.gid)
}

func TestASystemWithoutShadowPasswordsKeepsNone(t *testing.T) {
	a := &accounts{passwd: parseTable(""), group: parseTable("gate:x:77:")}
	got, err := a.add(User{Name: "gate"}, "/bin/sh")
	require.NoError(t, err)
	assert.Equal(t, 77, got.gid, "the group is there")
	assert.Equal(t, "gate:*:1000:77::/home/gate:/bin/sh\n", a.passwd.String())
	assert.Equal(t, "gate:x:77:\n", a.group.String())
	a.forgetDays()
	assert.Nil(t, a.shadow)
}

func TestOwnersAreNamesOrNumbers(t *testing.T) {
	a := debianLike()
	for name, want := range map[string][2]int{
		"root": {0, 0}, "node": {1000, 1000}, "node:staff": {1000, 50}, "7:8": {7, 8}, "9": {9, 9},
	} {
		uid, gid, err := a.owner(name)
		require.NoError(t, err, name)
		assert.Equal(t, want, [2]int{uid, gid}, name)
	}
	_, _, err := a.owner("nobody2")
	require.EqualError(t, err, `no user "nobody2"`)
	_, _, err = a.owner("root:wheel")
	require.EqualError(t, err, `no group "wheel"`)
}

func TestTheDayOfTheBuildIsNotNoted(t *testing.T) {
	a := debianLike()
	a.forgetDays()
	assert.Equal(t, "root:*::0:99999:7:::\n", a.shadow.String())
}
