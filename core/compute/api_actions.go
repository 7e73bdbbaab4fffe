package compute

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// routeActions registers what can be done to a server, and the record of it.
// See https://docs.openstack.org/api-ref/compute/#servers-run-an-action-servers-action
func (a *api) routeActions() {
	a.handle("POST /servers/{id}/action", writer, a.act)
	a.handle("GET /servers/{id}/os-instance-actions", reader, a.listActions)
	a.handle("GET /servers/{id}/os-instance-actions/{request}", reader, a.showAction)
}

// act does the action that the one member of the body names.
func (a *api) act(r *request) error {
	var body map[string]json.RawMessage
	if err := httpapi.ReadJSON(r.w, r.Request, &body); err != nil {
		return err
	}
	actions := map[string]func(r *request, id string, argument json.RawMessage) error{
		"os-start": a.start, "os-stop": a.stop, "reboot": a.reboot, "lock": a.lock, "unlock": a.unlock,
		"forceDelete": a.forceDelete, "os-resetState": a.resetState, "os-getConsoleOutput": a.console,
	}
	if len(body) != 1 {
		return fault.New(fault.BadRequest, "Exactly one action must be given, not %s", keys(body))
	}
	for name, argument := range body {
		action, ok := actions[name]
		if !ok {
			return fault.New(fault.BadRequest, "There is no such action: %s", name)
		}
		if err := action(r, r.PathValue("id"), argument); err != nil {
			return err
		}
	}
	return nil
}

// accepted answers 202 unless err says otherwise.
func (r *request) accepted(err error) error {
	if err != nil {
		return err
	}
	return r.empty(http.StatusAccepted)
}

func (a *api) start(r *request, id string, _ json.RawMessage) error {
	return r.accepted(a.service.Start(r.Context(), r.caller, id))
}

func (a *api) stop(r *request, id string, _ json.RawMessage) error {
	return r.accepted(a.service.Stop(r.Context(), r.caller, id))
}

func (a *api) reboot(r *request, id string, argument json.RawMessage) error {
	var body struct {
		Type string `json:"type"`
	}
	if err := strict("reboot", argument, &body); err != nil {
		return err
	}
	kind := strings.ToUpper(body.Type)
	if kind != "SOFT" && kind != "HARD" {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute type. Value: %s. It is not one of ['HARD', 'Hard', 'hard', 'SOFT', 'Soft', 'soft']", body.Type)
	}
	return r.accepted(a.service.Reboot(r.Context(), r.caller, id, kind == "HARD"))
}

func (a *api) lock(r *request, id string, argument json.RawMessage) error {
	var body *struct {
		Reason string `json:"locked_reason"`
	}
	if !r.since(73) {
		return r.accepted(a.service.Lock(r.Context(), r.caller, id, ""))
	}
	if err := strict("lock", argument, &body); err != nil {
		return err
	}
	if body == nil {
		return r.accepted(a.service.Lock(r.Context(), r.caller, id, ""))
	}
	if err := checkName("locked_reason", body.Reason); err != nil {
		return err
	}
	return r.accepted(a.service.Lock(r.Context(), r.caller, id, body.Reason))
}

func (a *api) unlock(r *request, id string, _ json.RawMessage) error {
	return r.accepted(a.service.Unlock(r.Context(), r.caller, id))
}

func (a *api) forceDelete(r *request, id string, _ json.RawMessage) error {
	return r.accepted(a.service.DeleteServer(r.Context(), r.caller, id))
}

func (a *api) resetState(r *request, id string, argument json.RawMessage) error {
	var body struct {
		State string `json:"state"`
	}
	if err := strict("os-resetState", argument, &body); err != nil {
		return err
	}
	if !r.caller.Admin {
		return fault.New(fault.Forbidden, "Policy doesn't allow os_compute_api:os-admin-actions:reset_state to be performed.")
	}
	state, ok := map[string]VMState{"active": Active, "error": Errored}[body.State]
	if !ok {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute state. Value: %s. It is not one of ['active', 'error']", body.State)
	}
	return r.accepted(a.service.ResetState(r.Context(), r.caller, id, state))
}

