// Package wordpiece cuts text into the tokens of a BERT vocabulary, with the
// ids of the Hugging Face tokenizers library. A [Tokenizer] is loaded from a
// model folder with [Load] or made from a vocabulary with [New].
package wordpiece
