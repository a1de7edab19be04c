package safetensors_test

import (
	"bytes"
	"fmt"

	"github.com/carrot-router/carrot/internal/safetensors"
)

func Example() {
	var b bytes.Buffer
	err := safetensors.Write(&b, map[string]string{"licence": "Apache-2.0"}, []safetensors.Tensor{
		safetensors.FromFloat32("weight", []float32{1, 2, 3, 4, 5, 6}, 2, 3),
		safetensors.FromInt8("steps", []int8{-1, 1}, 2),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := safetensors.Parse(b.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	weight, err := f.Float32s("weight", -1, 3)
	fmt.Println(f.Names(), f.Metadata()["licence"], weight, err)
	_, err = f.Float32s("weight", -1, 4)
	fmt.Println(err)
	// Output:
	// [steps weight] Apache-2.0 [1 2 3 4 5 6] <nil>
	// tensor "weight" has shape [2 3], want [-1 4]
}
