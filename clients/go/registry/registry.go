// Package registry reads the folder that "dwcp register" fills and follows its latest versions.
package registry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// Admit is asked before a model becomes current. An error keeps the version before.
type Admit func(*Model) error

// Registry holds the latest version of every model of a folder.
type Registry struct {
	folder Folder
	admit  Admit
	reload sync.Mutex // one reload at a time
	mu     sync.RWMutex
	latest map[string]*Model
	faults map[string]error
}

// Open loads the latest version of every model. Models that cannot be loaded are told by Faults
// and by GetLatest; only a folder without any usable model is an error. admit may be nil.
func Open(root string, admit Admit) (*Registry, error) {
	r := &Registry{
		folder: Folder(root), admit: admit, latest: map[string]*Model{}, faults: map[string]error{},
	}
	if err := r.Reload(); err != nil && len(r.latest) == 0 {
		return nil, err
	}
	if len(r.latest) == 0 {
		return nil, &inference.Error{
			Kind: inference.ErrModel, Where: root, Text: "the registry holds no model, run 'dwcp register' first",
		}
	}
	return r, nil
}

// Load reads any version, also one that is not the latest, and checks its digest.
func (r *Registry) Load(name string, version Version) (*Model, error) {
	return r.folder.Load(name, version)
}

// GetLatest returns the version that is current here.
func (r *Registry) GetLatest(name string) (*Model, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if model, ok := r.latest[name]; ok {
		return model, nil
	}
	if fault, ok := r.faults[name]; ok {
		return nil, fault
	}
	return nil, &inference.Error{
		Kind: inference.ErrModel, Model: name, Where: string(r.folder), Text: "not registered",
	}
}

// Names lists the models that have a current version.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.latest))
	for name := range r.latest {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Faults tells, by model, why the version that latest names is not current.
func (r *Registry) Faults() map[string]error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	faults := make(map[string]error, len(r.faults))
	for name, fault := range r.faults {
		faults[name] = fault
	}
	return faults
}

// Reload looks where every latest points and loads what has moved. What cannot be loaded or
// admitted leaves the version before in place; the joined reasons are returned.
func (r *Registry) Reload() error {
	r.reload.Lock()
	defer r.reload.Unlock()
	names, err := r.folder.Names()
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range names {
		if err := r.reloadOne(name); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func (r *Registry) reloadOne(name string) error {
	model, err := r.moved(name)
	if err == nil && model != nil && r.admit != nil {
		err = r.admit(model)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.faults[name] = err
		return err
	}
	delete(r.faults, name)
	if model != nil {
		r.latest[name] = model
	}
	return nil
}

// moved loads the version that latest names; nil where that one is current.
func (r *Registry) moved(name string) (*Model, error) {
	version, err := r.folder.Latest(name)
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	current := r.latest[name]
	r.mu.RUnlock()
	if current != nil && current.Version == version {
		return nil, nil
	}
	return r.folder.Load(name, version)
}

// Watch reloads every so often until the context ends. It polls, because file system events do
// not arrive from network and object stores. told hears every error once, and may be nil.
func (r *Registry) Watch(ctx context.Context, every time.Duration, told func(error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	before := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := ""
		err := r.Reload()
		if err != nil {
			now = err.Error()
		}
		if err != nil && now != before && told != nil {
			told(err)
		}
		before = now
	}
}
