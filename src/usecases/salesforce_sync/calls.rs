//! The calls to Salesforce that are in flight: two at most, so that a hung call stops nothing else, and never two with the
//! same record, so that an older version cannot land after a newer one.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::CrmError;
use tokio::time::Instant;

use crate::usecases::error::UseCaseError;
use crate::usecases::salesforce_sync::rate::ClockReading;
use crate::usecases::salesforce_sync::send::{OutgoingRecord, RecordOutcome};

/// The most calls at a time.
const MOST: usize = 2;
/// How long records wait for the answer of a call in flight, so that one call carries them all: this long, and longer for each record
/// of the call. A call that takes more is not waited for: the records that are due go into a call of their own.
const SLOW_CALL: Duration = Duration::from_secs(1);
const SLOW_RECORD: Duration = Duration::from_millis(5);

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    /// Writes records.
    Upsert,
    /// Searches for VoiceCalls.
    Search,
}

/// How a call ended.
pub(super) enum CallResult {
    /// The records were sent, and Salesforce answered or did not.
    Sent {
        batch: Vec<OutgoingRecord>,
        begun: ClockReading,
        outcome: Result<Vec<RecordOutcome>, CrmError>,
    },
    /// The store failed before the records were sent.
    NotSent(UseCaseError),
    /// The search ended and its results are stored, unless the store failed.
    Searched(Result<(), UseCaseError>),
}

struct Call {
    number: u64,
    kind: CallKind,
    begun: Instant,
    records: Vec<SupervisionId>,
}

/// The calls in flight. They make progress only while [`CallsInFlight::finished`] is awaited.
#[derive(Default)]
pub(super) struct CallsInFlight {
    running: FuturesUnordered<BoxFuture<'static, (u64, CallResult)>>,
    calls: Vec<Call>,
    last: u64,
}

impl CallsInFlight {
    /// Whether no further call may begin.
    pub(super) fn are_full(&self) -> bool {
        self.calls.len() >= MOST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn is_searching(&self) -> bool {
        self.calls.iter().any(|call| call.kind == CallKind::Search)
    }

    /// The supervisions whose records are in a call. None of them may be in another.
    pub(super) fn records(&self) -> BTreeSet<SupervisionId> {
        self.calls
            .iter()
            .flat_map(|call| call.records.iter().copied())
            .collect()
    }

    /// How much longer due records wait for the answer of the call that is writing records; zero if they do not wait.
    pub(super) fn wait_for_answer(&self) -> Duration {
        let upserts = self.calls.iter().filter(|call| call.kind == CallKind::Upsert);
        let waits = upserts.map(|call| {
            let records = u32::try_from(call.records.len()).unwrap_or(u32::MAX);
            (SLOW_CALL + SLOW_RECORD * records).saturating_sub(call.begun.elapsed())
        });
        waits.max().unwrap_or(Duration::ZERO)
    }

    /// Begins a call with the records of these supervisions.
    pub(super) fn begin(
        &mut self,
        kind: CallKind,
        records: Vec<SupervisionId>,
        call: impl Future<Output = CallResult> + Send + 'static,
    ) {
        self.last += 1;
        let number = self.last;
        self.calls.push(Call {
            number,
            kind,
            begun: Instant::now(),
            records,
        });
        self.running.push(Box::pin(async move { (number, call.await) }));
    }

    /// Waits for the next call to end. Its records stay in flight until [`CallsInFlight::remove`], because another call may
    /// carry them only after the results of this one are stored. `None` if there is no call.
    pub(super) async fn finished(&mut self) -> Option<(u64, CallResult)> {
        self.running.next().await
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.calls.retain(|call| call.number != number);
    }
}
