package web

// Status is what is going on, in the shape of Zuul's status JSON
// (https://zuul-ci.org/docs/zuul/latest/rest-api.html), with a few fields
// more. Times are milliseconds since 1970, spans milliseconds.
type Status struct {
	Version           string     `json:"zuul_version"`
	TriggerEvents     Length     `json:"trigger_event_queue"`
	ManagementEvents  Length     `json:"management_event_queue"`
	ResultEvents      Length     `json:"result_event_queue"`
	LastReconfigured  int64      `json:"last_reconfigured"`
	Pipelines         []Pipeline `json:"pipelines"`
	EventsFlow        bool       `json:"events_flow"` // ours: the review server is heard
	MachinesUsed      int        `json:"machines_used"`
	MachinesAvailable int        `json:"machines_available"`
}

// Length is how many events wait.
type Length struct {
	Length int `json:"length"`
}

// Pipeline is a pipeline with what is in it.
type Pipeline struct {
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	State        string   `json:"state"`
	Manager      string   `json:"manager"`
	Triggers     []string `json:"triggers"`
	ChangeQueues []Queue  `json:"change_queues"`
}

// Items is the number of items in the pipeline.
func (p Pipeline) Items() int {
	n := 0
	for _, q := range p.ChangeQueues {
		for _, h := range q.Heads {
			n += len(h)
		}
	}
	return n
}

// Queue is a change queue. A head is a chain of items that are built on each
// other; a new one begins where an item has nothing ahead.
type Queue struct {
	Name    string   `json:"name"`
	Branch  *string  `json:"branch"`
	Window  int      `json:"window"`
	Heads   [][]Item `json:"heads"`
	Stopped string   `json:"stopped,omitempty"` // ours: why nothing merges (C2)
}

// Item is a queue item.
type Item struct {
	ID             string   `json:"id"`
	Live           bool     `json:"live"`
	Active         bool     `json:"active"`
	Refs           []Ref    `json:"refs"`
	ItemAhead      *string  `json:"item_ahead"`
	ItemsBehind    []string `json:"items_behind"`
	FailingReasons []string `json:"failing_reasons"`
	ZuulRef        *string  `json:"zuul_ref"`
	EnqueueTime    int64    `json:"enqueue_time"`
	RemainingTime  *int64   `json:"remaining_time"`
	Jobs           []Job    `json:"jobs"`
	// Ours.
	Number   int      `json:"number"`
	PatchSet int      `json:"patchset"`
	Subject  string   `json:"subject"`
	Buildset string   `json:"buildset,omitempty"`
	State    string   `json:"state"` // for people: what the item does now
	Base     []string `json:"base"`
	Resets   []string `json:"resets"`
}

// Ref is the change of an item.
type Ref struct {
	Project          string `json:"project"`
	ProjectCanonical string `json:"project_canonical"`
	Ref              string `json:"ref"`
	ID               string `json:"id"`
	URL              string `json:"url"`
	Owner            string `json:"owner"`
}

// Job is a job of an item, with its last try.
type Job struct {
	Name          string   `json:"name"`
	Dependencies  []string `json:"dependencies"`
	Voting        bool     `json:"voting"`
	Result        *string  `json:"result"`
	UUID          *string  `json:"uuid"`
	Queued        bool     `json:"queued"`
	WaitingStatus *string  `json:"waiting_status"`
	ExecuteTime   *int64   `json:"execute_time"`
	StartTime     *int64   `json:"start_time"`
	EndTime       *int64   `json:"end_time"`
	EstimatedTime *int64   `json:"estimated_time"`
	ElapsedTime   *int64   `json:"elapsed_time"`
	RemainingTime *int64   `json:"remaining_time"`
	Tries         int      `json:"tries"`
	Retry         bool     `json:"retry"`
	Paused        bool     `json:"paused"`
	PreFail       bool     `json:"pre_fail"`
	Canceled      bool     `json:"canceled"`
	URL           *string  `json:"url"`
	FingerURL     *string  `json:"finger_url"`
	ReportURL     *string  `json:"report_url"`
	Phase         string   `json:"phase,omitempty"` // ours: what it does now
}

// Percent is how far a running job has come, from what it took before; -1 if
// that is not known.
func (j Job) Percent() int {
	if j.Result != nil || j.ElapsedTime == nil || j.EstimatedTime == nil || *j.EstimatedTime <= 0 {
		return -1
	}
	return int(min(99, *j.ElapsedTime*100 / *j.EstimatedTime))
}

// Class is the kind of a job's state, for its colour.
func (j Job) Class() string {
	switch {
	case j.Result != nil:
		return resultClass(*j.Result)
	case j.PreFail:
		return "bad"
	case j.ElapsedTime != nil:
		return "run"
	default:
		return "wait"
	}
}

// Word is a job's state in a word or a few.
func (j Job) Word() string {
	switch {
	case j.Result != nil:
		return *j.Result
	case j.PreFail:
		return "failing"
	case j.ElapsedTime != nil && j.Phase != "":
		return j.Phase
	case j.WaitingStatus != nil:
		return *j.WaitingStatus
	default:
		return "waiting"
	}
}
