//! The JSON documents in the database. They are versioned types of their own, so that a change of a domain struct does not change the
//! data on disk.
//!
//! Each document names its version (`v`). A document without `v` has version 1, because the first stores were written before the field
//! existed. To change a document, add the next version as a new type, keep reading the old one, and add golden files beside the old
//! ones. `golden/` has a file of every kind that was ever written, and the tests read them all.
//!
//! Ids and enumerations (a state, a mode, a source) are stored in the domain's spelling, which is stable because the API uses it too.

mod departure;
mod leg_watch;
mod names;
pub(crate) mod packed;
mod supervision;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sidedoor_domain::evidence::{Evidence, Sighting, Source};
use sidedoor_domain::supervision::Supervision;
use supervision::SupervisionDocument;

/// The version that this build writes.
const VERSION: u32 = 1;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// It is not JSON of the expected form.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    /// A later version of Sidedoor wrote it.
    #[error("the document has version {0}; this version of Sidedoor reads up to {VERSION}")]
    TooNew(u32),
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn version_one() -> u32 {
    1
}

/// Only the version, of a document that cannot be parsed as a known type.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default = "version_one")]
    v: u32,
}

/// Parses a document. A later version is reported as such even if its form is unknown, because the operator needs to know that the
/// binary is too old.
fn parse<D: DeserializeOwned>(text: &str, version: impl Fn(&D) -> u32) -> Result<D, DocumentError> {
    let newer = |v: u32| (v > VERSION).then_some(DocumentError::TooNew(v));
    match serde_json::from_str::<D>(text) {
        Ok(document) => newer(version(&document)).map_or(Ok(document), Err),
        Err(e) => {
            let versioned = serde_json::from_str::<Versioned>(text).ok();
            Err(versioned.and_then(|found| newer(found.v)).unwrap_or(e.into()))
        }
    }
}

/// Writes the document of a supervision.
///
/// # Errors
/// Never for a supervision that the state machine made.
pub(crate) fn write_supervision(s: &Supervision) -> Result<String, DocumentError> {
    Ok(serde_json::to_string(&SupervisionDocument::from(s.clone()))?)
}

/// Reads the document of a supervision.
///
/// # Errors
/// [`DocumentError`] if the document is damaged or of a later version.
pub(crate) fn read_supervision(text: &str) -> Result<Supervision, DocumentError> {
    Ok(parse(text, SupervisionDocument::version)?.into())
}

/// One observation.
#[derive(Debug, Serialize, Deserialize)]
struct EvidenceDocument {
    #[serde(default = "version_one")]
    v: u32,
    source: Source,
    sighting: Sighting,
    learnt_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vendor_stamp: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carrier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    authentic: bool,
}

/// Writes the document of an observation.
///
/// # Errors
/// Never in practice: every field has a JSON form.
pub(crate) fn write_evidence(e: &Evidence) -> Result<String, DocumentError> {
    let document = EvidenceDocument {
        v: VERSION,
        source: e.source,
        sighting: e.sighting,
        learnt_at: e.learnt_at,
        vendor_stamp: e.vendor_stamp,
        disconnect_reason: e.disconnect_reason.clone(),
        event_id: e.event_id.clone(),
        carrier: e.carrier.clone(),
        credential: e.credential.clone(),
        authentic: e.authentic,
    };
    Ok(serde_json::to_string(&document)?)
}

/// Reads the document of an observation.
///
/// # Errors
/// [`DocumentError`] if the document is damaged or of a later version.
pub(crate) fn read_evidence(text: &str) -> Result<Evidence, DocumentError> {
    let document = parse(text, |d: &EvidenceDocument| d.v)?;
    Ok(Evidence {
        source: document.source,
        sighting: document.sighting,
        learnt_at: document.learnt_at,
        vendor_stamp: document.vendor_stamp,
        disconnect_reason: document.disconnect_reason,
        event_id: document.event_id,
        carrier: document.carrier,
        credential: document.credential,
        authentic: document.authentic,
    })
}

#[cfg(test)]
mod tests;
