// Package embed turns text into the representations that predictors use: a
// dense unit vector from an encoder, and a sparse bag of hashed words.
//
//	embedder, err := embed.Open("static", embed.Options{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	x := make([]carrot.Representation, 1)
//	if err := embedder.Embed(context.Background(), []string{"What is 2+2?"}, x); err != nil {
//		log.Fatal(err)
//	}
//	fmt.Println(len(x[0].Dense), "numbers,", len(x[0].Sparse.Index), "words and pairs")
//
// [Open] knows four kinds of embedder:
//
//   - [Static] looks up token vectors in a table, in tens of microseconds per
//     prompt. [Default] is the table in the binary; [Distill] makes another one
//     from a sentence encoder.
//   - [BERT] runs a sentence encoder from a local Hugging Face folder.
//   - A remote encoder is a model at an OpenAI-compatible API. It is the only
//     one that makes requests.
//   - A file has the vectors that another program made of a data set's prompts.
//     It cannot embed any other text.
//
// To use an encoder of your own, implement [Encoder] and wrap it in [Encoded],
// which adds the bag of words and, if wanted, a [Cache] on disk.
package embed
