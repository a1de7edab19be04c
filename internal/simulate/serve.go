package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/carrot-router/carrot"
)

// Serve serves the provider, and its bill at GET /bill, until ctx is done.
func (p *Provider) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: withBill(p), ReadHeaderTimeout: time.Minute}
	closed := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		server.Close()
		close(closed)
	})()
	err := server.Serve(listener)
	if errors.Is(err, http.ErrServerClosed) {
		<-closed
		return nil
	}
	return err
}

// withBill adds GET /bill to a provider.
func withBill(p *Provider) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", p)
	mux.HandleFunc("GET /bill", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.Bill()) // fails only if the client has hung up
	})
	return mux
}

// MarshalJSON writes the bill in the form carrot.simulated-bill/1.
func (b Bill) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Schema  string     `json:"schema"`
		CostUSD carrot.USD `json:"cost_usd"`
		Models  []Line     `json:"models"`
	}{"carrot.simulated-bill/1", b.Cost(), append([]Line{}, b.Lines...)})
}
