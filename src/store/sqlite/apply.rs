//! Applies one transaction of the port inside the writer's database transaction. Every reason to refuse is checked before the first
//! write, so that a refused transaction has written nothing and those that share the database transaction are not affected.

use jiff::Timestamp;
use rusqlite::Connection;
use sidedoor_domain::ports::store::{KeyWrite, RecordSync, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};

use super::rows::Answer;
use super::supervision_writes::{Before, Verdict};
use super::{
    audit, audit_seals, clocks, comparisons, completeness, contact_records, coverage, deliveries, directives, evidence,
    idempotency, jobs, supervision_writes,
};

/// What a writer knows besides the transactions.
#[derive(Debug, Clone)]
pub(super) struct Process {
    /// The process: idempotency keys that an earlier one took are never answered.
    pub(super) incarnation: String,
    /// The most voice contacts that a supervisor may request to listen to at a time.
    pub(super) max_voice_legs: usize,
    /// Gives the lines of the audit their positions and MACs.
    pub(super) lines: audit::LineWriter,
}

/// What became of a transaction.
pub(super) enum Applied {
    /// It is written once the database transaction is committed. Holds the delivery of its supervision.
    Done(Option<RecordSync>),
    /// It was refused, and nothing was written.
    Refused(CommitOutcome),
}

pub(super) fn apply(db: &Connection, process: &Process, change: &Transaction) -> Answer<Applied> {
    if let Some(refusal) = refusal(db, process, change)? {
        return Ok(Applied::Refused(refusal));
    }
    if let Some(write) = &change.supervision {
        match supervision_writes::check(db, write, process.max_voice_legs)? {
            Verdict::Refused(refusal) => return Ok(Applied::Refused(refusal)),
            Verdict::Accepted(before) => write_supervision(db, write, &before, change.deliver_at)?,
        }
    }
    for new in &change.evidence {
        evidence::write(db, new)?;
    }
    for leg in &change.unknown_legs {
        evidence::write_unknown(db, leg)?;
    }
    for (instance, leg) in &change.adopted_legs {
        evidence::remove_unknown(db, instance, leg)?;
    }
    if let Some((id, at)) = &change.event {
        evidence::write_event(db, id, *at)?;
    }
    if let Some((supervision, due_at)) = &change.expedite {
        deliveries::expedite(db, *supervision, *due_at)?;
    }
    for found in &change.contact_records {
        contact_records::write(db, found)?;
    }
    for result in &change.delivery_results {
        deliveries::settle(db, result)?;
    }
    if let Some((name, seq)) = change.cursor {
        jobs::move_cursor(db, name, seq)?;
    }
    if let Some(covered) = &change.completeness {
        completeness::write(db, covered)?;
    }
    if let Some(handled) = &change.handled_contact {
        coverage::write_handled(db, handled)?;
    }
    for counted in &change.counted_contacts {
        coverage::count(db, counted)?;
    }
    for comparison in &change.comparisons {
        comparisons::write(db, comparison)?;
    }
    for (supervision, at) in &change.replayed {
        deliveries::replay(db, *supervision, *at)?;
    }
    for supervision in &change.discarded {
        deliveries::discard(db, *supervision)?;
    }
    if let Some(key) = &change.key {
        idempotency::write(db, &process.incarnation, key)?;
    }
    for (clock, sample) in &change.samples {
        clocks::write_sample(db, clock, sample)?;
    }
    for epoch in &change.epochs {
        clocks::write_epoch(db, epoch)?;
    }
    if let Some(by) = change.due_by {
        jobs::expedite_all(db, by)?;
    }
    if let Some(measured) = &change.poll_staleness {
        jobs::note_staleness(db, measured)?;
    }
    for entry in &change.audit {
        audit::write(db, &process.lines, entry)?;
    }
    if let Some(seal) = &change.audit_seal {
        audit_seals::write(db, seal)?;
    }
    match &change.supervision {
        Some(SupervisionWrite::Insert(_)) if change.deliver_at.is_none() && change.contact_records.is_empty() => {
            Ok(Applied::Done(None))
        }
        Some(SupervisionWrite::Insert(s) | SupervisionWrite::Update(s, _)) => {
            Ok(Applied::Done(deliveries::of_supervision(db, s.id)?))
        }
        None => Ok(Applied::Done(None)),
    }
}

fn refusal(db: &Connection, process: &Process, change: &Transaction) -> Answer<Option<CommitOutcome>> {
    if let Some((id, _)) = &change.event
        && evidence::event_was_seen(db, id)?
    {
        return Ok(Some(CommitOutcome::Duplicate));
    }
    if let Some(KeyWrite::Take(key, ..)) = &change.key
        && let Some(record) = idempotency::earlier_use(db, &process.incarnation, key)?
    {
        return Ok(Some(CommitOutcome::KeyUsed(record)));
    }
    if let Some(seal) = &change.audit_seal
        && !seal.continues(audit_seals::last(db)?.as_ref())
    {
        return Ok(Some(CommitOutcome::Stale));
    }
    Ok(None)
}

fn write_supervision(
    db: &Connection,
    write: &SupervisionWrite,
    before: &Before,
    deliver_at: Option<Timestamp>,
) -> Answer<()> {
    supervision_writes::write(db, write, before)?;
    directives::write(db, write)?;
    let (SupervisionWrite::Insert(supervision) | SupervisionWrite::Update(supervision, _)) = write;
    match deliver_at {
        Some(due_at) => deliveries::new_version(db, supervision.id, due_at),
        None => Ok(()),
    }
}
