package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestSecretIsNeverShown(t *testing.T) {
	const text = "sk-0123456789abcdef"
	secret := Secret(text)
	holder := struct {
		Key  Secret            `json:"key" yaml:"key"`
		Keys []Secret          `json:"keys" yaml:"keys"`
		Map  map[string]Secret `json:"map" yaml:"map"`
	}{secret, []Secret{secret}, map[string]Secret{"a": secret}}

	shown := map[string]string{
		"String":   secret.String(),
		"GoString": secret.GoString(),
		"error":    errors.Join(fmt.Errorf("key %v", secret)).Error(),
	}
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %10s %t") {
		shown[verb] = fmt.Sprintf(verb, secret)
		shown["in a struct "+verb] = fmt.Sprintf(verb, holder)
		shown["behind a pointer "+verb] = fmt.Sprintf(verb, &holder)
	}
	asJSON, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	shown["JSON"] = string(asJSON)
	asYAML, err := yaml.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	shown["YAML"] = string(asYAML)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog as JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"slog as text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		var log bytes.Buffer
		slog.New(handler(&log)).Info("started", "key", secret, "config", holder)
		shown[name] = log.String()
	}
	for name, got := range shown {
		if strings.Contains(got, "0123456789") || strings.Contains(got, fmt.Sprintf("%x", text)) || !strings.Contains(got, hidden) {
			t.Errorf("%s shows %s, want %s for the secret", name, got, hidden)
		}
	}
	if got := secret.Reveal(); got != text {
		t.Errorf("Reveal() = %q, want %q", got, text)
	}
	if got := fmt.Sprintf("%v%s%#v", Secret(""), Secret(""), Secret("")); got != "" {
		t.Errorf("an empty secret is shown as %q, want nothing", got)
	}
}
