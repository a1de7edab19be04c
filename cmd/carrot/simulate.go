package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/simulate"
)

type simulateCommand struct {
	Data    string `required:"" placeholder:"DIR" help:"Data folder with the outcomes."`
	Listen  string `default:"127.0.0.1:8090" placeholder:"ADDR" help:"Address for clients; port 0 chooses a free one. Default: ${default}."`
	Answers string `placeholder:"FILE" help:"Recorded answers, as carrot collect writes them into answers.jsonl, in place of made ones."`
	Judge   string `default:"judge" placeholder:"NAME" help:"A further model, which answers the last score=S in its prompt with S, for 0.15 and 0.60 USD per million tokens of input and output. Default: ${default}."`

	Failures   float64       `placeholder:"SHARE" help:"Share of calls that fail the first time, 0 to 1."`
	Rate       int           `placeholder:"N" help:"Requests a minute that a model answers; others get status 429."`
	Concurrent int           `placeholder:"N" help:"Requests that a model answers at the same time; others get status 429."`
	Delay      time.Duration `placeholder:"TIME" help:"Mean time that an answer takes, such as 50ms."`
	BatchTime  time.Duration `placeholder:"TIME" help:"How long a batch takes."`
	BatchLate  float64       `placeholder:"SHARE" help:"Share of the requests of a batch that expire, 0 to 1."`
	FlexBusy   float64       `placeholder:"SHARE" help:"Share of calls with the service tier flex for which there is no capacity the first time, 0 to 1."`
	Seed       uint64        `placeholder:"N" help:"Seed of what is random."`
}

func (c *simulateCommand) Help() string {
	return `Serves the APIs of OpenAI (chat completions, responses, files, batches) and Anthropic
(messages, message batches) in front of simulated models, so that carrot collect and
other clients can be tried without a key and without cost. No model is asked: for a
prompt of the data folder, each of its models answers

  Simulated answer of MODEL.
  score=SCORE
  answer=HASH

with the recorded score and hash, and reports the recorded tokens. What was not recorded
fails with status 500. Any API key is accepted. Calls are billed with the prices in
models.json, batches and flex at half of them; GET /bill shows the bill, and it is
printed at the end, with Ctrl-C or SIGTERM.

Example:
  carrot data example mydata
  carrot simulate --data mydata`
}

func (c *simulateCommand) Run(ctx context.Context, t terminal) error {
	for _, share := range []struct {
		flag  string
		value float64
	}{{"--failures", c.Failures}, {"--batch-late", c.BatchLate}, {"--flex-busy", c.FlexBusy}} {
		if !(share.value >= 0 && share.value <= 1) {
			return usagef("%s: want a share from 0 to 1, not %v", share.flag, share.value)
		}
	}
	if c.Rate < 0 || c.Concurrent < 0 || c.Delay < 0 || c.BatchTime < 0 {
		return usagef("--rate, --concurrent, --delay and --batch-time: want 0 or more")
	}
	provider, err := c.provider(ctx, t)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return hinted{err, "choose another address with --listen"}
	}
	fmt.Fprintf(t.err, "%s of %s at http://%s/v1, the bill at http://%[3]s/bill\nStop with Ctrl-C.\n", phrase.Count(len(provider.Models), "simulated model"), c.Data, listener.Addr())
	if err := provider.Serve(ctx, listener); err != nil {
		return err
	}
	encoder := json.NewEncoder(t.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(provider.Bill())
}

// provider reads the data folder.
func (c *simulateCommand) provider(ctx context.Context, t terminal) (*simulate.Provider, error) {
	p := startProgress(ctx, t.err, "reading "+c.Data)
	defer p.stop()
	set, err := dataset.Load(ctx, c.Data)
	if err != nil {
		return nil, err
	}
	recorded := simulate.NewRecorded(set, c.Judge)
	if c.Answers != "" {
		file, err := os.Open(c.Answers)
		if err != nil {
			return nil, err
		}
		defer file.Close() // only read from
		if err := recorded.ReadTexts(file, c.Answers); err != nil {
			return nil, err
		}
	}
	provider := &simulate.Provider{Models: recorded.Models(), Answers: recorded.Answer, Seed: c.Seed,
		Batching: simulate.Batching{After: c.BatchTime, Expiring: c.BatchLate}}
	for i := range provider.Models {
		m := &provider.Models[i]
		m.FailureRate, m.FlexUnavailable, m.FirstToken = c.Failures, c.FlexBusy, c.Delay
		m.Limit = simulate.Limit{RatePerMinute: c.Rate, Concurrent: c.Concurrent}
	}
	return provider, nil
}
