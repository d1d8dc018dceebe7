//! Answers that ask for a new login: the token is refused, or the org has moved to another host.

use reqwest::StatusCode;
use serde_json::Value;
use sidedoor_domain::ports::{CrmError, CrmFault};
use url::Url;

use super::errors::{clean, org_fault_with};
use super::remedies;
use super::token::Access;

/// An answer of the REST API.
pub(super) struct ApiAnswer {
    pub(super) status: StatusCode,
    /// Where a redirect leads. It is never followed, because the token must not be sent to another host.
    pub(super) location: Option<String>,
    pub(super) text: String,
}

/// Why a request needs another login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StaleAccess {
    /// The token is refused.
    Token,
    /// The org has moved. A new login returns its new host.
    Host,
}

impl ApiAnswer {
    /// Why this answer needs another login; `None` if it does not.
    pub(super) fn stale_access(&self) -> Option<StaleAccess> {
        let code = self.first_error("errorCode");
        let code = code.as_deref();
        match self.status {
            StatusCode::UNAUTHORIZED => Some(StaleAccess::Token),
            StatusCode::FORBIDDEN if code == Some("INVALID_SESSION_ID") => Some(StaleAccess::Token),
            StatusCode::MULTIPLE_CHOICES | StatusCode::NOT_MODIFIED => None,
            status if status.is_redirection() => Some(StaleAccess::Host),
            _ if code == Some("URL_NOT_RESET") => Some(StaleAccess::Host),
            _ => None,
        }
    }

    fn first_error(&self, member: &str) -> Option<String> {
        if self.status.is_success() {
            return None;
        }
        let body: Value = serde_json::from_str(&self.text).ok()?;
        let first = body.as_array().and_then(|a| a.first()).unwrap_or(&body);
        first.get(member).and_then(Value::as_str).map(clean)
    }
}

impl StaleAccess {
    /// The error if the answer is the same after a new login.
    pub(super) fn error(self, answer: &ApiAnswer, renewed: &Access) -> CrmError {
        let said = answer
            .first_error("message")
            .map_or_else(String::new, |said| format!(": {said}"));
        match self {
            Self::Token => {
                let remedy = if renewed.lacks_api_scope() {
                    remedies::NO_API_SCOPE
                } else {
                    remedies::TOKEN_REJECTED
                };
                let message = format!("Salesforce refused a token that it had just issued{said}");
                org_fault_with(CrmFault::TokenRejected, message, remedy)
            }
            Self::Host => {
                // The host only, because a path may contain anything.
                let to = answer.location.as_deref().and_then(|to| Url::parse(to).ok());
                let to = to.and_then(|url| url.host_str().map(|host| format!(" to {}", clean(host))));
                let message = format!(
                    "the org's host answers with {}{}, and a new login returned the same host{said}",
                    answer.status,
                    to.unwrap_or_default()
                );
                org_fault_with(CrmFault::OrgMoved, message, remedies::MOVED)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, text: &str) -> Option<StaleAccess> {
        let answer = ApiAnswer {
            status: StatusCode::from_u16(status).expect("a status"),
            location: None,
            text: text.to_owned(),
        };
        answer.stale_access()
    }

    #[test]
    fn new_login_follows_refused_token_and_moved_org() {
        let error = |code: &str| format!(r#"[{{"message":"m","errorCode":"{code}"}}]"#);
        assert_eq!(of(401, ""), Some(StaleAccess::Token));
        assert_eq!(of(403, &error("INVALID_SESSION_ID")), Some(StaleAccess::Token));
        for status in [301, 302, 307, 308] {
            assert_eq!(of(status, ""), Some(StaleAccess::Host), "{status}");
        }
        assert_eq!(of(404, &error("URL_NOT_RESET")), Some(StaleAccess::Host));
        for (status, text) in [
            (200, error("URL_NOT_RESET")),
            (300, r#"["/a","/b"]"#.to_owned()),
            (403, error("REQUEST_LIMIT_EXCEEDED")),
            (404, error("NOT_FOUND")),
        ] {
            assert_eq!(of(status, &text), None, "{status} {text}");
        }
    }
}
