package budget

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestWebhookRedirect: a redirect is not followed, and the message counts as not delivered.
func TestWebhookRedirect(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				t.Errorf("status %d: %s %s was called", status, r.Method, r.URL.Path)
				return
			}
			http.Redirect(w, r, "/elsewhere", status)
		}))
		hook := Webhook{URL: server.URL, Secret: "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}
		err := hook.post(t.Context(), "msg_1", "{}", time.Now())
		if err == nil || !strings.Contains(err.Error(), http.StatusText(status)) {
			t.Errorf("status %d: error %v, want one with the status", status, err)
		}
		server.Close()
	}
}
