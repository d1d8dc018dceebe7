//! The fake Salesforce.
//!
//! | module | holds |
//! |---|---|
//! | [`login`] | `/services/oauth2/token`: client credentials and JWT bearer |
//! | [`objects`] | objects and their fields |
//! | [`org`] | the records, and the rules for writing them |
//! | [`rest_api`] | the REST API: describe, upsert by external id, collections, query, limits, errors |
//! | [`soql`] | the part of SOQL that Sidedoor and tests use |
//! | [`platform_events`] | publishing of Platform Events |
//! | [`calls_in_flight`] | calls that write the same record at the same time |
//! | [`control_api`] | the `/_fake` API |

mod calls_in_flight;
mod control_api;
mod login;
mod objects;
mod org;
mod platform_events;
mod rest_api;
mod soql;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
pub use objects::{Field, Object};
use org::Org;
pub use org::Written;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::control;
use super::faults::Fault;

/// Settings of the fake Salesforce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SalesforceSettings {
    /// The only accepted consumer key.
    pub client_id: String,
    /// The consumer secret.
    pub client_secret: String,
    /// Public key (PEM) that verifies JWT assertions. Without it only their claims are checked.
    pub jwt_public_key: Option<String>,
    /// API calls since the start; further calls answer 403 REQUEST_LIMIT_EXCEEDED.
    pub daily_limit: u64,
    /// A lookup field must hold the id of an existing record; otherwise the write gets INVALID_CROSS_REFERENCE_KEY.
    pub strict_lookups: bool,
}

impl Default for SalesforceSettings {
    fn default() -> Self {
        Self {
            client_id: "fake-client-id".into(),
            client_secret: "fake-client-secret".into(),
            jwt_public_key: None,
            daily_limit: 100_000,
            strict_lookups: false,
        }
    }
}

/// Controls the fake Salesforce from the same process. Clones share one org.
#[derive(Clone)]
pub struct SalesforceFake {
    org: Arc<Mutex<Org>>,
    url: Arc<str>,
}

impl SalesforceFake {
    pub(super) fn new(settings: SalesforceSettings, url: String) -> Self {
        Self {
            org: Arc::new(Mutex::new(Org::new(settings))),
            url: url.into(),
        }
    }

    fn org(&self) -> MutexGuard<'_, Org> {
        self.org.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fake's own URL, which a login answers as `instance_url`.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// All records of an object.
    pub fn rows(&self, object: &str) -> Vec<Map<String, Value>> {
        self.org().rows(object)
    }

    /// The accepted writes, oldest first.
    pub fn written(&self) -> Vec<Written> {
        self.org().written()
    }

    /// The published Platform Events, oldest first: the event object's name and the fields.
    pub fn events(&self) -> Vec<(String, Map<String, Value>)> {
        self.org().events.iter().cloned().collect()
    }

    /// Number of SOQL queries of an object.
    pub fn asked(&self, object: &str) -> usize {
        let of = format!(" FROM {object} ");
        self.org().queries.iter().filter(|soql| soql.contains(&of)).count()
    }

    /// Number of API calls so far. A login does not count.
    pub fn api_calls(&self) -> u64 {
        self.org().calls
    }

    /// The W3C `traceparent` headers of the API calls that had one, oldest first.
    pub fn trace_parents(&self) -> Vec<String> {
        self.org().trace_parents.iter().cloned().collect()
    }

    /// Number of logins so far, rejected ones included.
    pub fn logins(&self) -> u64 {
        self.org().logins
    }

    /// Ends every session, so that the next call of each answers 401 INVALID_SESSION_ID.
    pub fn revoke_tokens(&self) {
        self.org().tokens.clear();
    }

    /// Adds a scripted fault.
    pub fn fault(&self, fault: Fault) {
        self.org().faults.add(fault);
    }

    /// The scripted faults that have not happened yet.
    pub fn faults(&self) -> Vec<Fault> {
        self.org().faults.pending()
    }

    /// Removes the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.org().faults.clear();
    }

    /// Changes the settings; the next call sees them.
    pub fn change(&self, how: impl FnOnce(&mut SalesforceSettings)) {
        how(&mut self.org().settings);
    }

    /// Adds a record without any check, or replaces the record with the same `Id`. Returns its id.
    pub fn put_row(&self, object: &str, row: Map<String, Value>) -> String {
        self.org().put_row(object, row)
    }

    /// Adds an object, or replaces the one with the same name.
    pub fn put_object(&self, object: Object) {
        self.org().put_object(object);
    }

    /// Removes an object; its records are kept.
    pub fn remove_object(&self, name: &str) {
        self.org().remove_object(name);
    }
}

/// The vendor's API and the control API.
pub(crate) fn router(fake: SalesforceFake) -> Router {
    login::router(fake.clone())
        .merge(rest_api::router(fake.clone()))
        .merge(control::router(control_api::routes(), fake))
}

/// Method and path of every route of the control API.
pub fn control_routes() -> Vec<(&'static str, &'static str)> {
    control_api::routes()
        .iter()
        .map(|route| (route.method, route.path))
        .collect()
}
