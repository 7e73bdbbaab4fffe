package httpapi

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Microversion is a version of an API, e.g. {2, 93}.
// See https://specs.openstack.org/openstack/api-sig/guidelines/microversion_specification.html
type Microversion struct{ Major, Minor int }

func (v Microversion) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// AtLeast reports whether v is 2.minor or newer, within its major version.
func (v Microversion) AtLeast(minor int) bool { return v.Minor >= minor }

var microversionForm = regexp.MustCompile(`^([1-9]\d{0,3})\.(0|[1-9]\d{0,3})$`)

// Negotiate picks the microversion that r asks of service (its type in the
// catalog) by "OpenStack-API-Version: SERVICE X.Y", else by the legacy header,
// if the service has one. Without either it is lowest; "latest" is highest.
// Nothing else than lowest to highest is fault.NotAcceptable; what is no
// version, fault.BadRequest. The chosen version is set in the answer's
// headers, together with Vary.
func Negotiate(w http.ResponseWriter, r *http.Request, service, legacy string, lowest, highest Microversion) (Microversion, error) {
	asked := ""
	for entry := range strings.SplitSeq(strings.Join(r.Header.Values("OpenStack-API-Version"), ","), ",") {
		name, version, ok := strings.Cut(strings.TrimSpace(entry), " ")
		if ok && name == service {
			asked = strings.TrimSpace(version)
		}
	}
	if asked == "" && legacy != "" {
		asked = r.Header.Get(legacy)
	}
	version, err := lowest, error(nil)
	switch asked {
	case "":
	case "latest":
		version = highest
	default:
		version, err = parse(asked)
	}
	if err != nil {
		return lowest, err
	}
	w.Header().Set("OpenStack-API-Version", service+" "+version.String())
	w.Header().Add("Vary", "OpenStack-API-Version")
	if legacy != "" {
		w.Header().Set(legacy, version.String())
		w.Header().Add("Vary", legacy)
	}
	if version.Major != lowest.Major || version.Minor < lowest.Minor || version.Minor > highest.Minor {
		return lowest, fault.New(fault.NotAcceptable,
			"Version %s is not supported by the API. Minimum is %s and maximum is %s.", version, lowest, highest)
	}
	return version, nil
}

func parse(text string) (Microversion, error) {
	match := microversionForm.FindStringSubmatch(text)
	if match == nil {
		return Microversion{}, fault.New(fault.BadRequest,
			"API Version String %s is of invalid format. Must be of format MajorNum.MinorNum.", text)
	}
	major, _ := strconv.Atoi(match[1]) // the form leaves no other outcome
	minor, _ := strconv.Atoi(match[2])
	return Microversion{major, minor}, nil
}
