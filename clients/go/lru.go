package dwcpml

import (
	"container/list"
	"sync"
)

// lru keeps a state per key and forgets the key unused for longest beyond its limit.
type lru[S any] struct {
	mu    sync.Mutex
	limit int
	order *list.List // newest use first
	byKey map[string]*list.Element
}

type entry[S any] struct {
	key   string
	state S
}

func newLRU[S any](limit int) *lru[S] {
	return &lru[S]{limit: limit, order: list.New(), byKey: map[string]*list.Element{}}
}

// with gives a key's state to a short function, alone.
func (l *lru[S]) with(key string, use func(*S)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.byKey[key]
	if !ok {
		element = l.order.PushFront(&entry[S]{key: key})
		l.byKey[key] = element
	}
	l.order.MoveToFront(element)
	for l.order.Len() > l.limit {
		oldest := l.order.Back()
		delete(l.byKey, oldest.Value.(*entry[S]).key)
		l.order.Remove(oldest)
	}
	use(&element.Value.(*entry[S]).state)
}

// forget drops a key.
func (l *lru[S]) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if element, ok := l.byKey[key]; ok {
		l.order.Remove(element)
		delete(l.byKey, key)
	}
}
