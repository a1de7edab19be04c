// Package record holds what a gateway writes down: one [Attempt] for every call of a
// provider, with the decision that led to it, its usage, its cost and its outcome. An
// attempt is written as one line of JSON (schema carrot.attempt/1), by a [JSONL] or
// any other recorder, and read back by [Read]:
//
//	for attempt, err := range record.Read(file) {
//		if err != nil {
//			fmt.Println(err)
//			continue
//		}
//		fmt.Println(attempt.Candidate, attempt.Outcome, attempt.Cost)
//	}
//
// Attempts hold everything that is needed to evaluate decisions afterwards: the
// estimates of all candidates, the reasons why some were excluded, and the probability
// of the choice.
//
// The package does not know HTTP or how attempts are made. Gateways, ledgers,
// importers and evaluations share it.
package record
