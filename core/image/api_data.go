package image

import (
	"net/http"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

func (h *api) upload(w http.ResponseWriter, r *http.Request) error {
	if kind := mediaType(r); kind != "application/octet-stream" {
		return fault.New(fault.Unsupported, "Image data must be sent as application/octet-stream, not %q.", kind)
	}
	if err := h.service.Upload(r.Context(), caller(r), r.PathValue("id"), r.Body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// download answers the bytes of an image, or ranges of them. An image
// without data is 204, as in Glance.
func (h *api) download(w http.ResponseWriter, r *http.Request) error {
	img, err := h.service.Get(r.Context(), caller(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	if img.Status == Deactivated && !caller(r).Admin {
		return fault.New(fault.Forbidden, "The requested image has been deactivated. Image data download is forbidden.")
	}
	if img.Data == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	file, err := h.service.open(img.ID)
	if err != nil {
		return err
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Etag", `"`+img.Data.Checksum+`"`) // for resuming by If-Range
	if r.Header.Get("Range") == "" {
		w.Header().Set("Content-MD5", img.Data.Checksum) // in hex, as Glance has it
	}
	http.ServeContent(w, r, "", time.Time{}, file)
	return nil
}
