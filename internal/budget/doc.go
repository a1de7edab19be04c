// Package budget counts what clients spend and ask for, and says no before a limit is
// passed. [Budgets] implements gateway.Budgets on a store.
//
// A call reserves the forecast of what it will hardly exceed (the 90% quantile of its
// cost), and settles its true cost when it is over. So a budget is neither refused for the
// worst case of calls that will not cost as much, nor passed by calls that run at the same
// time: it is passed at most by the sum, over calls in progress, of what they cost beyond
// their reserves.
//
// The store knows of each budget what is spent and what is held. A process takes leases:
// parts of a budget that are held for it, so that most calls need no store. What it spends
// of them is written by the ledger in the transaction that writes the attempts, so that
// spending is counted exactly once, and follows from the attempts. A lease ends after five
// minutes if it is not renewed. If the process has ended, what it held stays held, and
// counts as spent, until the process starts again or [Reconcile] is told to give it back.
package budget
