// Package record is how a gateway writes down what it did: one [Attempt] for
// every call of a provider, with the decision it came from, its usage, cost and
// outcome. Records are written as JSON lines (schema carrot.attempt/1) by a
// [JSONL] or any other recorder, and read back by [Read]:
//
//	for attempt, err := range record.Read(file) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(attempt.Candidate, attempt.Outcome, attempt.Cost)
//	}
//
// A log of attempts holds all that is needed to evaluate decisions afterwards:
// every candidate's estimate, why others were excluded, and the propensity.
//
// The package knows neither HTTP nor how attempts are made; the gateway, the
// ledger, importers and evaluation share it.
package record
