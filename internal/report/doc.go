// Package report writes a comparison of routers ([eval.Report]) for people: one
// HTML page that needs no network and no JavaScript to be complete, CSV,
// Markdown, and for papers LaTeX tables and the curves as a single SVG. It reads saved
// reports exactly ([Read], [JSON]) and makes smaller ones of chosen routers ([Select]).
//
// Charts are written into the page as inline SVG. Its only script adds what paper
// cannot do: reading off a curve with the pointer or the arrow keys, hiding
// routers, and a slider for the willingness to pay. Everything comes from recorded
// settings; nothing is interpolated. Names of models, routers and sources are
// untrusted text and are always escaped.
//
// Equal reports give equal bytes: no clock, no random numbers, no map order.
//
// Nothing is measured here: every figure is one of eval's, or the difference or
// ratio of two.
package report
