package embed

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
)

// Options of Open. The zero value works.
type Options struct {
	// CacheDir is the folder that keeps the vectors of a bert or openai
	// embedder between runs, see [Cache]. If it is empty, none are kept.
	CacheDir string
	// APIKey is sent to the endpoint of an openai embedder. It is never taken
	// from the environment.
	APIKey string
	// Progress is the Progress of a bert or openai embedder, see [Encoded].
	Progress func(done, total int)
	// Texts are those that the rows of an npy embedder's file belong to, in
	// order: the prompts of a data set. Other embedders do not need them.
	Texts []string
}

// Errors of Open that a caller may want to tell apart. They are wrapped with
// details.
var (
	ErrSpec  = errors.New("invalid embedder") // the spec is malformed
	ErrCache = errors.New("vector cache")     // the cache cannot be read or written
)

// Open opens the embedder that spec describes:
//
//	static              the table in the binary, as Default
//	static:FILE         a table in a file, as OpenStatic
//	bert:DIR            a sentence encoder in a Hugging Face folder, as OpenBERT
//	openai:URL#MODEL    a model at an OpenAI-compatible API, for example
//	                    openai:https://api.openai.com/v1#text-embedding-3-small
//	none                nothing, for outcomes that prompts say nothing about
//	npy:FILE            vectors that another program has made of Options.Texts,
//	                    a matrix of float32 that numpy.save has written
//
// An npy embedder is for training and evaluation: any text that is not one of its
// texts is an error of Embed, and without texts it does not open. Its vectors are
// scaled to unit length.
//
// It makes no request, so an endpoint that does not answer is an error of the first
// Embed. A spec of any other form is an error that wraps [ErrSpec].
func Open(spec string, o Options) (carrot.Embedder, error) {
	var encoder Encoder
	kind, at, _ := strings.Cut(spec, ":")
	switch {
	case spec == "none":
		return none{}, nil
	case kind == "static":
		s, err := openTable(at)
		if err != nil {
			return nil, err
		}
		return s, nil
	case kind == "bert" && at != "":
		b, err := OpenBERT(at)
		if err != nil {
			return nil, err
		}
		encoder = b
	case kind == "openai" && at != "":
		url, model, _ := strings.Cut(at, "#")
		if model == "" {
			return nil, fmt.Errorf("%w %q: name the model after #, as in openai:%s#text-embedding-3-small", ErrSpec, spec, url)
		}
		encoder = &provider.Embeddings{BaseURL: url, Model: model, APIKey: o.APIKey}
	case kind == "npy" && at != "":
		r, err := openRecorded(at, o.Texts)
		if err != nil {
			return nil, err
		}
		return r, nil
	default:
		return nil, fmt.Errorf("%w %q: want static, static:FILE, bert:DIR, openai:URL#MODEL, npy:FILE or none", ErrSpec, spec)
	}
	e := &Encoded{Encoder: encoder, Progress: o.Progress}
	if o.CacheDir != "" {
		cache, err := OpenCache(o.CacheDir, encoder.ID())
		if err != nil {
			return nil, err
		}
		e.Cache = cache
	}
	return e, nil
}

// none represents every text by nothing, so that no forecast depends on it.
type none struct{}

// ID implements carrot.Embedder.
func (none) ID() string { return "none" }

// Embed implements carrot.Embedder.
func (none) Embed(_ context.Context, texts []string, dst []carrot.Representation) error {
	if len(texts) != len(dst) {
		return fmt.Errorf("embed: %d texts for %d representations", len(texts), len(dst))
	}
	for i := range dst {
		dst[i] = carrot.Representation{}
	}
	return nil
}

// openTable opens the table in a file, or the one in the binary if path is
// empty.
func openTable(path string) (*Static, error) {
	if path == "" {
		return Default()
	}
	return OpenStatic(path)
}
