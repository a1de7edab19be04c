// Package recent remembers recently used entries in bounded memory.
package recent

import "sync"

// Map holds the most recently used entries: at least Size of them, and at most
// twice as many. The zero Map works. It is safe for concurrent use as long as its
// fields are not changed.
//
// There are two generations. When the young one is full, it becomes the old one.
// Get and Put move an entry to the young generation. When the next one is full, the
// entries that are still old are dropped.
type Map[K comparable, V any] struct {
	// Size is the number of entries in a generation. Zero means 4096.
	Size int
	// Weigh returns the size of a value, if entries do not count as one each. A
	// generation may exceed Size by one entry.
	Weigh func(V) int

	mu         sync.RWMutex
	young, old map[K]V
	weight     int // of the young generation, if values are weighed
}

// Get returns the value of a key.
func (m *Map[K, V]) Get(key K) (V, bool) {
	m.mu.RLock()
	v, ok := m.young[key]
	aged := false
	if !ok {
		_, aged = m.old[key]
	}
	m.mu.RUnlock()
	if ok || !aged {
		return v, ok
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok = m.young[key]; ok {
		return v, true
	}
	if v, ok = m.old[key]; ok {
		m.put(key, v)
	}
	return v, ok
}

// Put sets the value of a key.
func (m *Map[K, V]) Put(key K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, v)
}

func (m *Map[K, V]) put(key K, v V) {
	size := m.Size
	if size <= 0 {
		size = 4096
	}
	switch {
	case m.young == nil:
		m.young = map[K]V{}
	case m.Weigh != nil && m.weight >= size:
		m.young, m.old, m.weight = map[K]V{}, m.young, 0
	case m.Weigh == nil && len(m.young) >= size:
		m.young, m.old = make(map[K]V, size), m.young
	}
	if m.Weigh != nil {
		if before, ok := m.young[key]; ok {
			m.weight -= m.Weigh(before)
		}
		m.weight += m.Weigh(v)
	}
	m.young[key] = v
}

// Forget removes a key.
func (m *Map[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.young[key]; ok && m.Weigh != nil {
		m.weight -= m.Weigh(v)
	}
	delete(m.young, key)
	delete(m.old, key)
}
