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
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
)

const embedderHelp = "Embedder: static (in the binary), static:FILE, bert:DIR (a Hugging Face folder), openai:URL#MODEL (any /v1/embeddings; key in OPENAI_API_KEY) or, for train and eval, npy:FILE (a float32 row for each query, in order; docs/own-router.md). With --predictor mean also none: prompts are not looked at."

// noEmbedder is the spec and the ID of the embedder that represents no prompt.
const noEmbedder = "none"

// blind reports whether a router estimates the same for every prompt by design.
func blind(a *artifact.Artifact) bool { return a.Manifest.Embedder.ID == noEmbedder }

// checkRequests refuses a router whose estimates are not of single requests.
func checkRequests(a *artifact.Artifact) error {
	if a.Manifest.Unit == "" && !blind(a) {
		return nil
	}
	what := "its estimates do not depend on the prompt (embedder none), so it cannot tell one request from another"
	if a.Manifest.Unit != "" {
		what = fmt.Sprintf("its qualities and costs are those of a whole %s, which an agent solves in many calls, and not of one request", a.Manifest.Unit)
		if blind(a) {
			what += "; nor do they depend on the prompt"
		}
	}
	return hinted{errors.New(what), "carrot route and carrot eval take it; train a router for requests on outcomes of requests"}
}

// orInBinary returns the name of a router in the binary if a configuration names one and
// there is no such file: a configuration's paths are those of files beside it.
func orInBinary(path string) string {
	if name := filepath.Base(path); name == "default" || name == "agents-2026" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
	return path
}

// openEmbedder opens the embedder that a flag describes, with the cache and
// the key that the environment names. texts are those that an npy embedder knows, nil
// if others are to be embedded.
func openEmbedder(spec string, texts []string, tell func(done, total int)) (carrot.Embedder, error) {
	embedder, err := embed.Open(spec, embed.Options{
		Texts:    texts,
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

// promptsOf returns the texts that an embedder is opened with: the prompts of the data
// folder if the embedder is a file that has a vector for each of them, else nil.
func promptsOf(spec string, dirs []string, load func() (*dataset.Set, error)) ([]string, error) {
	if !strings.HasPrefix(spec, "npy:") {
		return nil, nil
	}
	if len(dirs) != 1 {
		return nil, usagef("--embedder %s has a row for each query of one data folder, but there are %d: carrot data join makes one of them", spec, len(dirs))
	}
	set, err := load()
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(set.Queries))
	for i, q := range set.Queries {
		texts[i] = q.Prompt
	}
	return texts, nil
}

// errRecorded is returned for a saved router whose embedder knows no new prompts.
var errRecorded = errors.New("which has vectors of the recorded queries only, so that no new prompt can be embedded")

// checkRecorded refuses to route with a saved router that was trained on a file of
// vectors.
func checkRecorded(a *artifact.Artifact) error {
	wants := a.Manifest.Embedder
	if !strings.HasPrefix(wants.ID, "npy@") {
		return nil
	}
	return hinted{fmt.Errorf("it was trained with the embedder %q (%s), %w", wants.Spec, wants.ID, errRecorded),
		"it can be measured by carrot eval; to route, train with an embedder that runs: static, bert:DIR or openai:URL#MODEL"}
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
	case wants.Spec == "static" || wants.Spec == noEmbedder:
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
