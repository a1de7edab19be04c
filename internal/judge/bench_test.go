package judge

import (
	"strings"
	"testing"
)

// BenchmarkLongAnswer extracts final answers from texts that are made to be slow.
func BenchmarkLongAnswer(b *testing.B) {
	for _, part := range []string{"1,", "5-", "answer is ", "Dr. ", `\boxed{`, "[1,", "½", "the answer is Dr. "} {
		answer := strings.Repeat(part, 64<<10/len(part))
		b.Run(strings.TrimSpace(part), func(b *testing.B) {
			for b.Loop() {
				finalTexts(answer)
				finalNumber(answer)
				finalLetter(answer, nil)
			}
		})
	}
}
