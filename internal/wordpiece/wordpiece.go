package wordpiece

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Config says how a Tokenizer cuts text. The zero value is that of an uncased
// BERT.
type Config struct {
	KeepCase     bool  `json:"keep_case,omitempty"`     // do not convert to lower case
	StripAccents *bool `json:"strip_accents,omitempty"` // nil: strip unless KeepCase
	KeepControl  bool  `json:"keep_control,omitempty"`  // do not remove control characters
	JoinCJK      bool  `json:"join_cjk,omitempty"`      // do not treat every ideograph as a word

	Unknown      string `json:"unknown,omitempty"`        // "" means [UNK]
	Prefix       string `json:"prefix,omitempty"`         // of a piece inside a word; "" means ##
	MaxWordChars int    `json:"max_word_chars,omitempty"` // a longer word is unknown; 0 means 100

	CLS        string `json:"cls,omitempty"`         // "" means [CLS]
	SEP        string `json:"sep,omitempty"`         // "" means [SEP]
	NoSpecials bool   `json:"no_specials,omitempty"` // Encode adds neither

	// Added are matched in the text before it is cut into words. Nil means
	// [PAD], [UNK], [CLS], [SEP] and [MASK], where the vocabulary has them.
	Added []AddedToken `json:"added"`
}

// AddedToken is a token that is matched literally, before the text is cut
// into words. Its text must be in the vocabulary.
type AddedToken struct {
	Text       string `json:"text"`
	SingleWord bool   `json:"single_word,omitempty"` // never matched inside a word
	LStrip     bool   `json:"lstrip,omitempty"`      // also consumes the white space before it
	RStrip     bool   `json:"rstrip,omitempty"`      // also consumes the white space after it
	Normalized bool   `json:"normalized,omitempty"`  // matched in normalised text, as after lower-casing
	NotPiece   bool   `json:"not_piece,omitempty"`   // never matched as a piece of a word
}

// Tokenizer cuts text into the tokens of a BERT vocabulary. Its ids are those
// of the Hugging Face tokenizers library for the same settings. It is safe for
// concurrent use.
type Tokenizer struct {
	cfg        Config
	vocab      []string
	head, tail pieceTable // pieces that begin a word, and pieces that continue one
	unk        int32
	cls, sep   int32 // -1 if Encode adds none
	strip      bool
	ascii      [utf8.RuneSelf]asciiClass
	lower      [utf8.RuneSelf]byte
	raw        matcher // added tokens that are matched in the raw text
	normalized matcher // added tokens that are matched in the normalised text
	pool       sync.Pool
}

type asciiClass uint8

const (
	inWord asciiClass = iota
	isSpace
	isMark // punctuation: a word by itself
	dropped
)

// New returns a tokenizer over a vocabulary in id order. If a token occurs
// twice, its later id is used.
func New(vocab []string, cfg Config) (*Tokenizer, error) {
	cfg.Unknown = cmp.Or(cfg.Unknown, "[UNK]")
	cfg.CLS = cmp.Or(cfg.CLS, "[CLS]")
	cfg.SEP = cmp.Or(cfg.SEP, "[SEP]")
	cfg.Prefix = cmp.Or(cfg.Prefix, "##")
	cfg.MaxWordChars = cmp.Or(cfg.MaxWordChars, 100)
	if cfg.MaxWordChars < 0 {
		return nil, fmt.Errorf("make tokenizer: max word chars %d is negative", cfg.MaxWordChars)
	}
	t := &Tokenizer{vocab: slices.Clone(vocab), strip: !cfg.KeepCase, cls: -1, sep: -1}
	if cfg.StripAccents != nil {
		t.strip = *cfg.StripAccents
	}
	t.pool.New = func() any { return new(cutter) }
	head, tail := index(vocab, cfg.Prefix)
	var ok bool
	if t.unk, ok = head[cfg.Unknown]; !ok {
		return nil, fmt.Errorf("make tokenizer: unknown token %q is not in the vocabulary", cfg.Unknown)
	}
	if !cfg.NoSpecials {
		if t.cls, ok = head[cfg.CLS]; !ok {
			return nil, fmt.Errorf("make tokenizer: token %q is not in the vocabulary", cfg.CLS)
		}
		if t.sep, ok = head[cfg.SEP]; !ok {
			return nil, fmt.Errorf("make tokenizer: token %q is not in the vocabulary", cfg.SEP)
		}
	}
	if cfg.Added == nil {
		cfg.Added = []AddedToken{}
		for _, text := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} {
			if _, ok := head[text]; ok {
				cfg.Added = append(cfg.Added, AddedToken{Text: text})
			}
		}
	}
	t.cfg = cfg
	t.classify()
	if err := t.add(cfg.Added, head); err != nil {
		return nil, err
	}
	for _, a := range cfg.Added {
		if a.NotPiece {
			delete(head, a.Text)
			if piece, ok := strings.CutPrefix(a.Text, cfg.Prefix); ok {
				delete(tail, piece)
			}
		}
	}
	t.head, t.tail = newPieceTable(head, t.vocab, 0), newPieceTable(tail, t.vocab, len(cfg.Prefix))
	return t, nil
}

