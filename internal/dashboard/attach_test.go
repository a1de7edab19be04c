package dashboard_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/dashboard"
)

// TestAttach: pages show what the gateway itself says of prices and decisions, to those who
// may see it.
func TestAttach(t *testing.T) {
	o := operate(t, "", protected)
	h, err := dashboard.Attach(o.gateway, gateway.AdminOptions{}, dashboard.Options{Config: o.serving.Load,
		State: func() (dashboard.State, error) { return dashboard.State{}, nil }, Router: func() dashboard.Router { return dashboard.Router{} }})
	if err != nil {
		t.Fatal(err)
	}
	for key, status := range map[string]int{adminKey: 200, "another-0123456789abcdef": 401} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/ui/models", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		page := html.UnescapeString(w.Body.String())
		if shown := strings.Contains(page, "$1.00") && strings.Contains(page, "the configuration"); w.Code != status || shown != (status == 200) {
			t.Errorf("with the key %s: status %d: %s", key, w.Code, page)
		}
	}
}
