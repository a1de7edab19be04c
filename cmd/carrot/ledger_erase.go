package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/phrase"
)

type ledgerEraseCommand struct {
	storeFlags
	Client string `xor:"whose" required:"" placeholder:"NAME" help:"Erase a client."`
	User   string `xor:"whose" required:"" placeholder:"ID" help:"Erase an end user, by the id that clients send: safety_identifier, user or metadata.user_id."`
	Yes    bool   `help:"Erase; without it, only count."`
	JSON   bool   `name:"json" help:"Print as JSON."`
}

func (c *ledgerEraseCommand) Help() string {
	return `Deletes texts, and what could tell whose attempts these are: ids of requests, sessions,
labels, messages of errors, the link to the decision. Times, models, tokens and costs
stay, so that sums do not change; those of a client go to the name "erased". Files of
records, exports and backups are not changed.

Examples:
  carrot ledger erase --store carrot.db --user ada@example.org
  carrot ledger erase --store carrot.db --client support --yes`
}

func (c *ledgerEraseCommand) Run(ctx context.Context, t terminal) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "erasing attempts")
	defer p.stop()
	do := s.Count
	if c.Yes {
		do = s.Erase
	}
	attempts, texts, err := do(ctx, ledger.Whose{Client: c.Client, User: c.User})
	if err != nil {
		return err
	}
	if c.Yes {
		whose := "client"
		if c.User != "" { // whose name is not kept
			whose = "end user"
		}
		if err := noted(ctx, s, "erase", c.Client, map[string]any{"by": whose, "attempts": attempts, "texts": texts}); err != nil {
			return err
		}
	}
	p.stop()
	if c.JSON {
		return json.NewEncoder(t.out).Encode(struct {
			Schema   string `json:"schema"`
			Erased   bool   `json:"erased"`
			Attempts int64  `json:"attempts"`
			Texts    int64  `json:"texts"`
		}{"carrot.ledger-erase/1", c.Yes, attempts, texts})
	}
	what := fmt.Sprintf("%s, of which %d with texts", phrase.Count(int(attempts), "attempt"), texts)
	if !c.Yes {
		fmt.Fprintf(t.out, "%s: nothing was erased; add --yes\n", what)
		return nil
	}
	fmt.Fprintf(t.out, "%s: erased\n", what)
	return nil
}
