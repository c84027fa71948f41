package onnx_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/onnx"
	"github.com/dwcp/dwcp-ml/clients/go/registry"
)

const name = "bandwidth_predictor"

func window() inference.Request {
	values := make([]float32, 70)
	for i := range values {
		values[i] = 100
	}
	return inference.Request{Model: name, Shape: []int64{1, 10, 7}, Values: values}
}

func move(t *testing.T, root, version string) {
	t.Helper()
	draft := filepath.Join(root, name, ".latest.part")
	if err := errors.Join(os.Symlink(version, draft), os.Rename(draft, filepath.Join(root, name, "latest"))); err != nil {
		t.Fatal(err)
	}
}

func TestAHotReloadUnderLoadFailsNoCall(t *testing.T) {
	root := testenv.Copy(t)
	backend := testenv.Open(t, root, onnx.WithReload(time.Millisecond))
	var stop atomic.Bool
	var callers sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 4 {
		callers.Go(func() {
			mine := map[string]int{}
			for !stop.Load() {
				answer, err := backend.Infer(context.Background(), window())
				if err != nil {
					t.Error(err)
					return
				}
				factor := map[string]float32{"v1.0": 1, "v1.1": 1.1}[answer.Version]
				if got := answer.Outputs["next_throughput_mbps"].Floats[0]; got != 100*factor {
					t.Errorf("%s answered %v", answer.Version, got)
				}
				mine[answer.Version]++
			}
			mu.Lock()
			defer mu.Unlock()
			for version, count := range mine {
				seen[version] += count
			}
		})
	}
	for i := range 20 { // the watch sees these
		time.Sleep(10 * time.Millisecond)
		move(t, root, []string{"v1.1", "v1.0"}[i%2])
	}
	for i := range 150 { // as fast as it goes
		move(t, root, []string{"v1.1", "v1.0"}[i%2])
		if err := backend.Reload(); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	callers.Wait()
	if seen["v1.0"] == 0 || seen["v1.1"] == 0 {
		t.Errorf("not both versions answered: %v", seen)
	}
	t.Logf("answers by version: %v", seen)
}

// respoiled gives v1.1 the graph of another model or other golden answers, with a digest that fits.
func respoiled(t *testing.T, root string, change func(metadata map[string]any, graph []byte) []byte) {
	t.Helper()
	folder := filepath.Join(root, name, "v1.1")
	var metadata map[string]any
	text, _ := os.ReadFile(filepath.Join(folder, "metadata.json"))
	if err := json.Unmarshal(text, &metadata); err != nil {
		t.Fatal(err)
	}
	graph, _ := os.ReadFile(filepath.Join(folder, "model.onnx"))
	graph = change(metadata, graph)
	sum := sha256.Sum256(graph)
	metadata["onnx_sha256"], metadata["onnx_bytes"] = hex.EncodeToString(sum[:]), len(graph)
	text, _ = json.Marshal(metadata)
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "metadata.json"), text, 0o600),
		os.WriteFile(filepath.Join(folder, "model.onnx"), graph, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestAVersionThatFailsItsChecksIsRefusedAndTheOneBeforeAnswers(t *testing.T) {
	other, err := os.ReadFile(filepath.Join(testenv.TinyModels(), "node_reliability", "v1.0", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(map[string]any, []byte) []byte{
		"no graph":        func(map[string]any, []byte) []byte { return []byte("no graph at all") },
		"another's graph": func(map[string]any, []byte) []byte { return other },
		"no golden pair": func(m map[string]any, graph []byte) []byte {
			delete(m, "golden")
			return graph
		},
		"other golden answers": func(m map[string]any, graph []byte) []byte {
			response := m["golden"].([]any)[0].(map[string]any)["response"].(map[string]any)
			response["next_throughput_mbps"] = []any{1.0}
			return graph
		},
		"golden request of no rows": func(m map[string]any, graph []byte) []byte {
			m["golden"].([]any)[0].(map[string]any)["request"].(map[string]any)["features"] = []any{}
			return graph
		},
		"other dtype": func(m map[string]any, graph []byte) []byte {
			m["outputs"].([]any)[0].(map[string]any)["dtype"] = "int64"
			return graph
		},
	} {
		root := testenv.Copy(t)
		backend := testenv.Open(t, root, onnx.WithReload(0))
		respoiled(t, root, change)
		move(t, root, "v1.1")
		if err := backend.Reload(); !errors.Is(err, inference.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if answer, err := backend.Infer(context.Background(), window()); err != nil || answer.Version != "v1.0" {
			t.Errorf("%s: %v, %v", what, answer, err)
		}
	}
}

func TestAModelThatNeverLoadedTellsWhyAndTheOthersAnswer(t *testing.T) {
	root := testenv.Copy(t)
	move(t, root, "v9.9")
	backend := testenv.Open(t, root)
	if _, err := backend.Infer(context.Background(), window()); !errors.Is(err, inference.ErrModel) {
		t.Error(err)
	}
	row := inference.Request{Model: "node_reliability", Shape: []int64{1, 6}, Values: make([]float32, 6)}
	if _, err := backend.Infer(context.Background(), row); err != nil {
		t.Error(err)
	}
}

func TestRequestsThatDoNotFitNeverReachTheRuntime(t *testing.T) {
	backend := testenv.Open(t, testenv.TinyModels())
	for what, shape := range map[string][]int64{
		"empty batch": {0, 10, 7}, "short window": {1, 9, 7}, "flat": {1, 70}, "other features": {1, 10, 6},
	} {
		size, _ := inference.Size(shape)
		request := inference.Request{Model: name, Shape: shape, Values: make([]float32, size)}
		if _, err := backend.Infer(context.Background(), request); !errors.Is(err, inference.ErrInput) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := backend.Infer(context.Background(), inference.Request{
		Model: "other", Shape: []int64{1, 1}, Values: []float32{1},
	}); !errors.Is(err, inference.ErrModel) {
		t.Error(err)
	}
}

func TestBatchesAreAnsweredRowByRow(t *testing.T) {
	backend := testenv.Open(t, testenv.TinyModels())
	request := window()
	request.Shape = []int64{2, 10, 7}
	request.Values = append(request.Values, window().Values...)
	answer, err := backend.Infer(context.Background(), request)
	if err != nil || len(answer.Outputs["forecast"].Floats) != 8 || len(answer.Outputs["bandwidth_class"].Ints) != 2 {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestAPinnedVersionIgnoresLatest(t *testing.T) {
	root := testenv.Copy(t)
	pinned := onnx.WithVersion(name, registry.Version{Major: 1, Minor: 1})
	backend := testenv.Open(t, root, pinned)
	if answer, err := backend.Infer(context.Background(), window()); err != nil || answer.Version != "v1.1" {
		t.Errorf("%+v, %v", answer, err)
	}
	_, err := onnx.Open(root, onnx.WithLibrary(testenv.Library(t)), onnx.WithVersion(name, registry.Version{Major: 5}))
	if !errors.Is(err, inference.ErrModel) {
		t.Error(err)
	}
}

func TestCallsAfterCloseOrWithAnEndedContextSaySo(t *testing.T) {
	backend := testenv.Open(t, testenv.TinyModels())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := backend.Infer(ctx, window()); !errors.Is(err, inference.ErrCanceled) {
		t.Error(err)
	}
	late, cancelLate := context.WithTimeout(context.Background(), 0)
	defer cancelLate()
	if _, err := backend.Infer(late, window()); !errors.Is(err, inference.ErrTimeout) {
		t.Error(err)
	}
	if err := errors.Join(backend.Close(), backend.Close()); err != nil {
		t.Error(err)
	}
	if _, err := backend.Infer(context.Background(), window()); !errors.Is(err, inference.ErrClosed) {
		t.Error(err)
	}
}

// TestAMissingLibraryIsSaid runs in processes of their own, because a process loads one library.
func TestAMissingLibraryIsSaid(t *testing.T) {
	if os.Getenv("DWCP_TEST_LIBRARY_CHILD") != "" {
		_, err := onnx.Open(testenv.TinyModels())
		if !errors.Is(err, inference.ErrLibrary) {
			t.Fatalf("got %v", err)
		}
		t.Log(err)
		return
	}
	text := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, path := range map[string]string{"no file": "/nowhere/lib.so", "a folder": "/", "a text": text} {
		child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), "DWCP_TEST_LIBRARY_CHILD=1", onnx.LibraryVariable+"="+path)
		output, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(output), path) {
			t.Errorf("%s: %v: %s", what, err, output)
		}
	}
}

func TestManyReloadsLeaveMemoryFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	root := testenv.Copy(t)
	backend := testenv.Open(t, root, onnx.WithReload(0))
	reload := func(count int) {
		for i := range count {
			move(t, root, []string{"v1.1", "v1.0"}[i%2])
			if err := backend.Reload(); err != nil {
				t.Fatal(err)
			}
		}
	}
	reload(50)
	before := resident(t)
	reload(200)
	if grown := resident(t) - before; grown > 20<<20 {
		t.Errorf("%d bytes more after 200 reloads", grown)
	}
}

// resident is the process's memory in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc on this system")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(status))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
