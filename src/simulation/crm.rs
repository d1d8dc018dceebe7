//! A simulated Salesforce org that keeps the newest record of each leg.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::participant::{ContactRecordKind, ParticipantRecord};
use sidedoor_domain::ports::crm::{AgentNotice, ParticipantSeen};
use sidedoor_domain::ports::{Crm, CrmError, Usage, WrittenRecord};

#[derive(Default)]
pub(super) struct SimCrm(Mutex<BTreeMap<String, ParticipantRecord>>);

impl SimCrm {
    pub(super) fn record(&self, leg: &str) -> Option<ParticipantRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(leg).cloned()
    }
}

#[async_trait]
impl Crm for SimCrm {
    async fn upsert(&self, rows: &[ParticipantRecord]) -> Result<Vec<Result<WrittenRecord, CrmError>>, CrmError> {
        tokio::time::sleep(std::time::Duration::from_millis(80)).await;
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = rows.iter().map(|row| {
            let created = records.insert(row.leg_key.clone(), row.clone()).is_none();
            Ok(WrittenRecord {
                object_name: "VoiceCallParticipant__c".into(),
                record_id: Some(row.leg_key.clone()),
                created,
                newer_kept: false,
            })
        });
        Ok(written.collect())
    }

    async fn contact_records(
        &self,
        _: ContactRecordKind,
        _: &[ContactId],
    ) -> Result<BTreeMap<String, Vec<String>>, CrmError> {
        Ok(BTreeMap::new())
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

    async fn announce(&self, _: &[String]) -> Result<(), CrmError> {
        Ok(())
    }

    async fn notify_agents(&self, _: &[AgentNotice]) -> Result<(), CrmError> {
        Ok(())
    }

    async fn supervisors_of(&self, _: &[String]) -> Result<BTreeMap<String, Vec<ParticipantSeen>>, CrmError> {
        Ok(BTreeMap::new())
    }

    fn usage(&self) -> Option<Usage> {
        None
    }
}
