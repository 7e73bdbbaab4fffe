package identity

import (
	"net/http"
	"slices"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) tagRoutes() {
	a.handle("GET /v3/projects/{project}/tags", "list_project_tags", inProject, func(w http.ResponseWriter, r *http.Request) error {
		p, err := a.s.Project(r.Context(), r.PathValue("project"))
		if err != nil {
			return err
		}
		return writeTags(w, r, p)
	})
	a.handle("PUT /v3/projects/{project}/tags", "update_project_tags", admin, a.replaceTags)
	a.handle("DELETE /v3/projects/{project}/tags", "delete_project_tags", admin, func(w http.ResponseWriter, r *http.Request) error {
		_, err := a.editTags(r, func([]string) ([]string, error) { return nil, nil })
		return noContent(w, err)
	})
	a.handle("GET /v3/projects/{project}/tags/{tag}", "get_project_tag", inProject, a.checkTag)
	a.handle("PUT /v3/projects/{project}/tags/{tag}", "create_project_tag", admin, a.addTag)
	a.handle("DELETE /v3/projects/{project}/tags/{tag}", "delete_project_tag", admin, a.removeTag)
}

func writeTags(w http.ResponseWriter, r *http.Request, p Project) error {
	return httpapi.WriteJSON(w, http.StatusOK, object{"tags": tags(p), "links": selfLink(r, "/projects/"+p.ID+"/tags")})
}

func noTag(tag string) error { return notFoundNamed("project tag", tag) }

func (a *api) editTags(r *http.Request, edit func([]string) ([]string, error)) (Project, error) {
	return a.s.UpdateProject(r.Context(), r.PathValue("project"), func(p *Project) (err error) {
		p.Tags, err = edit(p.Tags)
		return err
	})
}

func (a *api) replaceTags(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Tags *[]string `json:"tags"`
	}
	if err := httpapi.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body.Tags == nil {
		return fault.New(fault.BadRequest, "'tags' is a required property")
	}
	p, err := a.editTags(r, func([]string) ([]string, error) {
		slices.Sort(*body.Tags)
		return slices.Compact(*body.Tags), nil
	})
	if err != nil {
		return err
	}
	return writeTags(w, r, p)
}

func (a *api) checkTag(w http.ResponseWriter, r *http.Request) error {
	p, err := a.s.Project(r.Context(), r.PathValue("project"))
	if err != nil {
		return err
	}
	if tag := r.PathValue("tag"); !slices.Contains(p.Tags, tag) {
		return noTag(tag)
	}
	return noContent(w, nil)
}

func (a *api) addTag(w http.ResponseWriter, r *http.Request) error {
	tag := r.PathValue("tag")
	_, err := a.editTags(r, func(tags []string) ([]string, error) {
		if slices.Contains(tags, tag) {
			return tags, nil
		}
		return append(tags, tag), nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (a *api) removeTag(w http.ResponseWriter, r *http.Request) error {
	tag := r.PathValue("tag")
	_, err := a.editTags(r, func(tags []string) ([]string, error) {
		at := slices.Index(tags, tag)
		if at < 0 {
			return nil, noTag(tag)
		}
		return slices.Delete(tags, at, at+1), nil
	})
	return noContent(w, err)
}
