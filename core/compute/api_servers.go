package compute

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// routeServers registers servers.
// See https://docs.openstack.org/api-ref/compute/#servers-servers
func (a *api) routeServers() {
	a.handle("GET /servers", reader, a.listServers)
	a.handle("GET /servers/detail", reader, a.listServerDetails)
	a.handle("POST /servers", writer, a.createServer)
	a.handle("GET /servers/{id}", reader, a.showServer)
	a.handle("PUT /servers/{id}", writer, a.updateServer)
	a.handle("DELETE /servers/{id}", writer, a.deleteServer)
}

func (a *api) listServers(r *request) error {
	servers, answer, err := a.pickServers(r)
	if err != nil {
		return err
	}
	views := make([]object, len(servers))
	for i, s := range servers {
		views[i] = object{"id": s.ID, "name": s.Name, "links": r.links("/servers/" + s.ID)}
	}
	answer["servers"] = views
	return r.json(http.StatusOK, answer)
}

func (a *api) listServerDetails(r *request) error {
	servers, answer, err := a.pickServers(r)
	if err != nil {
		return err
	}
	attachments, err := a.service.AttachmentsOf(r.Context(), servers)
	if err != nil {
		return err
	}
	views := make([]object, len(servers))
	for i, s := range servers {
		views[i] = r.server(s, attachments[s.ID], inList)
	}
	answer["servers"] = views
	return r.json(http.StatusOK, answer)
}

// pickServers are the servers that the query picks, and the answer with the
// link to the next page, if there is one.
func (a *api) pickServers(r *request) ([]Server, object, error) {
	filter, err := r.serverFilter()
	if err != nil {
		return nil, nil, err
	}
	servers, more, err := a.service.Servers(r.Context(), filter)
	if err != nil {
		return nil, nil, err
	}
	answer := object{}
	if more && len(servers) > 0 {
		answer["servers_links"] = r.next(servers[len(servers)-1].ID)
	}
	return servers, answer, nil
}

// statusForms are the filter's words for states; Nova knows more, in which no
// server here ever is.
var statusForms = regexp.MustCompile(`^(?i:ACTIVE|BUILD|ERROR|REBOOT|HARD_REBOOT|SHUTOFF)$`)

func (r *request) serverFilter() (ServerFilter, error) {
	query := r.URL.Query()
	f := ServerFilter{
		ProjectID: r.caller.ProjectID, ImageID: lastPart(query.Get("image")), FlavorID: lastPart(query.Get("flavor")),
		KeyName: query.Get("key_name"), ReservationID: query.Get("reservation_id"),
		SortKey: query.Get("sort_key"), Ascending: query.Get("sort_dir") == "asc", Marker: query.Get("marker"),
	}
	if err := r.scope(&f, query); err != nil {
		return f, err
	}
	limit, err := httpapi.Limit(r.Request, maxLimit)
	if err != nil {
		return f, err
	}
	f.Limit, f.None = limit, limit == 0
	for name, re := range map[string]**regexp.Regexp{"name": &f.Name, "ip": &f.IP} {
		if text := query.Get(name); text != "" {
			if *re, err = regexp.Compile(text); err != nil {
				return f, fault.New(fault.BadRequest, "Invalid filter %s: it is not a regular expression: %s", name, text)
			}
		}
	}
	for name, at := range map[string]*time.Time{"changes-since": &f.ChangedSince, "changes-before": &f.ChangedBefore} {
		if text := query.Get(name); text != "" && (name == "changes-since" || r.since(66)) {
			if *at, err = parseTime(text); err != nil {
				return f, fault.New(fault.BadRequest, "Invalid input for query parameters %s. Value: %s. It is not a 'date-time'", name, text)
			}
		}
	}
	return f, r.stateFilter(&f, query)
}

// scope reads whose servers are asked for; all is for administrators.
func (r *request) scope(f *ServerFilter, query url.Values) error {
	all, isBool := parseBool(query.Get("all_tenants"))
	if query.Has("all_tenants") && (query.Get("all_tenants") == "" || all) {
		if !r.caller.Admin {
			return fault.New(fault.Forbidden, "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.")
		}
		f.ProjectID = ""
	} else if query.Has("all_tenants") && !isBool {
		return fault.New(fault.BadRequest, "Invalid value '%s' for all_tenants", query.Get("all_tenants"))
	}
	if r.caller.Admin {
		f.Host, f.UserID = query.Get("host"), query.Get("user_id")
		for _, name := range []string{"tenant_id", "project_id"} {
			if query.Get(name) != "" && f.ProjectID == "" {
				f.ProjectID = query.Get(name)
			}
		}
	}
	return nil
}

