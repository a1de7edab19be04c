//go:build race

package artifact_test

// raceEnabled: pools drop what they hold at random under the race detector, so
// allocations are not counted.
const raceEnabled = true
