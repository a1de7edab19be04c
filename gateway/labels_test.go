package gateway

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzLabels: what requests say of labels adds allowed ones, within bounds, or is refused; the
// client's own stay.
func FuzzLabels(f *testing.F) {
	for _, text := range []string{"feature=search,tenant=a=b", " tenant = x ,", "team=other", "feature", "=", "feature=\x00", "feature=\xff", ","} {
		f.Add(text)
	}
	r := &routes{config: &Config{Labels: LabelConfig{Allowed: []string{"feature", "tenant"}}}}
	client := &Client{Name: "shop", Labels: map[string]string{"team": "search", "tenant": ""}}
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := r.labels(text, client)
		if err != nil {
			return
		}
		for name, value := range labels {
			switch own, isOwn := client.Labels[name]; {
			case isOwn && value != own, !isOwn && name != "feature":
				t.Errorf("%q: the label %q is %q", text, name, value)
			case !isOwn && (value == "" || len(value) > maxLabel || !utf8.ValidString(value) || strings.TrimSpace(value) != value):
				t.Errorf("%q: the value %q", text, value)
			}
		}
		if len(client.Labels) != 2 || len(labels) < 2 {
			t.Errorf("%q: %v, and the client's %v", text, labels, client.Labels)
		}
	})
}
