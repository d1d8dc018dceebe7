//! The fake Salesforce.
//!
//! | module | holds |
//! |---|---|
//! | [`login`] | `/services/oauth2/token`: client credentials and JWT bearer |
//! | [`objects`] | objects and their fields |
//! | [`org`] | the records, and the rules for writing them |
//! | [`rest_api`] | the REST API: describe, upsert by external id, collections, query, limits, errors |
//! | [`hosts`] | the org's old and new host, and the versions of the API |
//! | [`soql`] | the part of SOQL that Sidedoor and tests use |
//! | [`platform_events`] | publishing of Platform Events |
//! | [`calls_in_flight`] | calls that write the same record at the same time |
//! | [`control_api`] | the `/_fake` API |

mod calls_in_flight;
mod control_api;
mod hosts;
mod login;
mod objects;
mod org;
mod platform_events;
mod rest_api;
mod soql;
mod table;

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
    /// A write with a lower `Row_Version__c` than the record's is refused, as by the validation rule that Sidedoor ships.
    pub keep_newer_versions: bool,
    /// The newest version of the REST API, such as 68; paths with a newer one answer 404 NOT_FOUND.
    pub newest_api_version: u32,
    /// The scopes of new tokens. Without `api` and `full`, the REST API answers 401.
    pub token_scopes: String,
    /// What the org's host answers since the org has moved; a login then returns the new host.
    pub moved: Moved,
}

/// Whether the org has moved to another host, and what its old host answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Moved {
    /// The org has not moved.
    #[default]
    No,
    /// 301 with the new address.
    Permanently,
    /// 307 with the new address.
    Temporarily,
    /// The connection closes without an answer.
    Reset,
    /// 404 URL_NOT_RESET.
    UrlNotReset,
}

impl Default for SalesforceSettings {
    fn default() -> Self {
        Self {
            client_id: "fake-client-id".into(),
            client_secret: "fake-client-secret".into(),
            jwt_public_key: None,
            daily_limit: 100_000,
            strict_lookups: false,
            keep_newer_versions: true,
            newest_api_version: 68,
            token_scopes: "api".into(),
            moved: Moved::No,
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

    /// The fake's own URL, which is also the login host.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The `instance_url` of a login. The new host of an org that has moved is a folder of the same host.
    pub(super) fn instance_url(&self) -> String {
        match self.org().settings.moved {
            Moved::No => self.url.to_string(),
            _ => format!("{}{}", self.url, hosts::NEW_HOST),
        }
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

    /// Number of calls of one operation so far, refused ones included. The operations are those of faults, such as `query`.
    pub fn calls(&self, operation: &str) -> u64 {
        self.org()
            .calls_by_operation
            .get(operation)
            .copied()
            .unwrap_or_default()
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
