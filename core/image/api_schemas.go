package image

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// The JSON schemas that clients fetch to learn which attributes an image has.
var (
	//go:embed schemas/image.json
	imageSchema []byte
	//go:embed schemas/member.json
	memberSchema []byte
)

func (h *api) schema(w http.ResponseWriter, r *http.Request) error {
	switch name := r.PathValue("name"); name {
	case "image":
		return httpapi.WriteJSON(w, http.StatusOK, json.RawMessage(imageSchema))
	case "images":
		return httpapi.WriteJSON(w, http.StatusOK, collection(name, imageSchema, []map[string]string{
			{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, {"rel": "describedby", "href": "{schema}"},
		}))
	case "member":
		return httpapi.WriteJSON(w, http.StatusOK, json.RawMessage(memberSchema))
	case "members":
		return httpapi.WriteJSON(w, http.StatusOK, collection(name, memberSchema, []map[string]string{
			{"rel": "describedby", "href": "{schema}"},
		}))
	default:
		return fault.New(fault.NotFound, "The resource could not be found.")
	}
}

// collection is the schema of a list of what item is the schema of.
func collection(name string, item json.RawMessage, links []map[string]string) map[string]any {
	properties := map[string]any{
		name:     map[string]any{"type": "array", "items": item},
		"schema": map[string]string{"type": "string"},
	}
	if name == "images" {
		properties["first"], properties["next"] = map[string]string{"type": "string"}, map[string]string{"type": "string"}
	}
	return map[string]any{"name": name, "properties": properties, "links": links}
}

// importMethods says that there is no other way to bring data in than
// uploading it.
func (h *api) importMethods(w http.ResponseWriter, _ *http.Request) error {
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"import-methods": map[string]any{
		"description": "Import methods available.", "type": "array", "value": []string{},
	}})
}
