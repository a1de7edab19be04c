package wordpiece

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/readfile"
)

// maxFile is the largest file of a tokenizer, in bytes.
const maxFile = 256 << 20

// Load reads the tokenizer of a Hugging Face model folder from tokenizer.json
// or, if there is none, from vocab.txt and tokenizer_config.json. For a
// tokenizer of another kind it returns an error that names the field.
func Load(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, "tokenizer.json")
	data, err := readfile.Read(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return loadVocabTxt(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	var file tokenizerFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", path, phrase.JSON(err))
	}
	t, err := file.tokenizer()
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", path, err)
	}
	return t, nil
}

// tokenizerFile is the part of tokenizer.json that is used.
type tokenizerFile struct {
	Added []struct {
		ID         int    `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		Normalized bool   `json:"normalized"`
		Special    bool   `json:"special"`
	} `json:"added_tokens"`
	Normalizer *struct {
		Type         string `json:"type"`
		CleanText    *bool  `json:"clean_text"`
		HandleCJK    *bool  `json:"handle_chinese_chars"`
		StripAccents *bool  `json:"strip_accents"`
		Lowercase    *bool  `json:"lowercase"`
	} `json:"normalizer"`
	PreTokenizer *struct {
		Type string `json:"type"`
	} `json:"pre_tokenizer"`
	PostProcessor *postProcessor `json:"post_processor"`
	Model         struct {
		Type     string         `json:"type"`
		Unknown  string         `json:"unk_token"`
		Prefix   *string        `json:"continuing_subword_prefix"`
		MaxChars *int           `json:"max_input_chars_per_word"`
		Vocab    map[string]int `json:"vocab"`
	} `json:"model"`
}

type postProcessor struct {
	Type   string            `json:"type"`
	CLS    []json.RawMessage `json:"cls"` // of BertProcessing: text, id
	SEP    []json.RawMessage `json:"sep"`
	Single []struct {
		Special *struct {
			ID string `json:"id"`
		} `json:"SpecialToken"`
		Sequence *struct{} `json:"Sequence"`
	} `json:"single"` // of TemplateProcessing
}

// tokenizer builds the tokenizer that the file describes.
func (f *tokenizerFile) tokenizer() (*Tokenizer, error) {
	if f.Model.Type != "WordPiece" && f.Model.Type != "" {
		return nil, fmt.Errorf("field model.type: %q is not supported, want WordPiece", f.Model.Type)
	}
	if f.PreTokenizer == nil || f.PreTokenizer.Type != "BertPreTokenizer" {
		return nil, errors.New("field pre_tokenizer.type: only BertPreTokenizer is supported")
	}
	vocab, err := f.vocab()
	if err != nil {
		return nil, err
	}
	cfg := Config{Unknown: f.Model.Unknown, Added: []AddedToken{}}
	if p := f.Model.Prefix; p != nil {
		if *p == "" {
			return nil, errors.New("field model.continuing_subword_prefix: empty is not supported")
		}
		cfg.Prefix = *p
	}
	if n := f.Model.MaxChars; n != nil {
		if *n < 1 {
			return nil, fmt.Errorf("field model.max_input_chars_per_word: %d is not positive", *n)
		}
		cfg.MaxWordChars = *n
	}
	if err := f.normalizer(&cfg); err != nil {
		return nil, err
	}
	if err := f.PostProcessor.apply(&cfg); err != nil {
		return nil, err
	}
	for _, a := range f.Added {
		if a.Content != "" {
			_, piece := f.Model.Vocab[a.Content]
			cfg.Added = append(cfg.Added, AddedToken{a.Content, a.SingleWord, a.LStrip, a.RStrip, a.Normalized, !piece})
		}
	}
	return New(vocab, cfg)
}

// vocab returns the tokens, including the added ones, in id order.
func (f *tokenizerFile) vocab() ([]string, error) {
	ids := f.Model.Vocab
	for _, a := range f.Added {
		if id, ok := ids[a.Content]; ok && id != a.ID {
			return nil, fmt.Errorf("field added_tokens: %q has id %d, but %d in the vocabulary", a.Content, a.ID, id)
		}
	}
	n := len(ids)
	for _, a := range f.Added {
		if _, ok := ids[a.Content]; !ok {
			n++
		}
	}
	vocab, taken := make([]string, n), make([]bool, n)
	put := func(token string, id int, field string) error {
		if id < 0 || id >= n {
			return fmt.Errorf("field %s: id %d of %q is outside 0..%d: ids must have no gaps", field, id, token, n-1)
		}
		if taken[id] && vocab[id] != token {
			return fmt.Errorf("field %s: %q and %q share id %d", field, token, vocab[id], id)
		}
		vocab[id], taken[id] = token, true
		return nil
	}
	for token, id := range ids {
		if err := put(token, id, "model.vocab"); err != nil {
			return nil, err
		}
	}
	for _, a := range f.Added {
		if err := put(a.Content, a.ID, "added_tokens"); err != nil {
			return nil, err
		}
	}
	return vocab, nil
}

func (f *tokenizerFile) normalizer(cfg *Config) error {
	n := f.Normalizer
	if n == nil {
		no := false
		cfg.KeepCase, cfg.KeepControl, cfg.JoinCJK, cfg.StripAccents = true, true, true, &no
		return nil
	}
	if n.Type != "BertNormalizer" {
		return fmt.Errorf("field normalizer.type: %q is not supported, want BertNormalizer", n.Type)
	}
	isFalse := func(b *bool) bool { return b != nil && !*b }
	cfg.KeepCase = isFalse(n.Lowercase)
	cfg.KeepControl = isFalse(n.CleanText)
	cfg.JoinCJK = isFalse(n.HandleCJK)
	cfg.StripAccents = n.StripAccents
	return nil
}

// apply sets the tokens that Encode puts around a text.
func (p *postProcessor) apply(cfg *Config) error {
	if p == nil {
		cfg.NoSpecials = true
		return nil
	}
	switch p.Type {
	case "BertProcessing":
		if len(p.CLS) == 0 || len(p.SEP) == 0 ||
			json.Unmarshal(p.CLS[0], &cfg.CLS) != nil || json.Unmarshal(p.SEP[0], &cfg.SEP) != nil {
			return errors.New("field post_processor: want cls and sep tokens")
		}
		return nil
	case "TemplateProcessing":
		s := p.Single
		if len(s) == 1 && s[0].Sequence != nil {
			cfg.NoSpecials = true
			return nil
		}
		if len(s) != 3 || s[0].Special == nil || s[1].Sequence == nil || s[2].Special == nil {
			return errors.New("field post_processor.single: want a special token, the text and a special token")
		}
		cfg.CLS, cfg.SEP = s[0].Special.ID, s[2].Special.ID
		return nil
	}
	return fmt.Errorf("field post_processor.type: %q is not supported, want TemplateProcessing or BertProcessing", p.Type)
}

// tokenText is a token in tokenizer_config.json: a string, or an object with
// the string as its content.
type tokenText string

func (t *tokenText) UnmarshalJSON(b []byte) error {
	var object struct {
		Content string `json:"content"`
	}
	if err := json.Unmarshal(b, &object); err == nil {
		*t = tokenText(object.Content)
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}

// tokenizerConfig is the part of tokenizer_config.json that is used.
type tokenizerConfig struct {
	Lowercase    *bool     `json:"do_lower_case"`
	StripAccents *bool     `json:"strip_accents"`
	SplitCJK     *bool     `json:"tokenize_chinese_chars"`
	Unknown      tokenText `json:"unk_token"`
	CLS          tokenText `json:"cls_token"`
	SEP          tokenText `json:"sep_token"`
	Pad          tokenText `json:"pad_token"`
	Mask         tokenText `json:"mask_token"`
}

// readTokenizerConfig reads tokenizer_config.json, which need not exist.
func readTokenizerConfig(path string) (tokenizerConfig, error) {
	var cfg tokenizerConfig
	data, err := readfile.Read(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, nil
	}
	if err != nil {
		return cfg, fmt.Errorf("load tokenizer: %w", err)
	}
	if err := json.Unmarshal(data, &cfg); err != nil {
		return cfg, fmt.Errorf("load tokenizer %s: %w", path, phrase.JSON(err))
	}
	return cfg, nil
}

// loadVocabTxt reads the older pair of files.
func loadVocabTxt(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, "vocab.txt")
	data, err := readfile.Read(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: neither tokenizer.json nor vocab.txt: %w", err)
	}
	file, err := readTokenizerConfig(filepath.Join(dir, "tokenizer_config.json"))
	if err != nil {
		return nil, err
	}
	var vocab []string
	for line := range strings.Lines(string(data)) {
		vocab = append(vocab, strings.TrimRight(line, " \t\r\n"))
	}
	isFalse := func(b *bool) bool { return b != nil && !*b }
	cfg := Config{
		KeepCase:     isFalse(file.Lowercase),
		StripAccents: file.StripAccents,
		JoinCJK:      isFalse(file.SplitCJK),
		Unknown:      string(file.Unknown),
		CLS:          string(file.CLS),
		SEP:          string(file.SEP),
		Added:        []AddedToken{},
	}
	known := map[string]bool{}
	for _, token := range vocab {
		known[token] = true
	}
	defaults := [...]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
	for i, token := range [...]tokenText{file.Pad, file.Unknown, file.CLS, file.SEP, file.Mask} {
		text := string(token)
		if text == "" {
			text = defaults[i]
		}
		if known[text] {
			cfg.Added = append(cfg.Added, AddedToken{Text: text})
		}
	}
	t, err := New(vocab, cfg)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", path, err)
	}
	return t, nil
}
