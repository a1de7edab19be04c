// Package safetensors reads and writes the safetensors format: the header's length
// in 8 bytes, a JSON header, then the tensors as little-endian bytes.
//
//	f, err := safetensors.Open("model.safetensors")
//	w, err := f.Float32s("embeddings.weight", -1, 384) // -1 matches any length
//
//	err = safetensors.Write(out, map[string]string{"format": "pt"},
//		[]safetensors.Tensor{safetensors.FromFloat32("w", w, len(w)/384, 384)})
//
// This package and the reference library read each other's files. The reader trusts
// nothing in a file: it checks all lengths, offsets, shapes and types, its errors
// name the tensor, and its memory is limited to a small multiple of the file's
// size. The writer is canonical: equal input gives equal bytes.
//
// The whole file is held in memory. Do not use the package for files larger than
// memory, or to read one of many tensors: map the file instead.
package safetensors
