//! The audit. No line is ever changed or removed. Without a key, lines and seals carry plain hashes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::audit::{AuditEntry, Phase};
use sidedoor_domain::audit_chain::{AuditKeys, AuditSeal, LineContent, LineDigest};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{AuditFilter, AuditLine, AuditStore};

use super::MemoryStore;
use super::tables::{millis, whole};

/// Every line, oldest first. The first has the number 1.
#[derive(Default)]
pub(super) struct AuditTrail {
    lines: Vec<AuditLine>,
    /// The last line of each operation on a supervision that says how it ended.
    ends: BTreeMap<(String, Option<SupervisionId>), i64>,
    /// What a seal covers of each line.
    digests: Vec<LineDigest>,
    seals: Vec<AuditSeal>,
}

impl AuditTrail {
    /// The moment of the last line.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.lines.last().map(|line| line.entry.at)
    }

    pub(super) fn write(&mut self, entry: &AuditEntry) {
        let seq = i64::try_from(self.lines.len()).unwrap_or(i64::MAX).saturating_add(1);
        if let (Some(operation), true) = (&entry.operation, entry.phase != Phase::Begun) {
            self.ends.insert((operation.clone(), entry.supervision), seq);
        }
        let entry = AuditEntry {
            at: whole(entry.at),
            ..entry.clone()
        };
        let supervision = LineContent::supervision_of(&entry);
        let content = LineContent::of(seq, &entry, supervision.as_deref());
        let signed = AuditKeys::none().sign_line(&content);
        self.digests.push(LineDigest::of(&content, Some(signed.mac)));
        self.lines.push(AuditLine { seq, entry });
    }

    pub(super) fn last_seal(&self) -> Option<&AuditSeal> {
        self.seals.last()
    }

    pub(super) fn write_seal(&mut self, seal: &AuditSeal) {
        self.seals.push(seal.clone());
    }

    fn next_seal(&self, at: Timestamp, limit: u32) -> Option<AuditSeal> {
        let last = self.last_seal();
        let sealed_to = last.map_or(0, |seal| seal.last);
        let new = self.digests.iter().filter(|line| line.seq > sealed_to).copied();
        AuditSeal::next(&AuditKeys::none(), last, new.take(limit as usize), at)
    }

    fn has_ended(&self, line: &AuditLine) -> bool {
        let of = |operation: &String| self.ends.get(&(operation.clone(), line.entry.supervision));
        let end = line.entry.operation.as_ref().and_then(of);
        end.is_some_and(|end| *end > line.seq)
    }
}

fn fits(filter: &AuditFilter, line: &AuditLine) -> bool {
    let (entry, at) = (&line.entry, millis(line.entry.at));
    filter.actor.as_ref().is_none_or(|actor| entry.actor == *actor)
        && filter
            .action
            .as_ref()
            .is_none_or(|action| entry.action.as_str() == *action)
        && filter.supervision.is_none_or(|id| entry.supervision == Some(id))
        && (filter.request_id.is_none() || entry.request_id == filter.request_id)
        && filter.phase.is_none_or(|phase| entry.phase == phase)
        && filter.since.is_none_or(|since| at >= millis(since))
        && filter.until.is_none_or(|until| at < millis(until))
        && filter.before.is_none_or(|before| line.seq < before)
        && filter.after.is_none_or(|after| line.seq > after)
}

#[async_trait]
impl AuditStore for MemoryStore {
    async fn audit_of(&self, id: SupervisionId, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.read("audit_of", |t| {
            let of = t.audit.lines.iter().filter(|line| line.entry.supervision == Some(id));
            let of = of.filter(|line| !line.entry.action.is_about_access());
            of.take(limit as usize).map(|line| line.entry.clone()).collect()
        })
        .await
    }

    async fn audit_lines(&self, filter: &AuditFilter) -> Result<Vec<AuditLine>, StoreError> {
        self.read("audit_lines", |t| {
            let fitting = t.audit.lines.iter().filter(|line| fits(filter, line));
            let limit = filter.limit as usize;
            if filter.oldest_first {
                fitting.take(limit).cloned().collect()
            } else {
                fitting.rev().take(limit).cloned().collect()
            }
        })
        .await
    }

    async fn unfinished_acts(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.read("unfinished_acts", |t| {
            let times = millis(since)..millis(until);
            let begun = t.audit.lines.iter().filter(|line| line.entry.phase == Phase::Begun);
            let open = begun.filter(|line| times.contains(&millis(line.entry.at)) && !t.audit.has_ended(line));
            open.take(limit as usize).map(|line| line.entry.clone()).collect()
        })
        .await
    }

    async fn last_audit_seal(&self) -> Result<Option<AuditSeal>, StoreError> {
        self.read("last_audit_seal", |t| t.audit.last_seal().cloned()).await
    }

    async fn next_audit_seal(&self, at: Timestamp, limit: u32) -> Result<Option<AuditSeal>, StoreError> {
        self.read("next_audit_seal", |t| t.audit.next_seal(at, limit)).await
    }
}
