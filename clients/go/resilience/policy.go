// Package resilience puts a time limit, retries and a circuit breaker around a back end.
package resilience

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// Policy says how long to wait and when to give up. The zero value of a field turns it off,
// except OpenFor, which is then 60 s.
type Policy struct {
	Timeout   time.Duration // of one attempt; the caller's deadline holds as well
	Retries   int           // after the first attempt, on connection errors only
	Backoff   time.Duration // before the first retry, doubled before each next one, with jitter
	TripAfter uint32        // consecutive failed calls of one model that open its circuit
	OpenFor   time.Duration // time without calls until one is tried again
}

// Default is one second an attempt, two retries, and an open circuit of five seconds after five failures.
func Default() Policy {
	return Policy{
		Timeout: time.Second, Retries: 2, Backoff: 20 * time.Millisecond,
		TripAfter: 5, OpenFor: 5 * time.Second,
	}
}

type breaker = gobreaker.CircuitBreaker[inference.Answer]

type guarded struct {
	inference.Backend
	policy   Policy
	mu       sync.Mutex
	breakers map[string]*breaker
}

// Wrap returns the back end under the policy. Each model has a circuit of its own.
func Wrap(backend inference.Backend, policy Policy) inference.Backend {
	return &guarded{Backend: backend, policy: policy, breakers: map[string]*breaker{}}
}

// Infer answers one request within the policy.
func (g *guarded) Infer(ctx context.Context, request inference.Request) (inference.Answer, error) {
	if g.policy.TripAfter == 0 {
		return g.retried(ctx, request)
	}
	answer, err := g.breaker(request.Model).Execute(func() (inference.Answer, error) {
		answer, err := g.retried(ctx, request)
		if err != nil && ctx.Err() != nil {
			err = &callersFault{err} // says nothing about the server
		}
		return answer, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return inference.Answer{}, &inference.Error{
			Kind: inference.ErrBreaker, Model: request.Model,
			Text: "the calls before failed; the next try comes within " + g.policy.openFor().String(),
		}
	}
	var fault *callersFault
	if errors.As(err, &fault) {
		err = fault.error
	}
	return answer, err
}

func (g *guarded) retried(ctx context.Context, request inference.Request) (inference.Answer, error) {
	wait := g.policy.Backoff
	for attempt := 0; ; attempt++ {
		answer, err := g.attempt(ctx, request)
		if attempt >= g.policy.Retries || !errors.Is(err, inference.ErrUnavailable) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, &inference.Error{
				Kind: inference.ContextKind(ctx.Err()), Model: request.Model,
				Text: "gave up while waiting for a retry", Err: errors.Join(ctx.Err(), err),
			}
		case <-time.After(jittered(wait)):
			wait *= 2
		}
	}
}

func (g *guarded) attempt(ctx context.Context, request inference.Request) (inference.Answer, error) {
	if g.policy.Timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, g.policy.Timeout)
		defer cancel()
		ctx = limited
	}
	return g.Backend.Infer(ctx, request)
}

func (g *guarded) breaker(model string) *breaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	known, ok := g.breakers[model]
	if !ok {
		known = gobreaker.NewCircuitBreaker[inference.Answer](gobreaker.Settings{
			Name:         model,
			Timeout:      g.policy.OpenFor,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= g.policy.TripAfter },
			IsSuccessful: aliveServer,
			IsExcluded:   func(err error) bool { var fault *callersFault; return errors.As(err, &fault) },
		})
		g.breakers[model] = known
	}
	return known
}

func (p Policy) openFor() time.Duration {
	if p.OpenFor <= 0 {
		return time.Minute
	}
	return p.OpenFor
}

// aliveServer reports whether an outcome shows a server that works: an answer, or a refusal of bad input.
func aliveServer(err error) bool {
	switch inference.KindOf(err) {
	case inference.ErrUnavailable, inference.ErrTimeout, inference.ErrServer, inference.ErrAnswer:
		return false
	default:
		return true
	}
}

// jittered spreads waits over half to one and a half of d, so that clients do not return in step.
func jittered(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1)
}

type callersFault struct{ error }

func (c *callersFault) Unwrap() error { return c.error }
