package artifact

import (
	"fmt"
	"slices"
	"time"

	"github.com/carrot-router/carrot/predict"
)

// correctedFormat is the format of a router that was corrected after its fit. Programs
// that know [Format] alone would decide as if it were not, so they refuse it.
const correctedFormat = "carrot.router/2"

// maxEarlier is how many earlier routers a manifest lists.
const maxEarlier = 50

// Correction is what was added to the forecasts of a router's fit after it, with one
// entry for each model.
type Correction struct {
	// Router is the fingerprint of the router with this correction; see
	// [Artifact.Fingerprint]. It is empty in the router's own file.
	Router  string    `json:"router,omitempty"`
	Quality []float64 `json:"quality"` // added to the quality
	Tokens  []float64 `json:"tokens"`  // multiplies output tokens, or a cost that is predicted directly
}

// Learned says what a router learnt from traffic after its fit.
type Learned struct {
	Correction
	// QualitySE and TokensSE are standard errors of what was observed, before it was
	// shrunk: of the mean residual, and of the logarithm of the factor. Null where fewer than
	// two requests were observed.
	QualitySE []*float64 `json:"quality_se"`
	TokensSE  []*float64 `json:"tokens_se"`
	// Rows are the judged requests that each model served.
	Rows []int `json:"rows"`
	// From and To are the times of the first and the last of them.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Gap says how far requests were weighted by their inverse propensity: it is the
	// standard deviation, between models, of what chosen requests say of them beyond what
	// requests say that were drawn at random. At 0 all requests count alike.
	Gap float64 `json:"gap"`
	// Earlier lists the routers of the same fit that decided before this one, the first
	// of them as it was fitted. Their decisions can be learnt from.
	Earlier []Correction `json:"earlier"`
}

// fingerprintLength is the number of hexadecimal digits of a fingerprint.
const fingerprintLength = 16

// Correct returns the router with a correction in place of the one that it has. The
// manifests differ in the format and in what was learnt; a's fingerprint is
// added to the earlier routers.
func (a *Artifact) Correct(l Learned) (*Artifact, error) {
	p, err := a.Predictor.Correct(l.Quality, l.Tokens)
	if err != nil {
		return nil, err
	}
	l.Router, l.Earlier = "", nil
	own := Correction{Router: a.Fingerprint}
	if before := a.Manifest.Learned; before != nil {
		l.Earlier = slices.Clone(before.Earlier)
		own.Quality, own.Tokens = before.Quality, before.Tokens
	} else {
		own.Quality, own.Tokens = make([]float64, len(a.Manifest.Models)), slices.Repeat([]float64{1}, len(a.Manifest.Models))
	}
	if l.Earlier = append(l.Earlier, own); len(l.Earlier) > maxEarlier { // the first is the fit
		l.Earlier = slices.Delete(l.Earlier, 1, 2)
	}
	out := &Artifact{Manifest: a.Manifest, Predictor: p}
	out.Manifest.Format, out.Manifest.Learned = correctedFormat, &l
	return out, nil
}

// checkLearned checks that the manifest says of a correction what the tensors say.
func (m *Manifest) checkLearned(p *predict.Predictor) error {
	shift, factor := p.Correction()
	l := m.Learned
	switch {
	case (shift != nil) != (m.Format == correctedFormat) || (l != nil) != (shift != nil):
		return fmt.Errorf("format %q: only %q has a correction, in the manifest and in the tensor head.correction", m.Format, correctedFormat)
	case l == nil:
		return nil
	case !slices.Equal(l.Quality, shift) || !slices.Equal(l.Tokens, factor):
		return fmt.Errorf("learned: the correction is not that of the tensor head.correction")
	}
	n := len(m.Models)
	if len(l.QualitySE) != n || len(l.TokensSE) != n || len(l.Rows) != n {
		return fmt.Errorf("learned: want standard errors and rows for %d models", n)
	}
	for _, e := range l.Earlier {
		if len(e.Quality) != n || len(e.Tokens) != n {
			return fmt.Errorf("learned: earlier router %q: want a correction for %d models", e.Router, n)
		}
	}
	return nil
}
