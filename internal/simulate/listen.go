package simulate

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Listen serves the provider at a free loopback address until ctx is done. wait
// returns when the server has stopped.
func (p *Provider) Listen(ctx context.Context) (address string, wait func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: p}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) }) // returns when the server is closed
	context.AfterFunc(ctx, func() { server.Close() })
	return listener.Addr().String(), serving.Wait, nil
}
