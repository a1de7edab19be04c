package collect

import (
	"context"
	"errors"
	"sync"

	"github.com/carrot-router/carrot"
)

// errCap says that a call does not fit under the cap.
var errCap = errors.New("the cap is reached")

// purse keeps the sum of all costs under a cap: what was spent and what calls in flight
// hold never exceed it together. It is safe for concurrent use.
type purse struct {
	mu    sync.Mutex
	cap   carrot.USD
	spent carrot.USD
	held  carrot.USD
	moved chan struct{} // closed when something was settled
}

func newPurse(limit, spent carrot.USD) *purse {
	return &purse{cap: limit, spent: spent, moved: make(chan struct{})}
}

// hold takes an amount, the most that a call can cost. If it does not fit beside what
// others hold, it waits until they have settled. It returns errCap if it does not fit
// beside what was spent.
func (p *purse) hold(ctx context.Context, amount carrot.USD) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.mu.Lock()
		if amount > p.cap-p.spent {
			p.mu.Unlock()
			return errCap
		}
		if amount <= p.cap-p.spent-p.held {
			p.held += amount
			p.mu.Unlock()
			return nil
		}
		moved := p.moved
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-moved:
		}
	}
}

// tryHold is hold without waiting; it reports whether the amount fits now.
func (p *purse) tryHold(amount carrot.USD) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if amount > p.cap-p.spent-p.held {
		return false
	}
	p.held += amount
	return true
}

// force holds an amount that an earlier run held already.
func (p *purse) force(amount carrot.USD) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held += amount
}

// settle gives back what was held and counts what was spent.
func (p *purse) settle(held, spent carrot.USD) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held -= held
	p.spent += spent
	close(p.moved)
	p.moved = make(chan struct{})
}

// state returns what was spent and is held.
func (p *purse) state() (spent, held carrot.USD) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spent, p.held
}
