package dashboard

import (
	"net/http"
	"strings"
)

// tryForm is the body of the page that decides for a text.
type tryForm struct {
	Text   string
	Trials []trialView
}

// trialView is a decision as it is shown.
type trialView struct {
	Trial
	Why decisionView
}

// try shows what would be decided for a text at every objective. Nobody is called.
func (d *Dashboard) try(r *http.Request) (*view, error) {
	form := tryForm{}
	if r.Method == http.MethodPost {
		form.Text = r.PostForm.Get("text")
		if strings.TrimSpace(form.Text) == "" {
			return nil, wrongf("the prompt is empty")
		}
		trials, err := d.Try(r.Context(), form.Text)
		if err != nil {
			return nil, err
		}
		for _, t := range trials {
			one := trialView{Trial: t}
			if t.Decision != nil {
				one.Why = explain(t.Decision)
			}
			form.Trials = append(form.Trials, one)
		}
	}
	return &view{page: "try", section: "try", title: "Try a prompt", body: form}, nil
}
