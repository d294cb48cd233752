package appliance

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// ownPort returns a port of the loopback that is this test process's alone. A server that is not there yet, or not at present since it is
// started anew, does not hold its port, and the tests beside open many listeners at ports that the system picks: one in some thousands would
// be that very one. Hence it lies below the system's range (from 32768 on Linux, 49152 elsewhere), and no two tests are given the same.
func ownPort(t testing.TB) string {
	t.Helper()
	const first, last = 10000, 32767
	for range last - first {
		n := os.Getpid()*211 + int(portsGiven.Add(1)) // processes of several packages run at a time
		port := strconv.Itoa(first + n%(last-first))
		if ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

var portsGiven atomic.Int64
