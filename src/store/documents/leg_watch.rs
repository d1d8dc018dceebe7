//! The documents of claims and answers about a leg, and of the search for a leg. They are part of the document of a supervision.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sidedoor_domain::confirmation::{LegWatch, PendingClaim};
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::supervision::LegSearch;

/// [`LegWatch`], version 1.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LegWatchDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<PendingClaimDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refuted_before: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alive_sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact_end_claimed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_found: Option<(Timestamp, u32)>,
    absences: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    successors_claimed: Vec<ContactId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alive_again_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "super::is_false")]
    reopened: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PendingClaimDocument {
    learnt_at: Timestamp,
    newest_at: Timestamp,
    stamp: Option<Timestamp>,
    source: Source,
    asks: u32,
    unanswered_since: Timestamp,
    contradicted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "super::is_false")]
    reported: bool,
}

impl LegWatchDocument {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<LegWatch> for LegWatchDocument {
    fn from(from: LegWatch) -> Self {
        Self {
            claim: from.claim.map(Into::into),
            refuted_before: from.refuted_before,
            listed_at: from.listed_at,
            alive_sent_at: from.alive_sent_at,
            contact_end_claimed_at: from.contact_end_claimed_at,
            not_found: from.not_found,
            absences: from.absences,
            successors_claimed: from.successors_claimed,
            alive_again_at: from.alive_again_at,
            reopened: from.reopened,
        }
    }
}

impl From<LegWatchDocument> for LegWatch {
    fn from(from: LegWatchDocument) -> Self {
        Self {
            claim: from.claim.map(Into::into),
            refuted_before: from.refuted_before,
            listed_at: from.listed_at,
            alive_sent_at: from.alive_sent_at,
            contact_end_claimed_at: from.contact_end_claimed_at,
            not_found: from.not_found,
            absences: from.absences,
            successors_claimed: from.successors_claimed,
            alive_again_at: from.alive_again_at,
            reopened: from.reopened,
        }
    }
}

impl From<PendingClaim> for PendingClaimDocument {
    fn from(from: PendingClaim) -> Self {
        Self {
            learnt_at: from.learnt_at,
            newest_at: from.newest_at,
            stamp: from.stamp,
            source: from.source,
            asks: from.asks,
            unanswered_since: from.unanswered_since,
            contradicted_at: from.contradicted_at,
            reported: from.reported,
        }
    }
}

impl From<PendingClaimDocument> for PendingClaim {
    fn from(from: PendingClaimDocument) -> Self {
        Self {
            learnt_at: from.learnt_at,
            newest_at: from.newest_at,
            stamp: from.stamp,
            source: from.source,
            asks: from.asks,
            unanswered_since: from.unanswered_since,
            contradicted_at: from.contradicted_at,
            reported: from.reported,
        }
    }
}

/// [`LegSearch`], version 1.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LegSearchDocument {
    since: Timestamp,
    looks: u32,
    code: String,
    detail: String,
    nothing_found: bool,
}

impl From<LegSearch> for LegSearchDocument {
    fn from(from: LegSearch) -> Self {
        Self {
            since: from.since,
            looks: from.looks,
            code: from.code,
            detail: from.detail,
            nothing_found: from.nothing_found,
        }
    }
}

impl From<LegSearchDocument> for LegSearch {
    fn from(from: LegSearchDocument) -> Self {
        Self {
            since: from.since,
            looks: from.looks,
            code: from.code,
            detail: from.detail,
            nothing_found: from.nothing_found,
        }
    }
}
