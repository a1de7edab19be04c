package record

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// ErrUnknownRequest says that there is no request with an id, or that it is another
// client's.
var ErrUnknownRequest = errors.New("there is no such request")

// Feedback is what was said of the answer to a request, after it was given.
type Feedback struct {
	Time      time.Time
	RequestID string
	Client    string   // the client of the request
	Kind      string   // score, thumb, label or success
	Score     *float64 // in [0,1]; nil: unknown
	Label     string   // of kind label
	Note      string   // free text
	By        string   // who said it, if not the client of the request
}

// Set sets Kind, Score and Label from a text: a score in [0,1], a thumb (up or down), a
// label, or whether the task was a success (true or false). A label has the score that
// labels gives it, and no score if it is not among them.
func (f *Feedback) Set(kind, value string, labels map[string]float64) error {
	score := func(yes, no string) error {
		x := 0.0
		switch value {
		case yes:
			x = 1
		case no:
		default:
			return fmt.Errorf("%q: want %s or %s", value, yes, no)
		}
		f.Score = &x
		return nil
	}
	f.Kind, f.Score, f.Label = kind, nil, ""
	switch kind {
	case "score":
		x, err := strconv.ParseFloat(value, 64)
		if err != nil || !(x >= 0 && x <= 1) {
			return fmt.Errorf("%q: want a number from 0 to 1", value)
		}
		f.Score = &x
		return nil
	case "thumb":
		return score("up", "down")
	case "success":
		return score("true", "false")
	case "label":
		if value == "" || len(value) > maxFeedbackLabel {
			return fmt.Errorf("%.40q: want a text of 1 to %d bytes", value, maxFeedbackLabel)
		}
		f.Label = value
		if x, ok := labels[value]; ok {
			f.Score = &x
		}
		return nil
	}
	return fmt.Errorf("feedback of kind %q: want score, thumb, label or success", kind)
}

// maxFeedbackLabel is the longest label, in bytes.
const maxFeedbackLabel = 64
