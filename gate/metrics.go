package gate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-dev/gatehouse/gate/store"
)

// metrics are the gate's figures.
type metrics struct {
	connected prometheus.Gauge
	items     *prometheus.GaugeVec
	stopped   *prometheus.GaugeVec
	builds    *prometheus.CounterVec
	phases    *prometheus.HistogramVec
	merged    prometheus.Counter
	resets    prometheus.Counter
	pass      prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{Name: "gatehouse_gate_events_connected", Help: "1 while events flow from the review server."}),
		items:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "gatehouse_gate_items", Help: "Items in a pipeline."}, []string{"pipeline"}),
		stopped:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "gatehouse_gate_stopped_queues", Help: "Queues stopped because a merged tree was not the tested tree."}, []string{"pipeline"}),
		builds:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatehouse_gate_builds_total", Help: "Builds that ended, by result."}, []string{"result"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_gate_build_phase_seconds", Help: "Where the time of builds went.",
			Buckets: []float64{.1, .3, 1, 3, 10, 30, 100, 300, 1000, 3000},
		}, []string{"phase"}),
		merged: prometheus.NewCounter(prometheus.CounterOpts{Name: "gatehouse_gate_merged_total", Help: "Changes merged whose tree was proven to be the tested one."}),
		resets: prometheus.NewCounter(prometheus.CounterOpts{Name: "gatehouse_gate_resets_total", Help: "Build sets thrown away."}),
		pass:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gatehouse_gate_pass_seconds", Help: "Time to apply an event to the queues and store the state.", Buckets: []float64{.0003, .001, .003, .01, .03, .1, .3, 1}}),
	}
	if r != nil {
		r.MustRegister(m.connected, m.items, m.stopped, m.builds, m.phases, m.merged, m.resets, m.pass)
	}
	return m
}

func (m *metrics) observe(t store.Timings) {
	for phase, took := range map[string]time.Duration{
		"queue": t.Queue, "boot": t.Boot, "copy": t.Copy, "pre-run": t.Pre, "run": t.Run, "post-run": t.Post, "collect": t.Collect,
	} {
		if took > 0 {
			m.phases.WithLabelValues(phase).Observe(took.Seconds())
		}
	}
}
