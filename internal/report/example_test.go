package report_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/report"
)

// A report saved by carrot eval --json, as CSV.
func ExampleCSV() {
	r, err := report.Read(strings.NewReader(`{"schema":"carrot.eval/1","dataset":"mydata","split":"test","queries":60,"skipped_incomplete":0,"cost_range_usd":[0.0001,0.004],
		"routers":[{"name":"blend","aiq":0.81,"aiq_ci":[0.79,0.83],"peak":0.85,"qnc":null},{"name":"best-single","aiq":null,"peak":0.84,"qnc":1}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := report.CSV(os.Stdout, r); err != nil {
		fmt.Println(err)
	}
	// Output:
	// dataset,split,queries,router,reference,forecasts,group,aiq,aiq_low,aiq_high,peak,peak_low,peak_high,qnc,qnc_low,qnc_high,cost95,gap_closed,audc,routerarena_best,brier,ece,r2,output_tokens_relative_mae,cost_relative_mae,external,paper_routed_accuracy,paper_quality_of_best_single,paper_cost_of_best_single,paper_setting,ours_routed_accuracy,ours_quality_of_best_single,ours_cost_of_best_single,ours_setting
	// mydata,test,60,blend,false,,,0.81,0.79,0.83,0.85,,,,,,,,,,,,,,,false,,,,,,,,
	// mydata,test,60,best-single,true,,,,,,0.84,,,1,,,,,,,,,,,,false,,,,,,,,
}

// The page is self-contained: write it to a file and open it.
func ExampleHTML() {
	r := &eval.Report{Schema: eval.Schema, Dataset: "mydata", Split: "test"}
	var page strings.Builder
	if err := report.HTML(&page, r, report.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.HasPrefix(page.String(), "<!DOCTYPE html>"))
	// Output: true
}

// JSON with another schema is refused.
func ExampleRead() {
	_, err := report.Read(strings.NewReader(`{"schema":"other/1"}`))
	fmt.Println(err)
	// Output: schema "other/1": not a report in the form carrot.eval/1
}

func ExampleMarkdown() {
	r := &eval.Report{Schema: eval.Schema, Dataset: "my_data", Split: "test"}
	var text strings.Builder
	if err := report.Markdown(&text, r, report.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	title, _, _ := strings.Cut(text.String(), "\n")
	fmt.Println(title)
	// Output: # my\_data, test
}

func ExampleCurvesSVG() {
	r := &eval.Report{Schema: eval.Schema, Dataset: "mydata", Split: "test"}
	var svg strings.Builder
	if err := report.CurvesSVG(&svg, r, report.SVGOptions{Linear: true}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Count(svg.String(), "<svg "))
	// Output: 1
}

// A report of two chosen routers, as tables for a paper.
func ExampleSelect() {
	whole := &eval.Report{Schema: eval.Schema, Dataset: "mydata", Split: "test",
		Routers: []eval.RouterLine{{Name: "blend"}, {Name: "knn"}, {Name: "ridge"}, {Name: "oracle"}}}
	r, err := report.Select(whole, []string{"ridge", "blend"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range r.Routers {
		fmt.Println(l.Name)
	}
	fmt.Println("not shown:", r.Omitted)
	// Output:
	// ridge
	// blend
	// oracle
	// not shown: [knn]
}
