package dwcpml_test

import (
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// moveLatest points latest at a version, as "dwcp register" does.
func moveLatest(t *testing.T, root, model, version string) {
	t.Helper()
	draft := filepath.Join(root, model, ".latest.part")
	if err := errors.Join(os.Symlink(version, draft), os.Rename(draft, filepath.Join(root, model, "latest"))); err != nil {
		t.Fatal(err)
	}
}

// exposed is what a scrape reads.
func exposed(t *testing.T, gatherer prometheus.Gatherer) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	return recorder.Body.String()
}
