package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"

	"github.com/carrot-router/carrot/eval"
)

//go:embed page
var page embed.FS

// asset returns an embedded file of the page.
func asset(name string) string {
	data, err := page.ReadFile("page/" + name)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// document is what the template sees.
type document struct {
	Title    string
	Policy   string // what the page may load: nothing but its own script
	CSS      template.CSS
	JS       template.JS
	Report   *eval.Report
	Headline []string
	Tiles    []tile
	Pay      *payView
	Charts   []chart
	Legend   []legend
	Sections []section
	Facts    []fact
	Prices   table
	Chosen   table
	Glossary []fact
	Data     payload
}

// chart is one view of the curves.
type chart struct {
	Class string
	SVG   template.HTML
}

// legend is an entry that shows or hides a router.
type legend struct {
	Index    int
	Name     string
	Key      string
	Class    string
	Swatch   template.HTML
	AIQ      string
	Emphasis bool
}

// HTML writes a report as one page that loads no other files.
func HTML(w io.Writer, r *eval.Report, o Options) error {
	t, err := template.New("report.html").Parse(asset("report.html"))
	if err != nil {
		return err
	}
	return t.Execute(w, newDocument(r, o))
}

func newDocument(r *eval.Report, o Options) *document {
	b := newBoard(r, o)
	all := b.series()
	script := asset("report.js")
	sum := sha256.Sum256([]byte(script))
	d := &document{Title: r.Dataset + ", " + r.Split + ": routers compared",
		Policy: "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
		CSS:    template.CSS(asset("report.css")), JS: template.JS(script),
		Report: r, Headline: b.headline(), Tiles: b.tiles(), Pay: b.pay(), Legend: b.legend(all),
		Facts: b.facts(), Prices: b.prices(), Chosen: b.hyperparameters(), Glossary: glossary, Data: b.payload(all)}
	for _, g := range []geometry{wide, narrow} {
		for _, log := range []bool{true, false} {
			for _, near := range []bool{true, false} {
				v := view{log, near, g}
				size := "wide "
				if g.narrow {
					size = "narrow "
				}
				d.Charts = append(d.Charts, chart{size + v.name(), b.curves(all, v)})
			}
		}
	}
	d.Sections = b.sections(all, o)
	return d
}

// sections are the tables and charts below the curves for which the report has
// data.
func (b *board) sections(all []series, o Options) []section {
	out := []section{b.ratings(all), b.differences()}
	add := func(s section, ok bool) {
		if ok {
			out = append(out, s)
		}
	}
	add(b.calibration())
	add(b.traffic())
	add(b.heat())
	add(b.regret())
	add(b.robustness())
	add(b.promises())
	add(b.learning(all))
	add(b.pairMetrics())
	add(b.protocols())
	add(b.outOfDomain(o.OutOfDomain))
	return out
}

// legend lists the routers: emphasised, references, then the others by AIQ.
func (b *board) legend(all []series) []legend {
	var out []legend
	entry := func(s *series) {
		out = append(out, legend{s.index, s.line.Name, s.key(), s.class, swatch(s), decimals(s.line.AIQ, 3), s.class != "thin"})
	}
	for rank := 1; rank <= emphasised; rank++ {
		for k := range all {
			if int(all[k].shape) == rank {
				entry(&all[k])
			}
		}
	}
	for k := range all {
		if isReference(all[k].line.Name) {
			entry(&all[k])
		}
	}
	for _, i := range b.order {
		if all[i].class == "thin" {
			entry(&all[i])
		}
	}
	return out
}
