package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
)

// runUserData runs user data that is a script, as root, with its output on
// the console. Other kinds of user data are cloud-init's, which is not here.
func (m *machine) runUserData(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if !bytes.HasPrefix(data, []byte("#!")) {
		return errors.New("only scripts (#!) are run as user data")
	}
	const script = "/run/user-data"
	if err := os.WriteFile(script, data, 0o700); err != nil { //nolint:gosec // a script is to be run
		return err
	}
	return m.runScript(script, Account{Name: "root", Home: "/root", Shell: "/bin/sh"}, 0)
}

// runScript runs a program as a user, with its output on the console. If it
// takes longer than a time that is not zero, it is killed with all it started.
func (m *machine) runScript(path string, user Account, longest time.Duration) error {
	console, err := os.OpenFile(m.consoleFile, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer console.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	group, err := m.sessions.add()
	if err != nil {
		return err
	}
	defer group.remove()
	process, err := m.processes.Start(path, []string{path}, &os.ProcAttr{
		Dir: user.directory(), Env: user.environment(), Files: []*os.File{null, console, console},
		Sys: attributes(user, group),
	})
	if err != nil {
		return err
	}
	r := &running{process: process, group: group}
	if longest > 0 {
		defer time.AfterFunc(longest, r.killAll).Stop()
	}
	state, err := process.Wait()
	if err == nil && !state.Success() {
		err = fmt.Errorf("script: %s", state)
	}
	return err
}