func (r *request) stateFilter(f *ServerFilter, query url.Values) error {
	for _, status := range query["status"] {
		if !statusForms.MatchString(status) && r.since(38) {
			return fault.New(fault.BadRequest, "Invalid status value: %s", status)
		}
		f.Statuses = append(f.Statuses, strings.ToUpper(status))
	}
	if tags := query.Get("tags"); tags != "" && r.since(26) {
		f.Tags = strings.Split(tags, ",")
	}
	if text := query.Get("locked"); text != "" && r.since(73) {
		locked, ok := parseBool(text)
		if !ok {
			return fault.New(fault.BadRequest, "Invalid value '%s' for locked", text)
		}
		f.Locked = &locked
	}
	deleted, _ := parseBool(query.Get("deleted"))
	f.None = f.None || deleted && r.caller.Admin // what is deleted is forgotten
	return nil
}

// lastPart is the id in a reference, which may be a URL.
func lastPart(reference string) string { return reference[strings.LastIndex(reference, "/")+1:] }

func parseTime(text string) (t time.Time, err error) {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err = time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return t, err
}

func (a *api) showServer(r *request) error {
	s, err := a.service.Server(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return a.answerServer(r, s, alone)
}

// answerServer answers with one server.
func (a *api) answerServer(r *request, s Server, view serverView) error {
	attachments, err := a.service.AttachmentsOf(r.Context(), []Server{s})
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"server": r.server(s, attachments[s.ID], view)})
}

func (a *api) deleteServer(r *request) error {
	if err := a.service.DeleteServer(r.Context(), r.caller, r.PathValue("id")); err != nil {
		return err
	}
	return r.empty(http.StatusNoContent)
}

// updateBody is what may be changed of a server; what is absent stays.
type updateBody struct {
	Name        *string `json:"name"`
	AccessIPv4  *string `json:"accessIPv4"`
	AccessIPv6  *string `json:"accessIPv6"`
	DiskConfig  *string `json:"OS-DCF:diskConfig"`
	Description *string `json:"description"` // since 2.19
	Hostname    *string `json:"hostname"`    // since 2.90
}

func (a *api) updateServer(r *request) error {
	var body updateBody
	if err := r.body("server", &body); err != nil {
		return err
	}
	if err := body.check(r); err != nil {
		return err
	}
	s, err := a.service.ChangeServer(r.Context(), r.caller, r.PathValue("id"), func(s *Server) error {
		for from, to := range map[*string]*string{
			body.Name: &s.Name, body.AccessIPv4: &s.AccessIPv4, body.AccessIPv6: &s.AccessIPv6,
			body.DiskConfig: &s.DiskConfig, body.Description: &s.Description, body.Hostname: &s.Hostname,
		} {
			if from != nil {
				*to = *from
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.answerServer(r, s, onUpdate)
}

func (b updateBody) check(r *request) error {
	if b.Name != nil {
		if err := checkName("name", *b.Name); err != nil {
			return err
		}
		*b.Name = strings.TrimSpace(*b.Name)
	}
	if b.DiskConfig != nil && *b.DiskConfig != "AUTO" && *b.DiskConfig != "MANUAL" {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute OS-DCF:diskConfig. Value: %s", *b.DiskConfig)
	}
	if err := r.checkSince("description", b.Description != nil, 19); err != nil {
		return err
	}
	if err := r.checkSince("hostname", b.Hostname != nil, 90); err != nil {
		return err
	}
	if b.Hostname != nil && !hostnameForm.MatchString(*b.Hostname) {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute hostname. Value: %s", *b.Hostname)
	}
	return checkAddresses(b.AccessIPv4, b.AccessIPv6)
}

// checkSince refuses a member of the body before its microversion.
func (r *request) checkSince(name string, given bool, minor int) error {
	if given && !r.since(minor) {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute server. Additional properties are not allowed ('%s' was unexpected)", name)
	}
	return nil
}

// checkAddresses checks the addresses by which a server is said to be reached.
func checkAddresses(v4, v6 *string) error {
	check := func(name string, text *string, ok func(netip.Addr) bool) error {
		if text == nil || *text == "" {
			return nil
		}
		if address, err := netip.ParseAddr(*text); err != nil || !ok(address) {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute %s. Value: %s.", name, *text)
		}
		return nil
	}
	if err := check("accessIPv4", v4, netip.Addr.Is4); err != nil {
		return err
	}
	return check("accessIPv6", v6, netip.Addr.Is6)
}
