// Package onnx answers requests in this process, with ONNX Runtime and the registry's models.
//
// It needs cgo and ONNX Runtime's shared library, which it looks for in this order: WithLibrary,
// the environment variable ONNXRUNTIME_LIB, .venv of the working folder, the system's folders.
package onnx

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/registry"
)

// Backend holds a session for the current version of each model.
type Backend struct {
	registry *registry.Registry
	library  string
	every    time.Duration
	pinned   map[string]registry.Version
	logger   *slog.Logger
	stop     context.CancelFunc
	watching sync.WaitGroup
	mu       sync.RWMutex
	sessions map[string]*session
	closed   bool
}

// Option changes how models are loaded.
type Option func(*Backend)

// WithLibrary sets the path of ONNX Runtime's shared library. A process loads one.
func WithLibrary(path string) Option { return func(b *Backend) { b.library = path } }

// WithReload sets how often latest is looked at, 1 s without it; 0 never looks again.
func WithReload(every time.Duration) Option { return func(b *Backend) { b.every = every } }

// WithVersion serves this version of a model and ignores its latest, as an arm of an A/B test does.
func WithVersion(name string, version registry.Version) Option {
	return func(b *Backend) { b.pinned[name] = version }
}

// WithLogger hears of versions that were taken up or refused; slog.Default without it.
func WithLogger(logger *slog.Logger) Option { return func(b *Backend) { b.logger = logger } }

// Open loads, checks and warms up the latest version of every model of a registry folder and
// follows it. A version that fails its checks is refused and the one before keeps answering.
func Open(root string, options ...Option) (*Backend, error) {
	b := &Backend{
		every: time.Second, pinned: map[string]registry.Version{}, logger: slog.Default(),
		sessions: map[string]*session{},
	}
	for _, option := range options {
		option(b)
	}
	if err := start(b.library); err != nil {
		return nil, err
	}
	known, err := registry.Open(root, b.admit)
	if err != nil {
		return nil, err
	}
	b.registry = known
	if err := b.pin(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	for _, fault := range known.Faults() {
		b.logger.Error("model refused", "error", fault)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	if b.every > 0 {
		b.watching.Go(func() {
			known.Watch(ctx, b.every, func(err error) { b.logger.Error("model refused", "error", err) })
		})
	}
	return b, nil
}

// Reload looks at latest now, without waiting for the next look.
func (b *Backend) Reload() error { return b.registry.Reload() }

// Registry returns the registry the sessions come from.
func (b *Backend) Registry() *registry.Registry { return b.registry }

// Infer runs the model's current version. A call takes microseconds and cannot be interrupted:
// the context is looked at before it.
func (b *Backend) Infer(ctx context.Context, request inference.Request) (inference.Answer, error) {
	if err := request.Check(); err != nil {
		return inference.Answer{}, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return inference.Answer{}, &inference.Error{
				Kind: inference.ContextKind(err), Model: request.Model, Err: err,
			}
		}
		current, err := b.session(request.Model)
		if err != nil {
			return inference.Answer{}, err
		}
		if err := fits(request, current.model.Metadata.Inputs[0]); err != nil {
			return inference.Answer{}, err
		}
		outputs, open, err := current.run(request.Shape, request.Values)
		if !open {
			continue // replaced between the look-up and the run
		}
		if err != nil {
			return inference.Answer{}, &inference.Error{
				Kind: inference.ErrServer, Model: request.Model, Err: err,
			}
		}
		return inference.Answer{
			Version: current.model.Version.String(), Revision: current.model.Metadata.SHA256[:12],
			Outputs: outputs,
		}, nil
	}
}

// Close stops watching and frees the sessions after their last call.
func (b *Backend) Close() error {
	if b.stop != nil {
		b.stop()
	}
	b.watching.Wait()
	b.mu.Lock()
	sessions := b.sessions
	b.sessions, b.closed = map[string]*session{}, true
	b.mu.Unlock()
	for _, open := range sessions {
		open.close()
	}
	return nil
}

func (b *Backend) session(name string) (*session, error) {
	b.mu.RLock()
	current, ok := b.sessions[name]
	closed := b.closed
	b.mu.RUnlock()
	if closed {
		return nil, inference.Errorf(inference.ErrClosed, name, "the back end was closed")
	}
	if ok {
		return current, nil
	}
	_, err := b.registry.GetLatest(name)
	if err == nil {
		err = inference.Errorf(inference.ErrModel, name, "not loaded")
	}
	return nil, err
}

// admit takes a model up if its session answers the golden requests.
func (b *Backend) admit(model *registry.Model) error {
	if _, pinned := b.pinned[model.Name]; pinned {
		return nil
	}
	return b.take(model)
}

func (b *Backend) take(model *registry.Model) error {
	fresh, err := newSession(model)
	if err != nil {
		return err
	}
	b.mu.Lock()
	before, closed := b.sessions[model.Name], b.closed
	if !closed {
		b.sessions[model.Name] = fresh
	}
	b.mu.Unlock()
	if closed {
		fresh.close()
		return inference.Errorf(inference.ErrClosed, model.Name, "the back end was closed")
	}
	if before != nil {
		before.close()
	}
	b.logger.Info("model taken up", "model", model.Name, "version", model.Version.String())
	return nil
}

func (b *Backend) pin() error {
	for name, version := range b.pinned {
		model, err := b.registry.Load(name, version)
		if err != nil {
			return err
		}
		if err := b.take(model); err != nil {
			return err
		}
	}
	return nil
}
