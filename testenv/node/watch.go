package node

import "time"

const (
	keepAlive = 15 * time.Second // between two questions whether the node lives
	giveUp    = 2 * time.Minute  // without an answer, the node is taken for dead
)

// watch closes the connection when the node no longer answers, so that
// whatever waits for it fails.
func (n *Node) watch() {
	for wait(n.lifetime, keepAlive) == nil {
		silence := time.AfterFunc(giveUp, func() { n.client.Close() })
		_, _, err := n.client.SendRequest("keepalive@openssh.com", true, nil)
		silence.Stop()
		if err != nil {
			return
		}
	}
}
