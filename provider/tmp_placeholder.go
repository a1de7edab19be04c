package provider

import "context"

// Embeddings placeholder until the helper's version lands.
type Embeddings struct{ BaseURL, Model, APIKey string }

func (e *Embeddings) ID() string { return e.Model }
func (e *Embeddings) Encode(ctx context.Context, t []string) ([][]float32, error) { return nil, nil }
