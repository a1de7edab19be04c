// Package report writes a comparison of routers ([eval.Report]) for people: one
// HTML page that needs no network and no JavaScript to be complete, CSV,
// Markdown, and the curves as a single SVG for papers.
//
// The page draws its charts where it is made, as inline SVG; its one script
// adds what paper cannot do: reading a curve with pointer or arrow keys, hiding
// routers, and the slider over the willingness to pay. All of it comes from
// recorded settings: nothing is interpolated. Names of models, routers and
// sources are untrusted text and are escaped wherever they stand.
//
// Equal reports give equal bytes: no clock, no random number, no map order.
//
//	in, err := os.Open("report.json") // by carrot eval --json
//	r, err := report.Read(in)
//	err = report.HTML(out, r, report.Options{})
//
// Not for measuring: every figure here is one of eval's, or the difference or
// ratio of two.
package report
