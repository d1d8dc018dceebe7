//! What the head of a request must say about where it is for and where it comes from: one Host, one credential, and without
//! authentication nothing but this machine.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::problem::Problem;
use super::problem_code::ProblemCode;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request whose head is ambiguous. Without authentication, also one that names another host than this machine, because a
/// page of the web may have its name point to 127.0.0.1, and one that a page of another host sends.
pub(super) async fn check(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match checked(&request, app.credentials.anybody()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn checked(request: &Request, open: bool) -> Result<(), Problem> {
    let headers = request.headers();
    let host = host(request)?;
    for name in [AUTHORIZATION, API_KEY] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            let detail = format!("Send the header {name} only once.");
            return Err(Problem::new(ProblemCode::CredentialAmbiguous, detail));
        }
    }
    if open {
        only_local(host.as_ref(), headers)
    } else {
        Ok(())
    }
}

/// The host that a request is for. HTTP/1.0 has no Host header, so there it may be missing.
fn host(request: &Request) -> Result<Option<Authority>, Problem> {
    let bad = |detail: &str| Problem::new(ProblemCode::HostInvalid, detail);
    let mut given = request.headers().get_all(HOST).iter();
    let host = match (given.next(), given.next()) {
        (None, _) if request.version() == Version::HTTP_10 => return Ok(request.uri().authority().cloned()),
        (None, _) => return Err(bad("Send the header Host.")),
        (Some(_), Some(_)) => return Err(bad("Send the header Host only once.")),
        (Some(host), None) => authority(host).ok_or_else(|| bad("The header Host must be a host name and a port."))?,
    };
    let target = request.uri().authority();
    if target.is_some_and(|target| !target.as_str().eq_ignore_ascii_case(host.as_str())) {
        return Err(bad("The header Host names another host than the URL."));
    }
    Ok(Some(host))
}

fn authority(host: &HeaderValue) -> Option<Authority> {
    let authority: Authority = host.to_str().ok()?.parse().ok()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    let has_good_port = port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok());
    // A user before the host makes the text longer at the front, so that no port is found.
    (has_good_port && !authority.host().is_empty()).then_some(authority)
}

/// Whether a host is this machine: `localhost`, or an address of the loopback interface.
fn is_local(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(host).parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|a| a.to_canonical().is_loopback())
}

fn only_local(host: Option<&Authority>, headers: &HeaderMap) -> Result<(), Problem> {
    if !host.is_some_and(|host| is_local(host.host())) {
        let detail = "Authentication is disabled, so requests must be for localhost, 127.0.0.1 or [::1].";
        return Err(Problem::new(ProblemCode::HostForbidden, detail));
    }
    let local = |origin: &HeaderValue| {
        let url = origin.to_str().ok().and_then(|text| url::Url::parse(text).ok());
        url.is_some_and(|url| url.host_str().is_some_and(is_local))
    };
    // A browser sends no Origin with some requests, such as that of an image, but says that another site caused them.
    let from_elsewhere = headers.get_all(SEC_FETCH_SITE).iter().any(|site| site == "cross-site");
    if from_elsewhere || !headers.get_all(ORIGIN).iter().all(local) {
        let detail = "Authentication is disabled, so only pages of this machine may send requests.";
        return Err(Problem::new(ProblemCode::OriginForbidden, detail));
    }
    Ok(())
}
