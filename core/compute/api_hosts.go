package compute

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// routeHosts registers what there is to know of the hosts: here one.
// See https://docs.openstack.org/api-ref/compute/#hypervisors-os-hypervisors
func (a *api) routeHosts() {
	a.handle("GET /os-availability-zone", reader, a.listZones)
	a.handle("GET /os-availability-zone/detail", admin, a.listZoneDetails)
	a.handle("GET /os-hypervisors", admin, a.listHypervisors)
	a.handle("GET /os-hypervisors/detail", admin, a.listHypervisorDetails)
	a.handle("GET /os-hypervisors/statistics", admin, a.showStatistics)
	a.handle("GET /os-hypervisors/{hypervisor}", admin, a.showHypervisor)
	a.handle("GET /os-hypervisors/{hypervisor}/uptime", admin, a.showUptime)
	a.handle("GET /os-aggregates", admin, a.listAggregates)
	a.handle("GET /os-services", admin, a.listServices)
	a.handle("GET /extensions", reader, a.listExtensions)
}

// listExtensions tells old clients that nothing is optional here: what were
// extensions is part of the API, by microversion.
func (a *api) listExtensions(r *request) error {
	return r.json(http.StatusOK, object{"extensions": []object{}})
}

func (a *api) listZones(r *request) error {
	zone := object{"zoneName": Zone, "zoneState": object{"available": true}, "hosts": nil}
	return r.json(http.StatusOK, object{"availabilityZoneInfo": []object{zone}})
}

func (a *api) listZoneDetails(r *request) error {
	service := object{"active": true, "available": true, "updated_at": nil}
	zone := object{
		"zoneName": Zone, "zoneState": object{"available": true},
		"hosts": object{a.service.config.Host: object{"nova-compute": service}},
	}
	return r.json(http.StatusOK, object{"availabilityZoneInfo": []object{zone}})
}

// hypervisorID is the id of the host: a number, or, from 2.53 on, a UUID.
func (a *api) hypervisorID(r *request) any {
	if r.since(53) {
		return uuid.NewSHA1(uuid.NameSpaceDNS, []byte(a.service.config.Host)).String()
	}
	return 1
}

func (a *api) hypervisor(r *request) object {
	return object{"id": a.hypervisorID(r), "hypervisor_hostname": a.service.config.Host, "state": "up", "status": "enabled"}
}

func (a *api) listHypervisors(r *request) error {
	return r.json(http.StatusOK, object{"hypervisors": []object{a.hypervisor(r)}})
}

func (a *api) listHypervisorDetails(r *request) error {
	detail, err := a.hypervisorDetail(r)
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"hypervisors": []object{detail}})
}

// findHypervisor reports fault.NotFound unless the path names the host.
func (a *api) findHypervisor(r *request) error {
	if fmt.Sprint(a.hypervisorID(r)) != r.PathValue("hypervisor") {
		return fault.New(fault.NotFound, "Compute host %s could not be found.", r.PathValue("hypervisor"))
	}
	return nil
}

func (a *api) showHypervisor(r *request) error {
	if err := a.findHypervisor(r); err != nil {
		return err
	}
	detail, err := a.hypervisorDetail(r)
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"hypervisor": detail})
}

func (a *api) showUptime(r *request) error {
	if r.since(88) { // it stands in the hypervisor
		return errNoResource
	}
	if err := a.findHypervisor(r); err != nil {
		return err
	}
	uptime, err := hostUptime()
	if err != nil {
		return err
	}
	view := a.hypervisor(r)
	view["uptime"] = uptime
	return r.json(http.StatusOK, object{"hypervisor": view})
}

// listAggregates lists the groups of hosts: one host is in none.
func (a *api) listAggregates(r *request) error {
	return r.json(http.StatusOK, object{"aggregates": []object{}})
}

func (a *api) hypervisorDetail(r *request) (object, error) {
	detail := a.hypervisor(r)
	detail["hypervisor_type"], detail["hypervisor_version"], detail["host_ip"] = "QEMU", 0, "127.0.0.1"
	detail["service"] = object{"id": a.hypervisorID(r), "host": a.service.config.Host, "disabled_reason": nil}
	if r.since(88) {
		uptime, err := hostUptime()
		detail["uptime"] = uptime
		return detail, err
	}
	sums, err := a.statistics(r)
	if err != nil {
		return nil, err
	}
	delete(sums, "count")
	maps.Copy(detail, sums)
	detail["cpu_info"] = object{}
	if !r.since(28) {
		detail["cpu_info"] = ""
	}
	return detail, nil
}

// statistics sum up the host. What has no limit is shown as what is used.
func (a *api) statistics(r *request) (object, error) {
	used, err := a.service.HostUsage(r.Context())
	if err != nil {
		return nil, err
	}
	config := a.service.config
	vcpus, memory := max(config.VCPUs, used.Cores), max(config.MemoryMB, used.RAMMB)
	return object{
		"count": 1, "vcpus": vcpus, "vcpus_used": used.Cores, "memory_mb": memory, "memory_mb_used": used.RAMMB,
		"free_ram_mb": memory - used.RAMMB, "local_gb": config.DiskGB, "local_gb_used": 0, "free_disk_gb": config.DiskGB,
		"disk_available_least": config.DiskGB, "current_workload": 0, "running_vms": used.Instances,
	}, nil
}

func (a *api) showStatistics(r *request) error {
	if r.since(88) {
		return errNoResource
	}
	sums, err := a.statistics(r)
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"hypervisor_statistics": sums})
}

func (a *api) listServices(r *request) error {
	service := object{
		"id": a.hypervisorID(r), "binary": "nova-compute", "host": a.service.config.Host, "zone": Zone,
		"status": "enabled", "state": "up", "disabled_reason": nil, "updated_at": nil,
	}
	if r.since(11) {
		service["forced_down"] = false
	}
	return r.json(http.StatusOK, object{"services": []object{service}})
}
