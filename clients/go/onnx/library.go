package onnx

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// LibraryVariable names the environment variable that holds the path of ONNX Runtime's shared library.
const LibraryVariable = "ONNXRUNTIME_LIB"

var library struct {
	sync.Mutex
	path string // what is loaded; a process loads one
}

// start loads ONNX Runtime once for the process.
func start(option string) error {
	library.Lock()
	defer library.Unlock()
	if library.path != "" {
		if option != "" && option != library.path {
			return missing("this process has loaded "+library.path+" already", nil)
		}
		return nil
	}
	path, err := find(option)
	if err != nil {
		return err
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return missing(path+" cannot be loaded", err)
	}
	library.path = path
	return nil
}

// find takes the option, then the variable, then the usual places.
func find(option string) (string, error) {
	for _, given := range []struct{ path, from string }{
		{option, "WithLibrary"}, {os.Getenv(LibraryVariable), LibraryVariable},
	} {
		if given.path == "" {
			continue
		}
		if info, err := os.Stat(given.path); err != nil || info.IsDir() {
			return "", missing(given.from+" names "+given.path+", which is no file", err)
		}
		return given.path, nil
	}
	for _, pattern := range usual() {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			slices.Sort(found)
			return found[len(found)-1], nil
		}
	}
	return "", missing("set "+LibraryVariable+" to the path of libonnxruntime, for example the one in "+
		"the Python wheel of onnxruntime (onnxruntime/capi); also looked in "+strings.Join(usual(), ", "), nil)
}

func usual() []string {
	if runtime.GOOS == "darwin" {
		return []string{"/opt/homebrew/lib/libonnxruntime*.dylib", "/usr/local/lib/libonnxruntime*.dylib"}
	}
	folders := []string{
		".venv/lib/python3*/site-packages/onnxruntime/capi", "/usr/local/lib", "/usr/lib",
		"/usr/lib/*-linux-gnu", "/opt/onnxruntime/lib",
	}
	for i, folder := range folders {
		folders[i] = folder + "/libonnxruntime.so*"
	}
	return folders
}

func missing(text string, err error) error {
	return &inference.Error{Kind: inference.ErrLibrary, Text: text, Err: err}
}
