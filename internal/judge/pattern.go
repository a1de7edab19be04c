package judge

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// patternJudge looks for a regular expression in answers.
type patternJudge struct {
	pattern string
	fixed   *regexp.Regexp // nil if the pattern depends on the reference
}

func newPattern(pattern string) (*patternJudge, error) {
	p := &patternJudge{pattern: pattern}
	if strings.Contains(pattern, "{{reference}}") {
		return p, nil
	}
	var err error
	p.fixed, err = compilePattern(pattern, "")
	return p, err
}

func (p *patternJudge) Judge(_ context.Context, it Item) (Verdict, error) {
	re := p.fixed
	if re == nil {
		if strings.TrimSpace(it.Reference) == "" {
			return Verdict{}, errNoReference
		}
		var alternatives []string
		for _, one := range references(it.Reference) {
			alternatives = append(alternatives, regexp.QuoteMeta(one))
		}
		var err error
		if re, err = regexp.Compile(strings.ReplaceAll(p.pattern, "{{reference}}", "(?:"+strings.Join(alternatives, "|")+")")); err != nil {
			return Verdict{}, errors.New("pattern: is no regular expression with this item's reference")
		}
	}
	all := re.FindAllStringSubmatch(it.Answer, -1)
	if len(all) == 0 {
		return Verdict{Note: "the pattern does not match"}, nil
	}
	m := all[len(all)-1] // the last is what an answer ends with
	v := Verdict{Score: 1, Note: "the pattern matches"}
	if i := re.SubexpIndex("answer"); i >= 0 {
		v.Final = normal(bare(m[i]))
	}
	if i := re.SubexpIndex("score"); i >= 0 {
		score, err := strconv.ParseFloat(strings.TrimSpace(m[i]), 64)
		if err != nil || !(score >= 0 && score <= 1) {
			return Verdict{}, errors.New("the group score matches something other than a number from 0 to 1")
		}
		v.Score = score
	}
	return v, nil
}
