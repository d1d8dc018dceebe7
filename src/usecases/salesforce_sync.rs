//! Writes supervisions to Salesforce.
//!
//! Actors: the store's due deliveries, the Salesforce org. Guarantee: every change of a departure is written at least once,
//! under an external id that makes repeats harmless; a record that Salesforce rejects waits for a person as a dead letter.

mod agent_notices;
mod calls;
mod compare;
mod contact_records;
pub mod dead_letters;
mod deliver;
pub mod discard;
mod failure_scope;
mod late_commits;
pub(crate) mod rate;
mod send;

use sidedoor_domain::ports::store::RecordState;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::idempotency::{IdempotencyError, IdempotencyService};

/// Writes the records of supervisions to Salesforce, finds their VoiceCalls and compares departures.
#[derive(Clone)]
pub struct SalesforceSyncService {
    ctx: UseCaseContext,
    contact_records: contact_records::ContactRecordCache,
}

impl SalesforceSyncService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            contact_records: contact_records::ContactRecordCache::new(),
            ctx,
        }
    }
}

/// Shows deliveries, replays them, and discards dead letters.
#[derive(Clone)]
pub struct DeliveryService {
    ctx: UseCaseContext,
    idempotency: IdempotencyService,
}

impl DeliveryService {
    pub(crate) fn new(ctx: UseCaseContext, idempotency: IdempotencyService) -> Self {
        Self { ctx, idempotency }
    }
}

/// Why deliveries cannot be read, replayed or discarded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliveryError {
    /// The delivery does not exist.
    #[error("there is no such delivery")]
    DeliveryNotFound,
    /// The delivery is no dead letter, so it cannot be discarded.
    #[error("the delivery is {}, not FAILED", .0.as_str())]
    NotFailed(RecordState),
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(DeliveryError);
