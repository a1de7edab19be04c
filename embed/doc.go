// Package embed turns text into the representations that predictors use: a
// dense unit vector from an encoder and a sparse bag of hashed words.
//
// [Static] is the default encoder: a table of token vectors distilled from a
// sentence transformer by [Distill], pure table look-ups, tens of microseconds
// a prompt. [BERT] runs a sentence transformer from a local Hugging Face
// folder. [Encoded] joins any [Encoder] with the bag of words and a [Cache] on
// disk, and so makes it a carrot.Embedder.
//
//	static, err := embed.Default()
//	x := make([]carrot.Representation, 1)
//	err = static.Embed(ctx, []string{"What is 2+2?"}, x)
package embed
