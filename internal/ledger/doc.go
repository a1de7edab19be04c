// Package ledger keeps every attempt of a gateway in a database, so that spending can be
// looked up, exported and explained afterwards.
//
// A [Ledger] records attempts for a gateway: an attempt is in a local journal before
// [Ledger.Record] returns, and a single writer moves it from there to the [Store], in
// batches. Neither a crash of the process, nor a store that is away for a while loses an
// attempt, and none is in the store twice.
//
// A [Store] reads what was recorded. Attempts are narrow rows; the decisions that led to
// them are stored apart, compressed, and may be pruned earlier.
package ledger
