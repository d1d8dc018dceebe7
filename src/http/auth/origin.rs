//! Where a request came from, for the audit, and which answers are refusals by authority.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use sidedoor_domain::audit::RequestOrigin;
use sidedoor_domain::authority::Caller;

use crate::http::AppState;
use crate::http::middleware::{RequestIds, current_request_ids};
use crate::http::problem_code::ProblemCode;
use crate::http::serve::Peer;
use crate::usecases::auditing::RefusedRequest;

/// Where a request came from.
#[derive(Debug, Clone)]
pub(in crate::http) struct Origin(pub(in crate::http) Arc<RequestOrigin>);

impl Origin {
    pub(super) fn of(request: &Request, peer: Option<Peer>) -> Self {
        let path = request.extensions().get::<MatchedPath>();
        let ids = request.extensions().get::<RequestIds>();
        Self(Arc::new(RequestOrigin {
            client_request_id: ids.and_then(|ids| ids.clients.clone()),
            credential: None,
            peer: peer.map(|peer| peer.network().to_string()),
            // The template and not the path, because a path may hold anything.
            route: path.map(|path| format!("{} {}", request.method(), path.as_str())),
        }))
    }

    /// Names the credential of the caller. An issuer's tokens and a key have different names already; see [`Caller::name`].
    pub(super) fn set_credential(&mut self, caller: &Caller) {
        let credential = match (caller.name.split_once('#'), caller.name.strip_suffix(TICKET)) {
            (Some((issuer, _)), _) => format!("token of {issuer}"),
            (None, Some(holder)) => format!("ticket of {holder}"),
            (None, None) => format!("key {}", caller.name),
        };
        Arc::make_mut(&mut self.0).credential = Some(credential);
    }

    /// Notes for the audit that a request was refused because of who sent it.
    pub(super) fn note_refusal(&self, app: &AppState, caller: Option<&str>, response: &Response) {
        let code = response.extensions().get::<ProblemCode>();
        let Some(code) = code.filter(|code| is_refusal(**code, caller.is_some())) else {
            return;
        };
        app.usecases.auditing.note_refused(RefusedRequest {
            caller,
            request_id: current_request_ids().map(|ids| ids.ours),
            origin: &self.0,
            code: code.as_str(),
        });
    }
}

/// What the names of tickets' callers end with.
const TICKET: &str = " (ticket)";

/// Whether the answer means that the caller may not do this. A caller's own rate limit says nothing about its rights, but that of failed
/// credentials does.
fn is_refusal(code: ProblemCode, is_authenticated: bool) -> bool {
    match code {
        ProblemCode::CredentialInvalid | ProblemCode::ActionForbidden | ProblemCode::SupervisorLinkInvalid => true,
        ProblemCode::RateLimitReached => !is_authenticated,
        _ => false,
    }
}
