// Package rest speaks the two HTTP protocols of an inference server: Open Inference Protocol
// (V2) and the predict call of TensorFlow Serving (V1).
package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/resilience"
)

const maxAnswer = 8 << 20 // bytes; four models answer with less than a kilobyte a row

// protocol turns requests into bodies and bodies into answers.
type protocol interface {
	path(model string) string
	body(request inference.Request) []byte
	answer(request inference.Request, body []byte) (inference.Answer, error)
}

type client struct {
	base     *url.URL
	fault    error // of the address, told by every call
	http     *http.Client
	policy   resilience.Policy
	protocol protocol
}

// Option changes how a client calls.
type Option func(*client)

// WithHTTPClient uses another client, for example for TLS or a proxy.
func WithHTTPClient(http *http.Client) Option { return func(c *client) { c.http = http } }

// WithPolicy replaces resilience.Default.
func WithPolicy(policy resilience.Policy) Option { return func(c *client) { c.policy = policy } }

// New returns a back end that calls the V2 protocol at an address like "localhost:8501" or
// "https://models.example/dwcp". An unusable address is told by every call, as ErrAddress.
func New(address string, options ...Option) inference.Backend {
	return build(address, v2{}, options)
}

// NewV1 returns a back end that calls /v1/models/NAME:predict as clients of TensorFlow Serving do.
func NewV1(address string, options ...Option) inference.Backend {
	return build(address, v1{}, options)
}

func build(address string, spoken protocol, options []Option) inference.Backend {
	c := &client{protocol: spoken, policy: resilience.Default(), http: defaultHTTP()}
	c.base, c.fault = parse(address)
	for _, option := range options {
		option(c)
	}
	return resilience.Wrap(c, c.policy)
}

// parse accepts "host:port" and URLs of http and https.
func parse(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err == nil && (base.Host == "" || (base.Scheme != "http" && base.Scheme != "https")) {
		err = errors.New("host:port or an http or https URL is needed")
	}
	if err != nil {
		return nil, &inference.Error{Kind: inference.ErrAddress, Where: address, Err: err}
	}
	return base, nil
}

// defaultHTTP keeps connections open, follows no redirects and bounds the dialing.
func defaultHTTP() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second, KeepAlive: 15 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     30 * time.Second,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true, // small answers
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Infer posts one request.
func (c *client) Infer(ctx context.Context, request inference.Request) (inference.Answer, error) {
	if c.fault != nil {
		return inference.Answer{}, c.fault
	}
	if err := request.Check(); err != nil {
		return inference.Answer{}, err
	}
	address := c.base.JoinPath(c.protocol.path(request.Model)).String()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, address,
		bytes.NewReader(c.protocol.body(request)))
	if err != nil {
		return inference.Answer{}, c.failed(inference.ErrAddress, request, err)
	}
	post.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(post)
	if err != nil {
		return inference.Answer{}, c.failed(transportKind(ctx, err), request, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return inference.Answer{}, c.failed(transportKind(ctx, err), request, err)
	}
	if response.StatusCode != http.StatusOK {
		return inference.Answer{}, c.refused(request, response.StatusCode, body)
	}
	return c.understood(request, response.Header, body)
}

// Close drops idle connections.
func (c *client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *client) understood(
	request inference.Request, header http.Header, body []byte,
) (inference.Answer, error) {
	if len(body) > maxAnswer {
		err := errors.New("longer than " + strconv.Itoa(maxAnswer) + " bytes")
		return inference.Answer{}, c.failed(inference.ErrAnswer, request, err)
	}
	answer, err := c.protocol.answer(request, body)
	if err != nil {
		return inference.Answer{}, c.failed(inference.ErrAnswer, request, err)
	}
	if version := header.Get("x-model-version"); version != "" {
		answer.Version = version
	}
	answer.Revision = header.Get("x-model-revision")
	return answer, nil
}

func (c *client) failed(kind inference.Kind, request inference.Request, err error) error {
	return &inference.Error{Kind: kind, Model: request.Model, Where: c.base.Host, Err: err}
}

// transportKind sorts an error without a complete answer.
func transportKind(ctx context.Context, err error) inference.Kind {
	if ctx.Err() != nil {
		return inference.ContextKind(ctx.Err())
	}
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		return inference.ErrTimeout
	}
	return inference.ErrUnavailable
}
