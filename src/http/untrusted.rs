//! Entry points for fuzz targets and tests: the parsers of untrusted input, without a running service. The service does not call
//! them.

use axum::http::HeaderMap;
use sidedoor_domain::authority::{Caller, Scope};
use sidedoor_domain::ids::UserId;

use super::auth::tokens;
use super::body::{self, Reader};
use super::problem::Problem;
use super::v1::supervisions::{acknowledge, change_mode, disconnect, list, start};
use super::v1::supervisors::{self, directives};
use super::v1::{events, vendors};

/// Parses `bytes` as the body of every operation that has one. Returns the problem of each, or nothing if it accepts the body.
pub fn bodies(bytes: &[u8]) -> Vec<Option<Problem>> {
    let parsed = body::parse(bytes);
    let caller = Caller::new("nobody", vec![Scope::SuperviseAny]);
    let of_value = |read: fn(&serde_json::Value) -> Result<(), Problem>| match &parsed {
        Ok(value) => read(value).err(),
        Err(problem) => Some(problem.clone()),
    };
    vec![
        start::read(bytes, &caller).err(),
        disconnect::read(bytes).err(),
        supervisors::disconnect::read(bytes).err(),
        change_mode::read(bytes).err(),
        acknowledge::read(bytes).err(),
        of_value(|value| events::partners::read(value).map(drop)),
        of_value(|value| vendors::probe::read(value).map(drop)),
        of_value(|value| Reader::new(value, "")?.finish()),
    ]
}

/// Parses `bytes` as a token and as an issuer's keys. Returns the caller's name that the audit would get if the token were signed,
/// and the number of keys.
pub fn token(bytes: &[u8]) -> (Option<String>, usize) {
    (tokens::unproven(bytes), tokens::keys_in(bytes))
}

/// Parses `raw` as the query of the two operations with the most parameters (list supervisions, get directives), and as the
/// header `Last-Event-ID`.
pub fn queries(raw: &str) -> Vec<Option<Problem>> {
    let mut headers = HeaderMap::new();
    let mut said = vec![list::read(Some(raw)).err()];
    if let Ok(user) = UserId::parse("u") {
        said.push(directives::read(Some(raw), &headers, user.clone(), false).err());
        if let Ok(value) = raw.parse() {
            headers.insert("last-event-id", value);
            said.push(directives::read(None, &headers, user, true).err());
        }
    }
    said
}
