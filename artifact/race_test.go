//go:build race

package artifact_test

// raceEnabled is true under the race detector, where pools drop objects at random,
// so that allocations cannot be counted.
const raceEnabled = true
