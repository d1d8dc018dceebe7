//! Salesforce behind [`crate::ports::Crm`]: the only room that knows `oauth2` and the REST API's shapes.
//!
//! | file | story |
//! |---|---|
//! | [`client`] | one upsert, with an expired token renewed once on the way |
//! | [`token`] | the access token: cached, one renewal at a time |
//! | [`object`] | which object the rows go to, by describe |
//! | [`row`] | a row as JSON, each field under its configured name |
//! | [`verdict`] | every error: what may be done about it |

mod client;
mod object;
mod row;
mod token;
mod verdict;

use std::time::Duration;

use secrecy::SecretString;

pub use client::Salesforce;

/// What the adapter needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The org's My Domain.
    pub login_url: String,
    /// The External Client App's consumer key.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The object, or `auto`.
    pub object: String,
    /// Such as `v68.0`.
    pub api_version: String,
    /// How long one call may take.
    pub request_timeout: Duration,
    /// Every field's API name; one that is "" is not written.
    pub fields: Fields,
}

/// The API names of the row's fields.
#[derive(Debug, Clone)]
#[allow(
    missing_docs,
    reason = "each is the field of crate::domain::participant of that name"
)]
pub struct Fields {
    pub external_id: String,
    pub supervision_id: String,
    pub origin: String,
    pub contact_id: String,
    pub voice_call: String,
    pub supervisor: String,
    pub connect_user_id: String,
    pub mode: String,
    pub joined_at: String,
    pub disconnected_at: String,
    pub disconnected_epoch_ms: String,
    pub earliest_epoch_ms: String,
    pub latest_epoch_ms: String,
    pub disconnect_uncertainty_ms: String,
    pub vendor_disconnected_at: String,
    pub disconnect_source: String,
    pub disconnect_reason: String,
    pub customer_call_continued: String,
    pub calibration_grade: String,
    pub calibration_version: String,
    pub applied_offset_ms: String,
    pub row_version: String,
}
