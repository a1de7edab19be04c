package predict

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// names lists the predictors.
var names = []string{"blend", "kernel", "sparse", "knn", "ridge", "mean"}

// Spec names a predictor and its hyperparameters. A zero hyperparameter is
// chosen by Fit.
type Spec struct {
	Name string `json:"name"`

	Gamma     float64 `json:"gamma,omitempty"`     // kernel: exp(-γ|x-z|²)
	Noise     float64 `json:"noise,omitempty"`     // kernel: ridge on the weights, for scores
	Landmarks int     `json:"landmarks,omitempty"` // kernel: Nyström landmarks
	Alpha     float64 `json:"alpha,omitempty"`     // sparse, ridge: ridge on the weights, for scores
	Buckets   int     `json:"buckets,omitempty"`   // sparse: hash buckets, a power of two
	K         int     `json:"k,omitempty"`         // knn: neighbours for scores
	KTokens   int     `json:"k_tokens,omitempty"`  // knn: neighbours for output tokens

	// The same hyperparameters for output tokens, and for what all models
	// have in common on a query. Zero means the value for scores; if that is
	// zero too, Fit chooses each of them.
	KCommon     int     `json:"k_common,omitempty"`
	NoiseTokens float64 `json:"noise_tokens,omitempty"`
	NoiseCommon float64 `json:"noise_common,omitempty"`
	AlphaTokens float64 `json:"alpha_tokens,omitempty"`
	AlphaCommon float64 `json:"alpha_common,omitempty"`

	// Parts of a blend, joined by "+". Empty: "kernel+sparse".
	Parts string `json:"parts,omitempty"`

	// Caution in (0,1] is the factor by which the models' differences in
	// quality are shrunk towards those of their means. Zero means 1, no
	// shrinkage.
	Caution float64 `json:"caution,omitempty"`

	// Seed draws the kernel's landmarks.
	Seed uint64 `json:"seed"`
}

// ParseSpec reads a predictor's name with optional hyperparameters:
// "blend", "knn:k=128:k-tokens=64", "kernel:gamma=1:noise=20:landmarks=1000".
func ParseSpec(text string) (Spec, error) {
	fields := strings.Split(text, ":")
	s := Spec{Name: fields[0]}
	if !slices.Contains(names, s.Name) {
		return s, fmt.Errorf("unknown predictor %q: want one of %s", s.Name, strings.Join(names, ", "))
	}
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		if err := s.set(key, value); err != nil {
			return s, fmt.Errorf("predictor %q: %w", text, err)
		}
	}
	return s, nil
}

// parameters lists what each predictor can be given.
var parameters = map[string][]string{
	"mean":   {},
	"knn":    {"k", "k-tokens"},
	"kernel": {"gamma", "noise", "landmarks"},
	"sparse": {"alpha", "buckets"},
	"ridge":  {"alpha"},
	"blend":  {"gamma", "noise", "landmarks", "alpha", "buckets", "k", "k-tokens", "parts"},
}

func (s *Spec) set(key, value string) error {
	known := append([]string{"caution"}, parameters[s.Name]...)
	if !slices.Contains(known, key) {
		return fmt.Errorf("unknown hyperparameter %q: want %s", key, strings.Join(known, ", "))
	}
	if key == "parts" {
		s.Parts = value
		_, err := newBlend(*s)
		return err
	}
	number, err := strconv.ParseFloat(value, 64)
	if err != nil || !(number > 0) || number > 1e9 {
		return fmt.Errorf("%s=%s: want a positive number", key, value)
	}
	whole := func(at *int) error {
		if number != float64(int(number)) {
			return fmt.Errorf("%s=%s: want a whole number", key, value)
		}
		*at = int(number)
		return nil
	}
	switch key {
	case "gamma":
		s.Gamma = number
	case "noise":
		s.Noise = number
	case "alpha":
		s.Alpha = number
	case "landmarks":
		return whole(&s.Landmarks)
	case "k":
		return whole(&s.K)
	case "k-tokens":
		return whole(&s.KTokens)
	case "caution":
		if s.Caution = number; number > 1 {
			return fmt.Errorf("caution=%s: want a number in (0,1]", value)
		}
	case "buckets":
		if err := whole(&s.Buckets); err != nil {
			return err
		}
		if b := s.Buckets; b&(b-1) != 0 || b > 1<<20 {
			return fmt.Errorf("buckets=%s: want a power of two up to 1048576", value)
		}
	}
	return nil
}
