package rest

import (
	"bytes"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/query"
)

func (s *Server) serverRoutes() {
	s.handle("GET /config/server/version", func(*call) (any, error) { return Version, nil })
	s.handle("GET /config/server/info", s.getInfo)
	s.handle("GET /config/server/summary", s.getSummary)
	s.handle("GET /config/server/top-menus", func(*call) (any, error) { return []struct{}{}, nil })
	s.handle("GET /groups", s.listGroups)
	s.handle("GET /plugins", func(*call) (any, error) { return map[string]any{"events-log": eventsLog}, nil })
	s.handle("GET /plugins/events-log", func(*call) (any, error) { return eventsLog, nil })
	s.handle("GET /plugins/events-log/events", s.listEvents)
	s.handle("GET /tools/hooks/commit-msg", func(*call) (any, error) {
		return content{"text/x-sh; charset=UTF-8", review.CommitMsgHook}, nil
	})
}

// eventsLog is the plugin that Jenkins looks for before it asks for the
// events it missed.
var eventsLog = map[string]any{"id": "events-log", "version": Version, "index_url": "plugins/events-log/", "filename": ""}

// getInfo tells what clients adapt themselves to.
func (s *Server) getInfo(*call) (any, error) {
	url := s.service.URL()
	return map[string]any{
		"accounts": map[string]any{"visibility": "ALL", "default_display_name": "FULL_NAME"},
		"auth": map[string]any{
			"auth_type": "LDAP", "editable_account_fields": []string{"FULL_NAME", "REGISTER_NEW_EMAIL"},
			"login_url": "/login", "login_text": "Sign in", "git_basic_auth_policy": "HTTP_LDAP",
		},
		"change": map[string]any{
			"allow_blame": true, "update_delay": 30, "submit_whole_topic": false, "mergeability_computation_behavior": "NEVER",
			"conflicts_predicate_enabled": false,
		},
		"download": map[string]any{
			"schemes": map[string]any{
				"anonymous http": map[string]any{"url": url + "/${project}", "is_auth_required": false, "is_auth_supported": false},
				"http":           map[string]any{"url": url + "/a/${project}", "is_auth_required": true, "is_auth_supported": true},
				"ssh":            map[string]any{"url": "ssh://" + s.service.SSH() + "/${project}", "is_auth_required": true, "is_auth_supported": true},
			},
			"archives": []string{},
		},
		"gerrit": map[string]any{
			"all_projects": "All-Projects", "all_users": "All-Users", "doc_search": false, "web_uis": []string{},
			"instance_id": "gatehouse",
		},
		"plugin":  map[string]any{"has_avatars": false, "js_resource_paths": []string{}},
		"sshd":    map[string]any{},
		"suggest": map[string]any{"from": 0},
		"user":    map[string]any{"anonymous_coward_name": "Name of user not set"},
		"receive": map[string]any{},
	}, nil
}

func (s *Server) getSummary(c *call) (any, error) {
	caller, err := c.needCaller()
	if err != nil {
		return nil, err
	}
	if !caller.Admin {
		return nil, fault.New(fault.Forbidden, "maintain server not permitted")
	}
	return map[string]any{"task_summary": map[string]any{}, "mem_summary": memory()}, nil
}

func (s *Server) listGroups(c *call) (any, error) {
	if _, err := c.needCaller(); err != nil {
		return nil, err
	}
	infos := map[string]groupInfo{}
	for _, info := range groupInfos([]string{review.Administrators, review.AnonymousUsers, review.RegisteredUsers, review.ServiceUsers}) {
		name := info.Name
		info.Name = ""
		infos[name] = info
	}
	return infos, nil
}

// maxEvents bounds the events of one answer. Whoever gets that many asks again
// from the time of the last.
const maxEvents = 10000

// listEvents writes the events from t1 to t2 as stream-events had sent them,
// one a line.
func (s *Server) listEvents(c *call) (any, error) {
	if _, err := c.needCaller(); err != nil {
		return nil, err
	}
	from, to := time.Time{}, time.Now()
	for name, t := range map[string]*time.Time{"t1": &from, "t2": &to} {
		text := c.r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		parsed, err := query.Time(text)
		if err != nil {
			return nil, fault.New(fault.BadRequest, "%v", err)
		}
		*t = parsed
	}
	events, err := s.service.EventsBetween(c.ctx(), c.caller, from, to, maxEvents)
	if err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	for _, event := range events {
		lines.Write(event.JSON)
		lines.WriteByte('\n')
	}
	return content{"text/plain; charset=UTF-8", lines.Bytes()}, nil
}
