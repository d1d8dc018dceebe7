//! A Salesforce org that is slow, or that does not answer some calls. It watches which calls overlap.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::participant::{ContactRecordKind, ParticipantRecord};
use sidedoor_domain::ports::crm::{AgentNotice, ParticipantSeen};
use sidedoor_domain::ports::{Crm, CrmError, CrmErrorCode, CrmFault, CrmVerdict, Usage, WrittenRecord};
use tokio::time::Instant;

use super::world::lock;

/// How long a call to Salesforce may take, as the adapter's.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call takes that is answered.
const QUICK: Duration = Duration::from_millis(80);

/// An org that may take long, and watches which calls overlap.
#[derive(Default)]
pub(super) struct Org {
    pub(super) calls: Mutex<OrgCalls>,
    pub(super) voice_calls: Mutex<BTreeMap<String, Vec<String>>>,
    /// How long a call with these records takes; the first record that has an entry counts, and the entry is used once.
    slow: Mutex<BTreeMap<String, Duration>>,
    /// How long the next search takes.
    pub(super) slow_search: Mutex<Option<Duration>>,
}

#[derive(Default)]
pub(super) struct OrgCalls {
    in_flight: usize,
    pub(super) most_in_flight: usize,
    pub(super) upserts: usize,
    pub(super) searches: usize,
    /// How many calls carry a record now.
    of_record: BTreeMap<String, usize>,
    /// Records that two calls carried at the same time.
    pub(super) overlapping: Vec<String>,
    /// The newest version of each record, and when it was written.
    written: BTreeMap<String, (u32, Instant)>,
}

/// One call, until its caller has the answer or gives up.
struct OrgCall<'o>(&'o Org, Vec<String>);

impl Org {
    fn begin(&self, records: Vec<String>) -> OrgCall<'_> {
        let mut calls = lock(&self.calls);
        calls.in_flight += 1;
        calls.most_in_flight = calls.most_in_flight.max(calls.in_flight);
        for record in &records {
            let in_calls = calls.of_record.entry(record.clone()).or_default();
            *in_calls += 1;
            if *in_calls > 1 {
                calls.overlapping.push(record.clone());
            }
        }
        drop(calls);
        OrgCall(self, records)
    }

    async fn take(&self, time: Duration) -> Result<(), CrmError> {
        tokio::time::timeout(CALL_TIMEOUT, tokio::time::sleep(time))
            .await
            .map_err(|_| CrmError {
                code: CrmErrorCode::Own(CrmFault::Timeout),
                message: "simulated".into(),
                remedy: None,
                answer: None,
                verdict: CrmVerdict::Retry,
                may_commit_late: true,
            })
    }

    pub(super) fn slow(&self, record: &str, time: Duration) {
        lock(&self.slow).insert(record.to_owned(), time);
    }

    pub(super) fn version(&self, record: &str) -> u32 {
        lock(&self.calls).written.get(record).map_or(0, |(version, _)| *version)
    }
}

impl Drop for OrgCall<'_> {
    fn drop(&mut self) {
        let mut calls = lock(&self.0.calls);
        calls.in_flight -= 1;
        for record in &self.1 {
            if let Some(in_calls) = calls.of_record.get_mut(record) {
                *in_calls -= 1;
            }
        }
    }
}

#[async_trait]
impl Crm for Org {
    async fn upsert(&self, rows: &[ParticipantRecord]) -> Result<Vec<Result<WrittenRecord, CrmError>>, CrmError> {
        let _call = self.begin(rows.iter().map(|row| row.leg_key.clone()).collect());
        lock(&self.calls).upserts += 1;
        let slow = rows.iter().find_map(|row| lock(&self.slow).remove(&row.leg_key));
        self.take(slow.unwrap_or(QUICK)).await?;
        let mut calls = lock(&self.calls);
        let written = rows.iter().map(|row| {
            calls.written.insert(row.leg_key.clone(), (row.version, Instant::now()));
            Ok(WrittenRecord {
                object_name: "VoiceCallParticipant__c".into(),
                record_id: Some(row.leg_key.clone()),
                created: false,
                newer_kept: false,
            })
        });
        Ok(written.collect())
    }

    async fn contact_records(
        &self,
        _: ContactRecordKind,
        contacts: &[ContactId],
    ) -> Result<BTreeMap<String, Vec<String>>, CrmError> {
        let _call = self.begin(Vec::new());
        lock(&self.calls).searches += 1;
        let slow = lock(&self.slow_search).take();
        self.take(slow.unwrap_or(QUICK)).await?;
        let known = lock(&self.voice_calls);
        let found = contacts.iter().map(ToString::to_string);
        Ok(found
            .filter_map(|contact| known.get(&contact).cloned().map(|ids| (contact, ids)))
            .collect())
    }

    async fn users_named(&self, _: &[String]) -> Result<BTreeMap<String, Vec<String>>, CrmError> {
        Ok(BTreeMap::new())
    }

    async fn connect_username(&self, _: &str) -> Result<Option<String>, CrmError> {
        Ok(None)
    }

    async fn describe_object(&self) -> Result<String, CrmError> {
        Ok("VoiceCallParticipant__c".into())
    }

    async fn notify_agents(&self, _: &[AgentNotice]) -> Result<(), CrmError> {
        Ok(())
    }

    async fn announce(&self, _: &[String]) -> Result<(), CrmError> {
        Ok(())
    }

    async fn supervisors_of(&self, _: &[String]) -> Result<BTreeMap<String, Vec<ParticipantSeen>>, CrmError> {
        Ok(BTreeMap::new())
    }

    fn usage(&self) -> Option<Usage> {
        None
    }
}
