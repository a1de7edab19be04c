package carrot

import (
	"context"
	"fmt"
	"math"
)

// Representation is what a predictor sees of a query.
type Representation struct {
	// Dense is a unit vector (all zeros for a text without tokens).
	Dense []float32
	// Sparse is the weighted bag of hashed words and word pairs.
	Sparse Sparse
	// Grams are the hashes of each word's runs of four characters, in their order and as
	// often as they occur. They serve to tell novel queries; without them, words do.
	Grams []uint32
}

// Sparse is a bag of hashed words and word pairs: Value[i], 1 + ln(count), at
// the 32-bit hash Index[i]. Indices are strictly increasing: those of words are
// below FirstPair, those of pairs are not.
type Sparse struct {
	Index []uint32
	Value []float32
}

// FirstPair is the smallest index that a pair of words can have in a [Sparse].
const FirstPair uint32 = 1 << 31

// Embedder turns texts into representations. An embedder is safe for
// concurrent use and gives a text the same representation alone or in a
// batch.
type Embedder interface {
	// ID names the embedder and a hash of its content. Vectors of two IDs
	// never mix.
	ID() string
	// Embed writes the representation of texts[i] to dst[i], reusing the
	// capacity of its slices. len(dst) must equal len(texts). On an error
	// the content of dst is unspecified.
	Embed(ctx context.Context, texts []string, dst []Representation) error
}

// Forecast is what a predictor says of one model on one query, before prices.
type Forecast struct {
	Quality      float64 // expected score in [0,1]
	QualitySE    float64 // standard error of Quality: how sure the mean is
	QualityNoise float64 // standard deviation of one score about its mean

	OutputTokens    float64 // expected output tokens (a mean)
	OutputTokensP90 float64 // their 90% quantile

	// CostUSD and its 90% quantile, for a model whose outcomes carried
	// costs and no tokens (RouterBench); Direct is then set and the output
	// tokens are zero.
	CostUSD, CostUSDP90 float64
	Direct              bool

	// CostUnknown says that the model was trained on scores alone: neither
	// tokens nor costs are forecast.
	CostUnknown bool

	// CostRatioP90 and TokensRatioP90 are, for a plan, the 90% quantile of its cost and of
	// its output tokens over what is expected. Its tokens are those of all calls, and its
	// cost follows from Prediction.Steps.
	CostRatioP90, TokensRatioP90 float64
}

// impossible says why a forecast cannot be true, or "" if it can.
func (f *Forecast) impossible() string {
	if !(f.Quality >= 0 && f.Quality <= 1) {
		return fmt.Sprintf("quality %v is outside [0,1]", f.Quality)
	}
	for i, v := range [...]float64{f.QualitySE, f.QualityNoise, f.OutputTokens, f.OutputTokensP90, f.CostUSD, f.CostUSDP90, f.CostRatioP90, f.TokensRatioP90} {
		if !(v >= 0 && v <= math.MaxFloat64) {
			what := [...]string{"the standard error of quality", "the noise of quality", "output tokens", "their 90% quantile", "the cost", "its 90% quantile", "the ratio of the 90% quantile of the cost", "that of the output tokens"}
			return fmt.Sprintf("%s: %v is negative or not finite", what[i], v)
		}
	}
	return ""
}

// Prediction is a predictor's answer for one query.
type Prediction struct {
	// Forecasts has one entry per model, in the order of Models.
	Forecasts []Forecast
	// Steps has the calls of each plan, by the same number as its forecast, and none for
	// a model. It is nil for a predictor without plans.
	Steps [][]Step
	// Novelty in [0,1] is how unlike the training queries this one is: the
	// share of training queries that were less novel when they were held
	// out.
	Novelty float64
	// Abstained says that the query was too novel: the forecasts are nearly each
	// model's mean over the training queries.
	Abstained bool
}

// Predictor forecasts every model's quality and cost. It is safe for
// concurrent use, never changes its input, and gives the same for a batch as
// for its rows.
//
// A predictor may also have a method
//
//	Only(models []string) Predictor
//
// that returns a predictor of these models alone, with the same forecasts;
// [Router.Trim] uses it. And it may have a method
//
//	Lender(model string) string
//
// that names the model which a column's forecasts are borrowed from, because nothing was
// observed of the column's own; "" for the others. See Assessment.Borrowed. With a method
//
//	For(models []string) Predictor
//
// that returns a predictor of at least these models, a [Router] leaves out columns that
// none of its candidates needs.
type Predictor interface {
	// Models names the columns of a prediction.
	Models() []string
	// Predict writes the prediction for x[i] to dst[i], reusing the
	// capacity of its Forecasts and Steps. len(dst) must equal len(x).
	Predict(x []Representation, dst []Prediction) error
}

// Estimate is a forecast with a price on it: what a decision is made from.
type Estimate struct {
	Quality      float64 // expected score in [0,1]
	QualitySE    float64 // standard error of Quality
	QualityNoise float64 // standard deviation of one score about its mean

	InputTokens     int
	CachedTokens    int // of InputTokens, in the provider's prompt cache
	OutputTokens    float64
	OutputTokensP90 float64

	// PriceAbove is the number of tokens beyond which the rates in Cost begin, for
	// prompts that are billed by their length. Zero: the rates are those of all.
	PriceAbove int

	Cost    USD // expected cost of the call
	CostP90 USD // its 90% quantile
	// CostUnknown says that nothing is known of the cost: Cost and CostP90
	// are zero and mean nothing.
	CostUnknown bool
}