// index returns the ids of the pieces that can begin a word and of those that
// can continue one.
func index(vocab []string, prefix string) (head, tail map[string]int32) {
	head, tail = make(map[string]int32, len(vocab)), map[string]int32{}
	for id, token := range vocab {
		head[token] = int32(id)
		if piece, ok := strings.CutPrefix(token, prefix); ok && piece != "" {
			tail[piece] = int32(id)
		}
	}
	return head, tail
}

// classify fills the tables that text uses for ASCII.
func (t *Tokenizer) classify() {
	for b := range t.ascii {
		r := rune(b)
		t.lower[b] = byte(b)
		if !t.cfg.KeepCase {
			t.lower[b] = byte(unicode.ToLower(r))
		}
		switch {
		case !t.cfg.KeepControl && (r == 0 || isDropped(r)):
			t.ascii[b] = dropped
		case unicode.IsSpace(r):
			t.ascii[b] = isSpace
		case isPunct(r):
			t.ascii[b] = isMark
		}
	}
}

// add prepares the added tokens, all of which must be in the vocabulary.
func (t *Tokenizer) add(tokens []AddedToken, ids map[string]int32) error {
	for _, a := range tokens {
		id, ok := ids[a.Text]
		if !ok || a.Text == "" {
			return fmt.Errorf("make tokenizer: added token %q is not in the vocabulary", a.Text)
		}
		if !a.Normalized {
			t.raw.add(a.Text, id, a)
			continue
		}
		c := &cutter{t: t, collect: true}
		c.text(a.Text)
		t.normalized.add(string(c.word), id, a)
	}
	t.raw.finish()
	t.normalized.finish()
	return nil
}

// Vocab returns a copy of the tokens in id order.
func (t *Tokenizer) Vocab() []string { return slices.Clone(t.vocab) }

// Config returns the settings with the defaults filled in. With them and Vocab,
// New makes an equal tokenizer.
func (t *Tokenizer) Config() Config {
	cfg := t.cfg
	cfg.Added = append([]AddedToken{}, cfg.Added...)
	return cfg
}

// AppendIDs appends the ids of text's tokens to dst, at most limit of them if
// limit > 0, and returns the extended slice. It adds no special tokens, but
// finds those that are spelled out in the text, such as [MASK]. Bytes that are
// not UTF-8 are read as U+FFFD.
func (t *Tokenizer) AppendIDs(dst []int32, text string, limit int) []int32 {
	c := t.pool.Get().(*cutter)
	c.t, c.ids, c.word, c.chars, c.pending, c.stop = t, dst, c.word[:0], 0, c.pending[:0], 0
	if limit > 0 {
		c.stop = len(dst) + limit
	}
	c.split(text)
	dst, c.ids = c.ids, nil
	t.pool.Put(c)
	return dst
}

// Encode returns the ids of text between [CLS] and [SEP]. It cuts off the end
// of the text so that there are at most maxLen ids; maxLen <= 0 means no limit.
func (t *Tokenizer) Encode(text string, maxLen int) []int32 {
	var ids []int32
	room := maxLen
	if t.cls >= 0 {
		ids = append(ids, t.cls)
		room -= 2
	}
	if maxLen <= 0 || room > 0 {
		ids = t.AppendIDs(ids, text, max(room, 0))
	}
	if t.sep >= 0 {
		ids = append(ids, t.sep)
	}
	if maxLen > 0 && len(ids) > maxLen {
		ids = ids[:maxLen]
	}
	return ids
}
