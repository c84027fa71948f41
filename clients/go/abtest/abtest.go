// Package abtest sends each link to one of two back ends and keeps how both do.
package abtest

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// Names of the arms.
const (
	A = "a"
	B = "b"
)

const keptLatencies = 1024 // newest latencies per arm, for the percentiles

// Test is a back end that shares links between two others.
type Test struct {
	arms  map[string]inference.Backend
	share float64 // of links on arm B
	mu    sync.Mutex
	kept  map[string]*record
}

type record struct {
	answered, failed, judged uint64
	errorSum                 float64
	latencies                []time.Duration // ring of the newest
}

// Report is how an arm did.
type Report struct {
	Answered, Failed uint64
	Judged           uint64        // forecasts that the following step judged
	MeanError        float64       // mean relative error of those, NaN without any
	P50, P99         time.Duration // of the newest 1024 answers, 0 without any
}

// New sends the given share of links, 0 to 1, to b and the others to a. Which link goes where
// depends on its name and the share alone: it is the same in every process, and raising the share
// only moves links from a to b. Requests without a link go to a.
func New(a, b inference.Backend, share float64) *Test {
	return &Test{
		arms: map[string]inference.Backend{A: a, B: b}, share: share,
		kept: map[string]*record{A: {}, B: {}},
	}
}

// Arm tells where a link goes.
func (t *Test) Arm(link string) string {
	if link == "" || position(link) >= t.share {
		return A
	}
	return B
}

// Infer answers on the arm of the request's key.
func (t *Test) Infer(ctx context.Context, request inference.Request) (inference.Answer, error) {
	arm := t.Arm(request.Key)
	begin := time.Now()
	answer, err := t.arms[arm].Infer(ctx, request)
	elapsed := time.Since(begin)
	answer.Arm = arm
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.kept[arm]
	if err != nil {
		kept.failed++
		return answer, err
	}
	if len(kept.latencies) < keptLatencies {
		kept.latencies = append(kept.latencies, elapsed)
	} else {
		kept.latencies[kept.answered%keptLatencies] = elapsed
	}
	kept.answered++
	return answer, nil
}

// Judge keeps how far an answer was off; a Client calls it when the next step is known.
func (t *Test) Judge(arm string, relativeError float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kept, ok := t.kept[arm]; ok {
		kept.judged++
		kept.errorSum += relativeError
	}
}

// Report tells how an arm did so far.
func (t *Test) Report(arm string) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept, ok := t.kept[arm]
	if !ok {
		return Report{MeanError: math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(kept.latencies))
	return Report{
		Answered: kept.answered, Failed: kept.failed, Judged: kept.judged,
		MeanError: kept.errorSum / float64(kept.judged),
		P50:       percentile(sorted, 0.50), P99: percentile(sorted, 0.99),
	}
}

// Close closes both back ends.
func (t *Test) Close() error { return errors.Join(t.arms[A].Close(), t.arms[B].Close()) }

// percentile by the nearest rank.
func percentile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}

// position maps a link to [0, 1): FNV-1a, then the finalizer of MurmurHash3, because FNV alone
// leaves similar names close together.
func position(link string) float64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(link))
	h := hash.Sum64()
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return float64(h>>11) / (1 << 53)
}
