package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/embed"
)

const embedderHelp = "Embedder: static (in the binary), static:FILE, bert:DIR (a Hugging Face folder) or openai:URL#MODEL (any /v1/embeddings; key in OPENAI_API_KEY)."

// openEmbedder opens the embedder that a flag describes, with the cache and
// the key that the environment names.
func openEmbedder(spec string, tell func(done, total int)) (carrot.Embedder, error) {
	embedder, err := embed.Open(spec, embed.Options{
		CacheDir: cacheFolder("vectors"),
		APIKey:   os.Getenv("OPENAI_API_KEY"),
		Progress: tell,
	})
	switch {
	case errors.Is(err, embed.ErrSpec):
		return nil, usageError{err}
	case errors.Is(err, embed.ErrCache):
		return nil, hinted{err, "set CARROT_CACHE to a folder that can be written"}
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(spec, "bert:"):
		return nil, hinted{err, "a folder needs config.json, tokenizer.json or vocab.txt, and model.safetensors"}
	}
	return embedder, err
}

// errWantsEmbedder is returned for a saved router whose embedder the user must
// name.
var errWantsEmbedder = errors.New("the file alone does not decide which files are read and which host gets prompts and OPENAI_API_KEY")

// embedderSpec describes the embedder to open for a saved router: the one that the
// user named or, if named is empty, the table in the binary. A router that was
// trained with another embedder is an error then, whatever its file says.
func embedderSpec(a *artifact.Artifact, named string) (string, error) {
	wants := a.Manifest.Embedder
	switch {
	case named != "":
		return named, nil
	case wants.Spec == "static":
		return wants.Spec, nil
	}
	return "", hinted{fmt.Errorf("it wants the embedder %q (%q): %w", wants.Spec, wants.ID, errWantsEmbedder),
		"if you trust it, name it yourself: --embedder SPEC, or embedder: in the configuration of carrot serve"}
}

// cacheFolder is the folder for results of a kind that can be recomputed. It is ""
// if the user has no folder for such files: a temporary folder is shared with other
// users, who could plant files and links in it.
func cacheFolder(kind string) string {
	folder := os.Getenv("CARROT_CACHE")
	if folder == "" {
		var err error
		if folder, err = os.UserCacheDir(); err != nil {
			return ""
		}
	}
	return filepath.Join(folder, "carrot", kind)
}
