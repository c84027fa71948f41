package registry

import "encoding/json"

// Tensor is an input or output as metadata.json describes it.
type Tensor struct {
	Name     string   `json:"name"`
	Dtype    string   `json:"dtype"`    // float32 or int64
	Shape    []any    `json:"shape"`    // whole numbers, or names of free dimensions like "batch"
	Unit     string   `json:"unit"`     // of the values, or of each feature
	Features []string `json:"features"` // names along the last dimension

	Least map[string]int64 `json:"least"` // smallest sizes of free dimensions, where above 1
}

// Golden is a recorded request with its answer.
type Golden struct {
	Request  map[string]json.RawMessage `json:"request"`
	Response map[string]json.RawMessage `json:"response"`
}

// Metadata is what a client needs of metadata.json.
type Metadata struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Created string   `json:"created"` // ISO 8601
	Inputs  []Tensor `json:"inputs"`
	Outputs []Tensor `json:"outputs"`
	SHA256  string   `json:"onnx_sha256"`
	Bytes   int64    `json:"onnx_bytes"`
	Golden  []Golden `json:"golden"`
}
