package control

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"strings"

	"crossroads/proxies/identity"
)

// issueRefusal is an answer other than an SVID.
type issueRefusal struct {
	status int
	identity.IssueError
}

func (k *Control) issueHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+identity.IssuePath, func(w http.ResponseWriter, r *http.Request) {
		answer, refused := k.issue(r)
		if refused != nil {
			k.metrics.issueRefused.WithLabelValues(refused.Reason).Inc()
			k.options.Log.Warn("no SVID was issued", "client", r.RemoteAddr, "reason", refused.Reason, "detail", refused.Detail)
			if refused.status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", "Bearer") // RFC 6750 3
			}
			writeJSON(w, refused.status, refused.IssueError)
			return
		}
		k.metrics.issued.Inc()
		writeJSON(w, http.StatusOK, answer)
	})
	return mux
}

// issue checks who asks before it reads what is asked.
func (k *Control) issue(r *http.Request) (*identity.IssueResponse, *issueRefusal) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	grants := k.grants.Load()
	found := grants.find(token)
	if !strings.EqualFold(scheme, "Bearer") || len(found) == 0 {
		return nil, refuse(http.StatusUnauthorized, "unknown_token", "the bootstrap token is missing or not known here")
	}
	request, err := readRequest(r)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "malformed_request", err.Error())
	}
	if request.ID.TrustDomain() != k.domain {
		return nil, refuse(http.StatusForbidden, string(identity.WrongTrustDomain), "this control plane serves "+k.domain.IDString())
	}
	if !grants.allows(found, request.ID.String()) {
		return nil, refuse(http.StatusForbidden, "id_not_allowed", "the bootstrap token does not allow "+request.ID.String())
	}
	authority := k.authority.Load()
	chain, err := authority.Issue(request)
	if err != nil {
		return nil, refuse(http.StatusInternalServerError, "issue_failed", err.Error())
	}
	k.options.Log.Debug("issued an SVID", "id", request.ID.String(), "until", chain[0].NotAfter, "client", r.RemoteAddr)
	answer := &identity.IssueResponse{Bundle: string(authority.Bundle().PEM())}
	for _, c := range chain {
		answer.Chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return answer, nil
}

func refuse(status int, reason, detail string) *issueRefusal {
	return &issueRefusal{status, identity.IssueError{Reason: reason, Detail: detail}}
}

// readRequest reads the body as strictly as it will be signed.
func readRequest(r *http.Request) (*identity.Request, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 2*identity.MaxRequest))
	if err != nil {
		return nil, errors.New("the body is longer than a certificate request")
	}
	var asked identity.IssueRequest
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, errors.New("the body is not a JSON object with the field request")
	}
	return identity.ParseRequest([]byte(asked.Request))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // the client has gone if this fails, and nobody is left to tell
}
