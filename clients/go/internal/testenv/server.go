package testenv

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Server is the project's own model server in a process.
type Server struct {
	HTTP, GRPC string // addresses
	process    *exec.Cmd
}

// Serve starts the server on a registry and waits until it is ready; ports of 0 are free ones.
func Serve(t testing.TB, models string, port, grpcPort int) *Server {
	t.Helper()
	python := inVenv("bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Skip("no model server: the repository's .venv is not there")
	}
	if _, err := os.Stat(filepath.Join(Root(), "..", "..", "src", "dwcp_ml", "serve_commands.py")); err != nil {
		t.Skip("no model server: the repository has none")
	}
	process := exec.Command(python, "-c", "from dwcp_ml.serve_commands import serve_command as s; s()", models,
		"--port", fmt.Sprint(port), "--grpc-port", fmt.Sprint(grpcPort), "--drain-s", "0.3", "--reload-s", "0.05")
	process.Env = append(os.Environ(), "OMP_NUM_THREADS=1")
	log, err := process.StderrPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	server := &Server{process: process}
	t.Cleanup(server.Stop)
	server.listen(t, bufio.NewReader(log))
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://" + server.HTTP + "/v2/health/ready")
		if err == nil {
			_ = response.Body.Close()
		}
		if err == nil && response.StatusCode == http.StatusOK {
			return server
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("the server is not ready: %v", err)
		}
	}
}

// listen reads the log until it tells the ports, then lets it run.
func (s *Server) listen(t testing.TB, log *bufio.Reader) {
	t.Helper()
	for {
		line, err := log.ReadString('\n')
		if err != nil {
			t.Fatalf("the server ended before it listened: %v %s", err, line)
		}
		var event struct {
			Message  string
			Port     int
			GRPCPort int `json:"grpc_port"`
		}
		if json.Unmarshal([]byte(line), &event) == nil && event.Message == "listening" {
			s.HTTP, s.GRPC = fmt.Sprintf("127.0.0.1:%d", event.Port), fmt.Sprintf("127.0.0.1:%d", event.GRPCPort)
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return
		}
	}
}

// Terminate asks the server to drain and end, as Kubernetes does, and does not wait.
func (s *Server) Terminate() { _ = s.process.Process.Signal(syscall.SIGTERM) }

// Stop ends the server and waits; calling it again changes nothing.
func (s *Server) Stop() {
	if s.process.ProcessState == nil {
		s.Terminate()
		killer := time.AfterFunc(30*time.Second, func() { _ = s.process.Process.Kill() })
		_ = s.process.Wait()
		killer.Stop()
	}
}
