package simulate

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// fileObject is a file in OpenAI's form.
type fileObject struct {
	Object        string  `json:"object"`
	ID            string  `json:"id"`
	Purpose       string  `json:"purpose"`
	Filename      string  `json:"filename"`
	Bytes         int     `json:"bytes"`
	CreatedAt     int64   `json:"created_at"`
	ExpiresAt     *int64  `json:"expires_at"`
	Status        string  `json:"status"`
	StatusDetails *string `json:"status_details"`
}

func (f *file) object() fileObject {
	return fileObject{Object: "file", ID: f.id, Purpose: f.purpose, Filename: f.name, Bytes: len(f.data), CreatedAt: f.created.Unix(), Status: "processed"}
}

// addFile adds a file. The store must be locked.
func (p *Provider) addFile(f *file) string {
	f.id, f.created = newID("file-", p.Seed, p.calls.Add(1)), time.Now()
	p.store.files = append(p.store.files, f)
	return f.id
}

// serveFiles answers a request about files.
func (p *Provider) serveFiles(w http.ResponseWriter, r *http.Request, verb, key string) *refusal {
	if verb == "POST" {
		return p.upload(w, r, key)
	}
	if verb == "GET" {
		return p.listFiles(w, r, key)
	}
	_, _, rest := storePath(r.URL.Path)
	if len(rest) == 0 {
		return noRoute(r)
	}
	p.store.mu.Lock()
	i := slices.IndexFunc(p.store.files, func(f *file) bool { return f.id == rest[0] && f.key == key })
	var f *file
	if i >= 0 {
		f = p.store.files[i]
		if verb == "DELETE/ID" {
			p.store.files = slices.Delete(p.store.files, i, i+1)
		}
	}
	p.store.mu.Unlock()
	if f == nil {
		e := badRequest("id", "", "No such File object: "+rest[0])
		e.status = http.StatusNotFound
		return e
	}
	switch verb {
	case "GET/ID":
		send(w, f.object())
	case "GET/ID/content":
		p.download(w, f.data, "application/octet-stream", f.purpose == "batch_output")
	case "DELETE/ID":
		send(w, struct {
			ID      string `json:"id"`
			Object  string `json:"object"`
			Deleted bool   `json:"deleted"`
		}{f.id, "file", true})
	default:
		return noRoute(r)
	}
	return nil
}

func (p *Provider) listFiles(w http.ResponseWriter, r *http.Request, key string) *refusal {
	query := r.URL.Query()
	p.store.mu.Lock()
	mine := slices.DeleteFunc(slices.Clone(p.store.files), func(f *file) bool {
		return f.key != key || query.Get("purpose") != "" && f.purpose != query.Get("purpose")
	})
	p.store.mu.Unlock()
	return sendList(w, "list", mine, listPart{after: query.Get("after"), limit: query.Get("limit"), most: 10_000},
		func(f *file) string { return f.id }, func(f *file) any { return f.object() })
}

// upload adds the file of a form.
func (p *Provider) upload(w http.ResponseWriter, r *http.Request, key string) *refusal {
	r.Body = http.MaxBytesReader(w, r.Body, maxBatchFile+1<<20)
	form, err := r.MultipartReader()
	if err != nil {
		return badRequest("file", "", "The request must be multipart/form-data with a file and a purpose.")
	}
	f := &file{key: key}
	seen := false
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(part)
		}
		if err != nil {
			return badRequest("file", "", "The form could not be read.")
		}
		switch part.FormName() {
		case "file":
			f.name, f.data, seen = part.FileName(), data, true
		case "purpose":
			f.purpose = string(data)
		}
	}
	switch {
	case !seen:
		return badRequest("file", "missing_required_parameter", "Missing required parameter: 'file'.")
	case f.purpose == "":
		return badRequest("purpose", "missing_required_parameter", "Missing required parameter: 'purpose'.")
	case f.purpose != "batch" && f.purpose != "assistants" && f.purpose != "fine-tune" && f.purpose != "vision" && f.purpose != "user_data" && f.purpose != "evals":
		return badRequest("purpose", "", fmt.Sprintf("'%s' is not one of ['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals'] - 'purpose'", f.purpose))
	case len(f.data) > maxBatchFile:
		e := badRequest("file", "", "The file exceeds the limit of 200 MB.")
		e.status = http.StatusRequestEntityTooLarge
		return e
	case len(f.data) == 0:
		return badRequest("file", "empty_file", "The file is empty.")
	}
	p.store.mu.Lock()
	p.addFile(f)
	p.store.mu.Unlock()
	send(w, f.object())
	return nil
}
