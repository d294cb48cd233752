package sim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// googleError is an answer that is no success, in the shape of Google's APIs.
type googleError struct {
	code    int
	status  string // such as INVALID_ARGUMENT
	message string
	details []any
	retry   int    // seconds in Retry-After
	html    string // in place of JSON, as front ends answer
}

// refusedWith returns an error without details.
func refusedWith(code int, status, message string) *googleError {
	return &googleError{code: code, status: status, message: message}
}

// violations returns the error for a request that is wrong in these fields.
func violations(list []apiViolation) *googleError {
	var fields []any
	var texts []string
	for _, v := range list {
		fields = append(fields, dict{"field": v.field, "description": v.text})
		texts = append(texts, v.text)
	}
	e := invalid("%s", strings.Join(texts, "\n"))
	e.details = []any{dict{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": fields}}
	return e
}

// restReasons are the older words for a status that the errors list carries.
var restReasons = map[int]string{400: "badRequest", 401: "authError", 403: "forbidden", 404: "notFound", 409: "alreadyExists", 429: "rateLimitExceeded", 500: "backendError", 503: "backendError"}

func (e *googleError) write(w http.ResponseWriter) {
	if e.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retry))
	}
	if e.html != "" {
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(e.code)
		_, _ = w.Write([]byte(e.html)) // the caller may have hung up
		return
	}
	body := dict{"code": e.code, "message": e.message, "status": e.status, "errors": []any{dict{"message": e.message, "domain": "global", "reason": restReasons[e.code]}}}
	if len(e.details) > 0 {
		body["details"] = e.details
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(e.code)
	_ = json.NewEncoder(w).Encode(dict{"error": body}) // the caller may have hung up
}

// serviceDisabled is the answer of an API that the project has not switched on.
func serviceDisabled(project, service string) *googleError {
	title := map[string]string{amapiService: "Android Management API", pubsubService: "Cloud Pub/Sub API"}[service]
	e := refusedWith(http.StatusForbidden, "PERMISSION_DENIED", title+" has not been used in project "+project+" before or it is disabled. Enable it and then retry.")
	e.details = []any{dict{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "googleapis.com",
		"metadata": dict{"service": service, "consumer": "projects/" + project}}}
	return e
}
