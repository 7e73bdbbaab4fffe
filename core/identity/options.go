package identity

import (
	"maps"
	"slices"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Options are exceptions from the rules that an administrator made for one
// user, project, domain or role, see
// https://docs.openstack.org/keystone/zed/admin/resource-options.html.
type Options map[string]any

// The options that change what the service does.
const (
	immutable       = "immutable"                       // of projects, domains and roles
	lockPassword    = "lock_password"                   // the user cannot change the password
	ignoreLockout   = "ignore_lockout_failure_attempts" // wrong passwords do not lock the account
	mfaEnabled      = "multi_factor_auth_enabled"
	mfaRules        = "multi_factor_auth_rules" // sets of methods, one of which must be used whole
	optionIsFlag    = "boolean"
	optionIsMethods = "array of arrays of strings"
)

// resourceOptions are those of projects, domains and roles.
var resourceOptions = map[string]string{immutable: optionIsFlag}

// userOptions are those of users. What some of them make exceptions from,
// passwords that expire and accounts that go stale, does not exist here.
var userOptions = map[string]string{
	lockPassword: optionIsFlag, ignoreLockout: optionIsFlag, mfaEnabled: optionIsFlag, mfaRules: optionIsMethods,
	"ignore_change_password_upon_first_use": optionIsFlag,
	"ignore_password_expiry":                optionIsFlag,
	"ignore_user_inactivity":                optionIsFlag,
}

// is reports whether a flag is set.
func (o Options) is(name string) bool {
	set, _ := o[name].(bool)
	return set
}

// merge returns o with changes applied, of which null removes an option.
func (o Options) merge(changes map[string]any, known map[string]string) (Options, error) {
	merged := maps.Clone(o)
	if merged == nil {
		merged = Options{}
	}
	for name, value := range changes {
		form, ok := known[name]
		switch {
		case !ok:
			return nil, fault.New(fault.BadRequest, "Invalid input for field 'options': there is no option '%s'.", name)
		case value == nil:
			delete(merged, name)
		case !hasForm(value, form):
			return nil, fault.New(fault.BadRequest, "Invalid input for field 'options': %s is not of type '%s'.", name, form)
		default:
			merged[name] = value
		}
	}
	return merged, nil
}

func hasForm(value any, form string) bool {
	if form == optionIsFlag {
		_, ok := value.(bool)
		return ok
	}
	rules, ok := value.([]any)
	return ok && !slices.ContainsFunc(rules, func(rule any) bool { return methodsOf(rule) == nil })
}

// methodsOf reads one rule of mfaRules, or reports nil.
func methodsOf(rule any) []string {
	list, ok := rule.([]any)
	if !ok {
		return nil
	}
	methods := make([]string, 0, len(list))
	for _, one := range list {
		method, ok := one.(string)
		if !ok {
			return nil
		}
		methods = append(methods, method)
	}
	return methods
}

// allows reports whether a user may log in by the methods. A token counts for
// all methods: they were used when its first ancestor was issued.
func (o Options) allows(methods []string) bool {
	rules, _ := o[mfaRules].([]any)
	if !o.is(mfaEnabled) || len(rules) == 0 || slices.Contains(methods, "token") {
		return true
	}
	return slices.ContainsFunc(rules, func(rule any) bool {
		return !slices.ContainsFunc(methodsOf(rule), func(method string) bool { return !slices.Contains(methods, method) })
	})
}

// checkUpdate refuses to change what is immutable and stays so.
func checkUpdate(kind, id string, before, after Options) error {
	if before.is(immutable) && after.is(immutable) {
		return fault.New(fault.Forbidden,
			"Unable to update immutable %s resource: `%s`. Set resource option \"immutable\" to false first.", kind, id)
	}
	return nil
}

func checkDelete(kind, id string, o Options) error {
	if o.is(immutable) {
		return fault.New(fault.Forbidden,
			"Unable to delete immutable %s resource: `%s`. Set resource option \"immutable\" to false first.", kind, id)
	}
	return nil
}
