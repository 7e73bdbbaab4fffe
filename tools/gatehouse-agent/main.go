// Command gatehouse-agent is /init of a test machine's initramfs, and its
// PID 1. See package agent. It takes no arguments and is of no use elsewhere.
package main

import (
	"fmt"
	"os"

	"github.com/gatehouse-dev/gatehouse/testenv/agent"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "gatehouse-agent: runs only as the first process of a test machine")
		os.Exit(2)
	}
	agent.Main(os.Stdout)
	os.Exit(1) // the kernel panics, and the console says why
}
