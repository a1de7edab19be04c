package report

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Text has a contrast of at least 4.5 and meaningful lines one of at least 3 (WCAG
// AA), in light, dark and print.
func TestContrast(t *testing.T) {
	roots := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(asset("report.css"), -1)
	if len(roots) != 3 {
		t.Fatalf("the style has %d sets of colours, want those of light, dark and print", len(roots))
	}
	light := map[string]string{}
	for k, scheme := range []string{"light", "dark", "print"} {
		colours := map[string]string{}
		for name, c := range light {
			colours[name] = c
		}
		for _, m := range regexp.MustCompile(`--([a-z0-9]+): (#[0-9a-f]+)`).FindAllStringSubmatch(roots[k][1], -1) {
			colours[m[1]] = m[2]
		}
		if k == 0 {
			light = colours
		}
		check := func(least float64, grounds, inks string) {
			for ground := range strings.FieldsSeq(grounds) {
				for ink := range strings.FieldsSeq(inks) {
					if c := contrast(t, colours[ground], colours[ink]); c < least {
						t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", scheme, ink, ground, c, least)
					}
				}
			}
		}
		check(4.5, "page card band tint", "text quiet")
		check(4.5, "page card", "link accent")
		check(4.5, "card", "s1 s2 s3 s4 s5 hull oracle up down")
		check(4.5, "up1 up2 up3 down1 down2 down3 t0 t1 t2 t3 t4 t5 t6 t7", "text")
		check(4.5, "accent", "card")
		check(3, "card page", "edge")
		if scheme != "print" { // on paper, thin lines are a grey background
			check(3, "card", "thin")
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(c string) float64 {
		c = strings.TrimPrefix(c, "#")
		if len(c) == 3 {
			c = c[:1] + c[:1] + c[1:2] + c[1:2] + c[2:] + c[2:]
		}
		sum := 0.0
		for k, weight := range []float64{0.2126, 0.7152, 0.0722} {
			v, err := strconv.ParseUint(c[2*k:2*k+2], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			if s := float64(v) / 255; s <= 0.04045 {
				sum += weight * s / 12.92
			} else {
				sum += weight * math.Pow((s+0.055)/1.055, 2.4)
			}
		}
		return sum
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
