// Package collect asks models the user's own prompts, has the answers judged, and keeps
// the outcomes as a data folder: what the authors of CARROT did by hand to make SPROUT.
//
// A [Plan] says which calls are to be made and what they are expected to cost. [Plan.Run]
// makes them. No call is made that could take the sum of all costs above the cap: before
// a call, the most that it can cost is held. Each call is written to a journal before it
// is sent, and its answer when it has arrived, so that after an interruption only the
// calls in flight are lost. Those may have been billed and are counted at what was held.
//
// A call can end in four ways. An answer is scored by the judge. A call that failed, with
// a status or a timeout, is not observed, which is not a score of zero. A refusal is
// counted, and scored only if the configuration says so. An answer that the limit on
// tokens has cut is scored and counted.
package collect
