package httpapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts and times requests. A nil *Metrics does nothing.
type Metrics struct{ requests *prometheus.HistogramVec }

// NewMetrics registers gatehouse_http_request_seconds, by service, method and
// status, with registry.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "gatehouse_http_request_seconds",
		Help:    "Time to answer a request of an OpenStack API.",
		Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 60},
	}, []string{"service", "method", "status"})}
	registry.MustRegister(m.requests)
	return m
}

// methods bounds the label: a client may send any word as a method.
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}

func (m *Metrics) observe(service, method string, status int, took time.Duration) {
	if m == nil {
		return
	}
	if !methods[method] {
		method = "other"
	}
	m.requests.WithLabelValues(service, method, strconv.Itoa(status)).Observe(took.Seconds())
}
