//! Fake Salesforce: both grants, describe, upsert by external id, collections, a little SOQL, limits, and the error table.
//!
//! | file | story |
//! |---|---|
//! | [`login`] | `/services/oauth2/token`: client credentials and JWT bearer |
//! | [`objects`] | objects and their fields |
//! | [`org`] | rows, and the rules for writing them |
//! | [`rest`] | the REST API's paths and shapes |
//! | [`soql`] | as much SOQL as a test reads back with |
//! | [`events`] | Platform Events |
//! | [`admin`] | the `/_fake` API |

pub mod admin;
mod events;
mod login;
mod objects;
pub mod org;
mod rest;
mod soql;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use objects::{Field, Object};
pub use org::{Org, Written};

use super::faults::Fault;

/// How fake Salesforce behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SalesforceSettings {
    /// The consumer key it knows.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// PEM of the public key that JWT assertions are verified with; none: the claims alone are checked.
    pub jwt_public_key: Option<String>,
    /// API calls a day; beyond them REQUEST_LIMIT_EXCEEDED.
    pub daily_limit: u64,
    /// Lookups must point at a row that is there.
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

/// Fake Salesforce's handle. Cheap to clone.
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

    pub(super) fn org(&self) -> MutexGuard<'_, Org> {
        self.org.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its own URL, as `instance_url` tells it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// All rows of an object.
    pub fn rows(&self, object: &str) -> Vec<Map<String, Value>> {
        self.org().rows(object)
    }

    /// Every accepted write, oldest first.
    pub fn written(&self) -> Vec<Written> {
        self.org().written()
    }

    /// The Platform Events published, oldest first: each its object and its fields.
    pub fn events(&self) -> Vec<(String, Map<String, Value>)> {
        self.org().events.iter().cloned().collect()
    }

    /// How many queries were made of an object.
    pub fn asked(&self, object: &str) -> usize {
        let of = format!(" FROM {object} ");
        self.org().queries.iter().filter(|soql| soql.contains(&of)).count()
    }

    /// API calls so far (logins are none).
    pub fn api_calls(&self) -> u64 {
        self.org().calls
    }

    /// Logins so far.
    pub fn logins(&self) -> u64 {
        self.org().logins
    }

    /// Ends every session: the next call answers 401 INVALID_SESSION_ID.
    pub fn revoke_tokens(&self) {
        self.org().tokens.clear();
    }

    /// Scripts a fault.
    pub fn fault(&self, fault: Fault) {
        self.org().faults.add(fault);
    }

    /// The scripted faults that no call has met yet.
    pub fn faults(&self) -> Vec<Fault> {
        self.org().faults.pending()
    }

    /// Forgets scripted faults.
    pub fn clear_faults(&self) {
        self.org().faults.clear();
    }

    /// Changes the settings.
    pub fn change(&self, how: impl FnOnce(&mut SalesforceSettings)) {
        how(&mut self.org().settings);
    }

    /// Adds a row as it is, for setting a scene. Returns its id.
    pub fn put_row(&self, object: &str, row: Map<String, Value>) -> String {
        self.org().put_row(object, row)
    }

    /// Adds or replaces an object.
    pub fn put_object(&self, object: Object) {
        self.org().put_object(object);
    }

    /// Takes an object away.
    pub fn remove_object(&self, name: &str) {
        self.org().remove_object(name);
    }
}

/// The service and its admin API.
pub fn router(fake: SalesforceFake) -> Router {
    login::router(fake.clone())
        .merge(rest::router(fake.clone()))
        .merge(admin::router(fake))
}
