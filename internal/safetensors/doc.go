// Package safetensors reads and writes the safetensors format: an 8-byte
// header length, a JSON header, then the tensors as little-endian bytes.
//
//	f, err := safetensors.Open("model.safetensors")
//	w, err := f.Float32s("embeddings.weight", -1, 384) // -1 matches any length
//
//	err = safetensors.WriteFile("out.safetensors", map[string]string{"format": "pt"},
//		[]safetensors.Tensor{safetensors.FromFloat32("w", w, len(w)/384, 384)})
//
// Files are those of the reference library: what one writes the other reads.
// The reader trusts nothing in the file: lengths, offsets, shapes and types
// are all checked, a fault is an error that names the tensor, and memory stays
// within a small multiple of the file's size. The writer is canonical: equal
// input gives equal bytes.
//
// The whole file is held in memory. For files larger than memory, or for
// reading a single tensor of many, use something that maps the file.
package safetensors
