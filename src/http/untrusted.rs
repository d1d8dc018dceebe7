//! What strangers' bytes meet first: the readers of bodies and queries, as fuzz targets and tests reach them, without a
//! service around them. Nothing here is called by the service.

use axum::http::HeaderMap;

use super::auth::tokens;
use super::body::{self, Reader};
use super::problem::Problem;
use super::v1::supervisions::{acknowledge, change_mode, disconnect, list, start};
use super::v1::supervisors::{self, directives};
use super::v1::{events, vendors};
use sidedoor_domain::authority::{Caller, Scope};
use sidedoor_domain::ids::UserId;

/// Reads `bytes` as the body of every operation that takes one. What each said: nothing if it would take it.
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

/// Reads `bytes` as a token and as an issuer's keys: whose name the audit would be given, were it signed, and how many keys.
pub fn token(bytes: &[u8]) -> (Option<String>, usize) {
    (tokens::unproven(bytes), tokens::keys_in(bytes))
}

/// Reads `raw` as the query of the operations that take most parameters, and as the header that resumes a stream.
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
