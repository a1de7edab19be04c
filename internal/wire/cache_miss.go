package wire

import (
	"strings"

	"github.com/tidwall/gjson"
)

// CacheMiss returns the provider's word for why it could not use its prompt cache, such
// as tools_changed, or "" if it reported nothing of the kind.
func (r *Report) CacheMiss() string { return r.miss }

// cacheMiss reads the diagnostics of a prompt cache in a whole response or message.
// Clients must ask for them.
func cacheMiss(api API, answer gjson.Result) string {
	reason := ""
	switch api {
	case Responses:
		if d := answer.Get("prompt_cache_diagnostics"); d.Get("type").Str == "cache_miss" {
			reason = d.Get("reason").Str
		}
	case Messages:
		reason = answer.Get("diagnostics.cache_miss_reason.type").Str
	}
	if len(reason) > maxName || strings.Trim(reason, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return reason
}
