// Package testenv finds what tests need outside this module and skips them clearly without it.
package testenv

import (
	"io/fs"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/internal/protoserver"
	"github.com/dwcp/dwcp-ml/clients/go/onnx"
)

// Root is the module's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// TinyModels is a registry of four tiny models with the real models' signatures.
func TinyModels() string { return filepath.Join(Root(), "testdata", "models") }

// Models is the registry that DWCP_MODELS names.
func Models(t testing.TB) string {
	t.Helper()
	models := os.Getenv("DWCP_MODELS")
	if models == "" {
		t.Skip("DWCP_MODELS names no registry of trained models")
	}
	absolute, err := filepath.Abs(models)
	if err != nil {
		t.Fatal(err)
	}
	return absolute
}

// Library is the path of ONNX Runtime, from ONNXRUNTIME_LIB or the repository's .venv.
func Library(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(onnx.LibraryVariable); path != "" {
		return path
	}
	found, _ := filepath.Glob(inVenv("lib", "python3*", "site-packages", "onnxruntime", "capi", "libonnxruntime.so.*"))
	if len(found) == 0 {
		t.Skip("no ONNX Runtime: set " + onnx.LibraryVariable + " or create the repository's .venv")
	}
	return found[0]
}

// Python runs a script of testdata with DWCP_PYTHON or the repository's .venv.
func Python(t testing.TB, arguments ...string) {
	t.Helper()
	python := os.Getenv("DWCP_PYTHON")
	if python == "" {
		python = inVenv("bin", "python")
	}
	if _, err := exec.LookPath(python); err != nil {
		t.Skip("no Python with onnxruntime: set DWCP_PYTHON or create the repository's .venv")
	}
	arguments[0] = filepath.Join(Root(), "testdata", arguments[0])
	if output, err := exec.Command(python, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

func inVenv(elements ...string) string {
	return filepath.Join(append([]string{Root(), "..", "..", ".venv"}, elements...)...)
}

// Open opens a registry in this process and closes it with the test.
func Open(t testing.TB, models string, options ...onnx.Option) *onnx.Backend {
	t.Helper()
	quiet := onnx.WithLogger(slog.New(slog.DiscardHandler))
	options = append([]onnx.Option{onnx.WithLibrary(Library(t)), quiet}, options...)
	backend, err := onnx.Open(models, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	return backend
}

// Copy copies the tiny registry to a folder that the test may change.
func Copy(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	err := filepath.WalkDir(TinyModels(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, _ := filepath.Rel(TinyModels(), path)
		target := filepath.Join(root, inside)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if link, err := os.Readlink(path); err == nil {
			return os.Symlink(link, target)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// ServeHTTP serves a back end over V1 and V2 and returns the address.
func ServeHTTP(t testing.TB, backend inference.Backend) string {
	t.Helper()
	server := httptest.NewServer(protoserver.HTTP(backend))
	t.Cleanup(server.Close)
	return server.URL
}

// ServeGRPC serves ModelInfer and returns the address.
func ServeGRPC(t testing.TB, infer protoserver.ModelInfer) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := protoserver.GRPC(infer)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}
