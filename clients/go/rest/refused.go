package rest

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

const maxSentence = 300 // bytes of the server's words that an error repeats

// refused turns a status other than 200 into an error with the server's sentence.
func (c *client) refused(request inference.Request, status int, body []byte) error {
	kind := inference.ErrRejected
	switch {
	case status == http.StatusNotFound:
		kind = inference.ErrModel
	case status >= 500:
		kind = inference.ErrServer
	case status < 400: // an informational or redirecting status is no answer
		kind = inference.ErrAnswer
	}
	return &inference.Error{
		Kind: kind, Model: request.Model, Where: c.base.Host, Status: status,
		Text: http.StatusText(status) + said(body),
	}
}

// said finds the sentence in {"error": "..."} or takes the body's first line.
func said(body []byte) string {
	var told struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &told) != nil || told.Error == "" {
		told.Error, _, _ = strings.Cut(strings.TrimSpace(string(body)), "\n")
	}
	if told.Error == "" || !utf8.ValidString(told.Error) {
		return ""
	}
	if len(told.Error) > maxSentence {
		told.Error = strings.ToValidUTF8(told.Error[:maxSentence], "") + "..."
	}
	return ", " + told.Error
}
