package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/registry"
)

const name = "bandwidth_predictor"

func move(t *testing.T, root, version string) {
	t.Helper()
	draft := filepath.Join(root, name, ".latest.part")
	if err := os.Symlink(version, draft); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(draft, filepath.Join(root, name, "latest")); err != nil {
		t.Fatal(err)
	}
}

func TestTheLatestOfEveryModelIsLoadedAndFollowed(t *testing.T) {
	root := testenv.Copy(t)
	r, err := registry.Open(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if names := r.Names(); len(names) != 4 {
		t.Errorf("%v", names)
	}
	move(t, root, "v1.1")
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	model, err := r.GetLatest(name)
	if err != nil || model.Version.String() != "v1.1" || model.Metadata.Outputs[0].Name != "next_throughput_mbps" {
		t.Errorf("%+v, %v", model, err)
	}
	old, err := r.Load(name, registry.Version{Major: 1})
	if err != nil || old.Version.String() != "v1.0" {
		t.Errorf("%+v, %v", old, err)
	}
}

func TestLatestMayBeAFileAsInAnObjectStore(t *testing.T) {
	root := testenv.Copy(t)
	latest := filepath.Join(root, name, "latest")
	if err := errors.Join(os.Remove(latest), os.WriteFile(latest, []byte("v1.1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if version, err := registry.Folder(root).Latest(name); err != nil || version.String() != "v1.1" {
		t.Errorf("%v, %v", version, err)
	}
}

func TestADamagedVersionIsRefusedAndTheOneBeforeStays(t *testing.T) {
	for what, damage := range map[string]func(t *testing.T, folder string){
		"a flipped bit": func(t *testing.T, folder string) {
			edit(t, filepath.Join(folder, "model.onnx"), func(b []byte) []byte { b[100] ^= 1; return b })
		},
		"a graph cut off": func(t *testing.T, folder string) {
			edit(t, filepath.Join(folder, "model.onnx"), func(b []byte) []byte { return b[:100] })
		},
		"metadata cut off": func(t *testing.T, folder string) {
			edit(t, filepath.Join(folder, "metadata.json"), func(b []byte) []byte { return b[:100] })
		},
		"metadata of another model": func(t *testing.T, folder string) {
			edit(t, filepath.Join(folder, "metadata.json"), func(b []byte) []byte {
				return []byte(strings.Replace(string(b), name, "other", 1))
			})
		},
	} {
		root := testenv.Copy(t)
		r, err := registry.Open(root, nil)
		if err != nil {
			t.Fatal(err)
		}
		damage(t, filepath.Join(root, name, "v1.1"))
		move(t, root, "v1.1")
		if err := r.Reload(); !errors.Is(err, inference.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if model, err := r.GetLatest(name); err != nil || model.Version.String() != "v1.0" {
			t.Errorf("%s: %v, %v", what, model, err)
		}
		if fault := r.Faults()[name]; !errors.Is(fault, inference.ErrDamaged) {
			t.Errorf("%s is not told: %v", what, fault)
		}
	}
}

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(content), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	root := testenv.Copy(t)
	if _, err := registry.Open(filepath.Join(root, "nowhere"), nil); !errors.Is(err, inference.ErrModel) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := registry.Open(t.TempDir(), nil); !errors.Is(err, inference.ErrModel) {
		t.Errorf("empty folder: %v", err)
	}
	r, err := registry.Open(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"other", "", "..", "../models", "/etc", ".hidden", `a\b`} {
		_, latest := r.GetLatest(wrong)
		_, load := r.Load(wrong, registry.Version{Major: 1})
		if !errors.Is(latest, inference.ErrModel) || !errors.Is(load, inference.ErrModel) {
			t.Errorf("%q: %v, %v", wrong, latest, load)
		}
	}
	if _, err := r.Load(name, registry.Version{Major: 9}); !errors.Is(err, inference.ErrModel) {
		t.Errorf("no version: %v", err)
	}
	edit(t, filepath.Join(root, name, "v1.0", "metadata.json"), func([]byte) []byte { return nil })
	if _, err := r.Load(name, registry.Version{Major: 1}); !errors.Is(err, inference.ErrDamaged) {
		t.Errorf("empty metadata: %v", err)
	}
}

func TestALatestThatNamesNoVersionIsDamage(t *testing.T) {
	root := testenv.Copy(t)
	move(t, root, "../../../etc")
	if _, err := registry.Folder(root).Latest(name); !errors.Is(err, inference.ErrDamaged) {
		t.Error(err)
	}
}

func TestWatchTakesUpAMoveAndTellsAFaultOnce(t *testing.T) {
	root := testenv.Copy(t)
	r, err := registry.Open(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan error, 100)
	done := make(chan struct{})
	go func() {
		r.Watch(ctx, 5*time.Millisecond, func(err error) { told <- err })
		close(done)
	}()
	move(t, root, "v1.1")
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		if model, _ := r.GetLatest(name); model.Version.String() == "v1.1" {
			break
		}
		if time.Since(start) > 10*time.Second {
			t.Fatal("the move was not seen")
		}
	}
	move(t, root, "v7.7")
	if err := <-told; !errors.Is(err, inference.ErrModel) {
		t.Error(err)
	}
	time.Sleep(50 * time.Millisecond)
	cancel()
	<-done
	if len(told) != 0 {
		t.Errorf("told %d times more", len(told))
	}
}

func TestVersionsAreOrderedByNumber(t *testing.T) {
	root := testenv.Copy(t)
	for _, folder := range []string{"v1.10", "v1.9", "v2.0", "v1", "notes", ".v9.9.part"} {
		if err := os.Mkdir(filepath.Join(root, name, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := registry.Folder(root).Versions(name)
	want := "[v1.0 v1.1 v1.9 v1.10 v2.0]"
	if text := fmt.Sprint(versions); err != nil || text != want {
		t.Errorf("%s, %v", text, err)
	}
}