func (a *api) console(r *request, id string, argument json.RawMessage) error {
	var body struct {
		Length *integer `json:"length"`
	}
	if string(argument) != "null" {
		if err := strict("os-getConsoleOutput", argument, &body); err != nil {
			return err
		}
	}
	lines := -1
	if body.Length != nil {
		lines = int(*body.Length)
	}
	output, err := a.service.Console(r.Context(), r.caller, id, lines)
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"output": string(bytes.ToValidUTF8(output, []byte("\ufffd")))})
}

// actionForm is the form of times in the record of actions.
const actionForm = microTime

func (a *api) listActions(r *request) error {
	actions, err := a.service.Actions(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	next := ""
	if r.since(58) {
		if actions, next, err = r.pageActions(actions); err != nil {
			return err
		}
	}
	list := []object{}
	for _, action := range actions {
		list = append(list, r.action(action))
	}
	answer := object{"instanceActions": list}
	if next != "" {
		answer["links"] = r.next(next)
	}
	return r.json(http.StatusOK, answer)
}

// pageActions picks by limit, marker and time, as from 2.58 on.
func (r *request) pageActions(actions []Action) ([]Action, string, error) {
	for name, drop := range map[string]func(a Action, t time.Time) bool{
		"changes-since":  func(a Action, t time.Time) bool { return a.updated().Before(t) },
		"changes-before": func(a Action, t time.Time) bool { return a.updated().After(t) },
	} {
		text := r.URL.Query().Get(name)
		if text == "" || name == "changes-before" && !r.since(66) {
			continue
		}
		t, err := parseTime(text)
		if err != nil {
			return nil, "", fault.New(fault.BadRequest, "Invalid input for query parameters %s. Value: %s", name, text)
		}
		actions = slices.DeleteFunc(actions, func(a Action) bool { return drop(a, t) })
	}
	return page(r, actions, func(a Action) string { return a.RequestID })
}

func (a Action) updated() time.Time {
	if a.FinishedAt.IsZero() {
		return a.StartedAt
	}
	return a.FinishedAt
}

func (r *request) action(action Action) object {
	o := object{
		"action": action.Name, "instance_uuid": action.ServerID, "request_id": action.RequestID, "user_id": action.UserID,
		"project_id": action.ProjectID, "start_time": action.StartedAt.Format(actionForm), "message": nil,
	}
	if action.Failure != "" {
		o["message"] = "Error"
	}
	if r.since(58) {
		o["updated_at"] = action.updated().Format(actionForm)
	}
	return o
}

func (a *api) showAction(r *request) error {
	id, request := r.PathValue("id"), r.PathValue("request")
	actions, err := a.service.Actions(r.Context(), r.caller, id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(actions, func(a Action) bool { return a.RequestID == request })
	if i < 0 {
		return fault.New(fault.NotFound, "Action for request_id %s on instance %s not found", request, id)
	}
	view := r.action(actions[i])
	if r.caller.Admin || r.since(51) {
		view["events"] = r.events(actions[i])
	}
	return r.json(http.StatusOK, object{"instanceAction": view})
}

// events are the steps of an action: here always one.
func (r *request) events(action Action) []object {
	e := object{
		"event": "compute_" + action.Name + "_instance", "start_time": action.StartedAt.Format(actionForm),
		"finish_time": timeOrNull(action.FinishedAt, actionForm), "result": nil,
	}
	switch {
	case action.Failure != "":
		e["result"] = "Error"
	case !action.FinishedAt.IsZero():
		e["result"] = "Success"
	}
	if r.caller.Admin {
		e["traceback"] = orNull(action.Failure)
	}
	if r.since(62) {
		e["hostId"] = ""
		if r.caller.Admin {
			e["host"] = ""
		}
	}
	if r.since(84) {
		e["details"] = orNull(action.Failure)
	}
	return []object{e}
}
