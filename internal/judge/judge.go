// Package judge scores answers: by rules, such as the equality of numbers, with a
// command, or by asking a model.
package judge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// Item is an answer to score.
type Item struct {
	ID        string   `json:"id"`
	Model     string   `json:"model"` // that answered
	Prompt    string   `json:"prompt"`
	Reference string   `json:"reference,omitempty"` // the right answer, or a JSON list of right answers
	Answer    string   `json:"answer"`
	Choices   []string `json:"choices,omitempty"` // the options A, B, … of a multiple choice, if they are known
}

// Verdict is what a judge says of an answer.
type Verdict struct {
	Score float64 // in [0,1]
	Final string  // the final answer, extracted and normalised; "" if none was found
	Votes []Vote  // of a judge that is a model, in order
	Note  string  // a short line for people, without text of the prompt or the answer
}

// Vote is one reply of a judge that is a model.
type Vote struct {
	First bool    `json:"first"` // the answer stood first, when two are compared
	Score float64 `json:"score"`
}

// Judge scores answers. Its methods may be called concurrently.
type Judge interface {
	// Judge returns the verdict on an item. An error means that the item was not
	// judged: its score is unknown, not zero. Errors hold no text of the prompt and
	// the answer.
	Judge(ctx context.Context, it Item) (Verdict, error)
}

// Question is what a judge asks a model.
type Question struct {
	Item           Item
	System, Prompt string
	Number         int // of the vote on the item, from 0
}

// Asker asks the model of a judge.
type Asker interface {
	Ask(ctx context.Context, q Question) (text string, err error)
}

// Questioner is implemented by a judge that asks a model. It is for forecasts of what
// judging costs.
type Questioner interface {
	// Questions returns what the judge would ask about an item, in order.
	Questions(it Item) ([]Question, error)
}

// Options are what a judge needs beside its configuration.
type Options struct {
	Asker         Asker
	Dir           string            // that relative paths in the configuration start from
	AllowCommands bool              // commands may be run
	Models        []string          // the candidates, for the warning about kin
	Warn          func(text string) // is told what does no harm by itself; may be nil
}

// FinalHash returns a short hash of a final answer, "" of "".
func FinalHash(final string) string {
	if final == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(final))
	return hex.EncodeToString(sum[:6])
}
