package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/internal/provider"
)

const embedderHelp = "Embedder: static (in the binary), static:FILE, bert:DIR (a Hugging Face folder) or openai:URL#MODEL (any /v1/embeddings; key in OPENAI_API_KEY)."

// openEmbedder opens the embedder that spec names. Vectors of a bert or openai
// embedder are cached on disk.
func openEmbedder(spec string, tell func(done, total int)) (carrot.Embedder, error) {
	kind, at, _ := strings.Cut(spec, ":")
	switch {
	case kind == "static" && at == "":
		return embed.Default()
	case kind == "static":
		return embed.OpenStatic(at)
	case kind == "bert" && at != "":
		encoder, err := embed.OpenBERT(at)
		if err != nil {
			return nil, hinted{err, "a folder needs config.json, tokenizer.json or vocab.txt, and model.safetensors"}
		}
		return cached(encoder, tell)
	case kind == "openai" && at != "":
		url, model, _ := strings.Cut(at, "#")
		if model == "" {
			return nil, usagef("embedder %q: name the model after #, as in openai:%s#text-embedding-3-small", spec, url)
		}
		return cached(&provider.Embeddings{BaseURL: url, Model: model, APIKey: os.Getenv("OPENAI_API_KEY")}, tell)
	}
	return nil, usagef("embedder %q: want static, static:FILE, bert:DIR or openai:URL#MODEL", spec)
}

func cached(encoder embed.Encoder, tell func(done, total int)) (carrot.Embedder, error) {
	cache, err := embed.OpenCache(filepath.Join(cacheFolder(), "carrot", "vectors"), encoder.ID())
	if err != nil {
		return nil, fmt.Errorf("%w (set CARROT_CACHE to a folder that can be written)", err)
	}
	return &embed.Encoded{Encoder: encoder, Cache: cache, Progress: tell}, nil
}

// cacheFolder is where what can be computed again is kept.
func cacheFolder() string {
	if set := os.Getenv("CARROT_CACHE"); set != "" {
		return set
	}
	folder, err := os.UserCacheDir()
	if err != nil {
		return os.TempDir()
	}
	return folder
}
