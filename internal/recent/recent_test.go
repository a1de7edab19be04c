package recent

import (
	"strconv"
	"sync"
	"testing"
)

// TestMap: entries in use stay, however many are added, and others are dropped.
func TestMap(t *testing.T) {
	m := Map[int, string]{Size: 10}
	m.Put(-1, "used")
	m.Put(-2, "unused")
	for i := range 100 {
		m.Put(i, "new")
		if v, ok := m.Get(-1); !ok || v != "used" {
			t.Fatalf("after %d entries the used one is %q, %v", i+1, v, ok)
		}
		if n := len(m.young) + len(m.old); n > 20 {
			t.Fatalf("%d entries", n)
		}
	}
	if _, ok := m.Get(-2); ok {
		t.Error("an unused entry is still there")
	}
	for i := 99; i > 99-8; i-- {
		if _, ok := m.Get(i); !ok {
			t.Errorf("entry %d, one of the last ten, is missing", i)
		}
	}
	m.Put(-1, "changed")
	if v, _ := m.Get(-1); v != "changed" {
		t.Errorf("value %q after a change", v)
	}
	m.Forget(-1)
	if _, ok := m.Get(-1); ok {
		t.Error("a forgotten entry is still there")
	}
}

func TestZeroMap(t *testing.T) {
	var m Map[string, int]
	m.Forget("a")
	if _, ok := m.Get("a"); ok {
		t.Error("an empty map has an entry")
	}
	m.Put("a", 1)
	if v, ok := m.Get("a"); v != 1 || !ok {
		t.Errorf("got %d, %v", v, ok)
	}
	for i := range 5 * 4096 {
		m.Put(strconv.Itoa(i), i)
	}
	if n := len(m.young) + len(m.old); n > 2*4096 {
		t.Errorf("%d entries remembered", n)
	}
}

func TestConcurrent(t *testing.T) {
	m := Map[int, int]{Size: 8}
	var users sync.WaitGroup
	for u := range 8 {
		users.Go(func() {
			for i := range 2000 {
				k := (i*7 + u) % 40
				m.Put(k, k)
				if v, ok := m.Get(k + 1); ok && v != k+1 {
					t.Errorf("value %d of key %d", v, k+1)
				}
				if i%100 == 0 {
					m.Forget(k)
				}
			}
		})
	}
	users.Wait()
}

// TestWeighed: entries that are weighed take no more than two generations and an entry.
func TestWeighed(t *testing.T) {
	m := Map[int, string]{Size: 100, Weigh: func(s string) int { return len(s) }}
	total := func() (n int) {
		for _, generation := range []map[int]string{m.young, m.old} {
			for _, v := range generation {
				n += len(v)
			}
		}
		return n
	}
	m.Put(-1, "used")
	for i := range 200 {
		m.Put(i, "0123456789"[:i%11])
		m.Put(i, "0123456789"[:i%7]) // a change
		if i%3 == 0 {
			m.Forget(i)
		}
		if v, ok := m.Get(-1); !ok || v != "used" {
			t.Fatalf("after %d entries the used one is %q, %v", i+1, v, ok)
		}
		young := 0
		for _, v := range m.young {
			young += len(v)
		}
		if n := total(); n > 220 || m.weight != young {
			t.Fatalf("%d bytes in all; %d in the young generation, counted as %d", n, young, m.weight)
		}
	}
	if _, ok := m.Get(1); ok {
		t.Error("an unused entry is still there")
	}
}
