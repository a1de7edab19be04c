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

// simulatedBill is what simulated providers have charged.
type simulatedBill struct {
	Schema  string          `json:"schema"`
	CostUSD carrot.USD      `json:"cost_usd"`
	Models  []simulatedLine `json:"models"`
}

// simulatedLine is the part of a bill for one model.
type simulatedLine struct {
	Model   string       `json:"model"`
	Calls   int          `json:"calls"`   // billed
	Batch   int          `json:"batch"`   // of them, in batches
	Flex    int          `json:"flex"`    // of them, with the service tier flex
	Cut     int          `json:"cut"`     // of them, those whose client hung up
	Failed  int          `json:"failed"`  // not billed
	Limited int          `json:"limited"` // of them, because of a limit
	Usage   carrot.Usage `json:"usage"`
	CostUSD carrot.USD   `json:"cost_usd"`
}

// MarshalJSON writes the bill in the form carrot.simulated-bill/1.
func (b Bill) MarshalJSON() ([]byte, error) {
	out := simulatedBill{Schema: "carrot.simulated-bill/1", CostUSD: b.Cost(), Models: []simulatedLine{}}
	for _, l := range b.Lines {
		out.Models = append(out.Models, simulatedLine{l.Model, l.Calls, l.Batch, l.Flex, l.Cut, l.Failed, l.Limited, l.Usage, l.Cost})
	}
	return json.Marshal(out)
}
