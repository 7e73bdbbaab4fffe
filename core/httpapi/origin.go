package httpapi

import (
	"net/http"
	"regexp"
	"strings"
)

// hostForm is a host name or address, with or without a port.
var hostForm = regexp.MustCompile(`^[0-9A-Za-z._-]+(:\d+)?$|^\[[0-9A-Fa-f:.]+\](:\d+)?$`)

// Origin is the scheme and authority by which the client reached us, as the
// proxies in front report them (RFC 7239's Forwarded, else X-Forwarded-Proto
// and X-Forwarded-Host; of several, the one nearest to the client counts).
func Origin(r *http.Request) string {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	proto, forwarded := first(r.Header.Get("X-Forwarded-Proto")), first(r.Header.Get("X-Forwarded-Host"))
	for pair := range strings.SplitSeq(first(r.Header.Get("Forwarded")), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "proto":
			proto = value
		case "host":
			forwarded = value
		}
	}
	if proto = strings.ToLower(proto); proto == "http" || proto == "https" {
		scheme = proto
	}
	if hostForm.MatchString(forwarded) {
		host = forwarded
	}
	return scheme + "://" + host
}

func first(list string) string {
	value, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(value)
}

// Base is Origin with the prefix of the service: what links begin with.
func Base(r *http.Request) string {
	prefix, _ := r.Context().Value(prefixKey{}).(string)
	return Origin(r) + prefix
}
