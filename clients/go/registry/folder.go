package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

const (
	latestName   = "latest"
	graphName    = "model.onnx"
	metadataName = "metadata.json"
	maxGraph     = 64 << 20 // bytes; a registered model is below 10 MB
)

// Folder is a registry on disk: ROOT/NAME/vX.Y/{model.onnx, metadata.json} and ROOT/NAME/latest.
type Folder string

// Model is one version, its graph verified against its digest.
type Model struct {
	Name     string
	Version  Version
	Metadata Metadata
	Graph    []byte // the ONNX file that was hashed; it is not read again
}

// Names lists the models, in alphabetical order.
func (f Folder) Names() ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil, &inference.Error{
			Kind: inference.ErrModel, Where: string(f), Text: "there is no registry", Err: err,
		}
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Versions lists the versions of a model, oldest first.
func (f Folder) Versions(name string) ([]Version, error) {
	if err := f.known(name); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(string(f), name))
	if err != nil {
		return nil, f.missing(name, err)
	}
	var versions []Version
	for _, entry := range entries {
		if version, ok := ParseVersion(entry.Name()); ok && entry.IsDir() {
			versions = append(versions, version)
		}
	}
	sortVersions(versions)
	return versions, nil
}

// Latest reads where NAME/latest points: a link beside the versions, or, in a copy of an object
// store, a file that holds the version's name.
func (f Folder) Latest(name string) (Version, error) {
	if err := f.known(name); err != nil {
		return Version{}, err
	}
	path := filepath.Join(string(f), name, latestName)
	target, err := os.Readlink(path)
	if err != nil {
		content, readErr := os.ReadFile(path)
		if readErr != nil {
			return Version{}, f.missing(name, readErr)
		}
		target = strings.TrimSpace(string(content))
	}
	version, ok := ParseVersion(strings.TrimSuffix(target, "/"))
	if !ok {
		return Version{}, &inference.Error{
			Kind: inference.ErrDamaged, Model: name, Where: path,
			Text: "it names no version like v1.0",
		}
	}
	return version, nil
}

// Load reads a version and checks name, version, size and digest before anything parses the graph.
func (f Folder) Load(name string, version Version) (*Model, error) {
	if err := f.known(name); err != nil {
		return nil, err
	}
	folder := filepath.Join(string(f), name, version.String())
	text, err := os.ReadFile(filepath.Join(folder, metadataName))
	if err != nil {
		return nil, f.missing(name, err)
	}
	damaged := func(text string, err error) error {
		return &inference.Error{Kind: inference.ErrDamaged, Model: name, Where: folder, Text: text, Err: err}
	}
	model := &Model{Name: name, Version: version}
	if err := json.Unmarshal(text, &model.Metadata); err != nil {
		return nil, damaged(metadataName+" cannot be read", err)
	}
	about := model.Metadata
	if about.Name != name || about.Version != version.String() {
		return nil, damaged(metadataName+" says it is "+about.Name+" "+about.Version, nil)
	}
	path := filepath.Join(folder, graphName)
	size, err := os.Stat(path)
	if err != nil {
		return nil, f.missing(name, err)
	}
	if size.Size() > maxGraph || (about.Bytes != 0 && size.Size() != about.Bytes) {
		return nil, damaged(graphName+" has not the size that "+metadataName+" says", nil)
	}
	if model.Graph, err = os.ReadFile(path); err != nil {
		return nil, f.missing(name, err)
	}
	sum := sha256.Sum256(model.Graph)
	if digest := hex.EncodeToString(sum[:]); digest != about.SHA256 {
		return nil, damaged(graphName+" has the sha256 "+digest+", "+metadataName+" says "+about.SHA256, nil)
	}
	return model, nil
}

// known refuses names that would leave the registry's folder.
func (f Folder) known(name string) error {
	if name == "" || strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") {
		return inference.Errorf(inference.ErrModel, name, "this is no model's name")
	}
	return nil
}

func (f Folder) missing(name string, err error) error {
	return &inference.Error{
		Kind: inference.ErrModel, Model: name, Where: string(f),
		Text: "not registered, or files are missing", Err: err,
	}
}
