package collect

import (
	"context"
	"fmt"
	"slices"

	"github.com/carrot-router/carrot"
)

// forecast is how many output tokens an answer is expected to have. known says that the
// forecast is of this model, and not of models in general.
type forecast struct {
	output, p90 float64
	known       bool
}

// Of models and prompts about which nothing is known.
var guess = forecast{output: 400, p90: 1000}

// forecasts are those of the present router for each prompt.
type forecasts struct {
	models []string
	known  [][]forecast // by prompt and model
	mean   []forecast   // by prompt, over the models
}

// chunk is how many prompts are embedded together.
const chunk = 256

// predict calls fn with the predictions for texts, in order.
func (o *Options) predict(ctx context.Context, texts []string, fn func(i int, x *carrot.Representation, p *carrot.Prediction)) error {
	x, out := make([]carrot.Representation, chunk), make([]carrot.Prediction, chunk)
	for from := 0; from < len(texts); from += chunk {
		some := texts[from:min(from+chunk, len(texts))]
		if err := o.Embedder.Embed(ctx, some, x[:len(some)]); err != nil {
			return fmt.Errorf("embed prompts: %w", err)
		}
		if o.Predictor != nil {
			if err := o.Predictor.Predict(x[:len(some)], out[:len(some)]); err != nil {
				return fmt.Errorf("forecast answers: %w", err)
			}
		}
		for i := range some {
			fn(from+i, &x[i], &out[i])
		}
	}
	return nil
}

// observed reports for each of the predictor's models whether its forecasts follow from
// outcomes of its own, and are not borrowed.
func (o *Options) observed() []bool {
	if o.Predictor == nil {
		return nil
	}
	lends, _ := o.Predictor.(interface{ Lender(model string) string })
	own := make([]bool, len(o.Predictor.Models()))
	for m, model := range o.Predictor.Models() {
		own[m] = lends == nil || lends.Lender(model) == ""
	}
	return own
}

// forecasts returns what the present router forecasts for the prompts.
func (p *Plan) forecasts(ctx context.Context) (*forecasts, error) {
	f := &forecasts{}
	if p.opt.Embedder == nil || p.opt.Predictor == nil || p.Answered == p.Calls {
		return f, nil
	}
	f.models = p.opt.Predictor.Models()
	observed := p.opt.observed()
	texts := make([]string, len(p.prompts))
	for i := range p.prompts {
		texts[i] = p.prompts[i].Prompt
	}
	err := p.opt.predict(ctx, texts, func(_ int, _ *carrot.Representation, prediction *carrot.Prediction) {
		known, mean, n := make([]forecast, len(f.models)), forecast{}, 0.0
		for m, one := range prediction.Forecasts {
			if one.Direct || one.CostUnknown {
				continue
			}
			known[m] = forecast{one.OutputTokens, one.OutputTokensP90, true}
			if !observed[m] {
				continue
			}
			mean.output, mean.p90, n = mean.output+one.OutputTokens, max(mean.p90, one.OutputTokensP90), n+1
		}
		if mean.output /= n; n == 0 {
			mean = guess
		}
		f.known, f.mean = append(f.known, known), append(f.mean, mean)
	})
	return f, err
}

// of returns the forecast for a prompt and a model.
func (f *forecasts) of(prompt int, m *ModelConfig) forecast {
	if f.known == nil {
		return guess
	}
	for _, name := range []string{m.Name, m.Upstream} {
		if i := slices.Index(f.models, name); i >= 0 && f.known[prompt][i].known && m.Effort == "" {
			return f.known[prompt][i]
		}
	}
	return f.mean[prompt]
}
