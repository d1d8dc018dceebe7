//! The org's own records of contacts: VoiceCalls by `VendorCallKey`, and MessagingSessions by the field that the org fills with the
//! contact id. We know of nothing in Salesforce or Amazon Connect that fills such a field by itself.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::participant::ContactRecordKind;
use sidedoor_domain::ports::CrmError;

use super::client::Salesforce;
use super::errors::{LookupFields, answered, read};

/// `VoiceCall.VendorCallKey` is the contact id.
const VENDOR_CALL_KEY: &str = "VendorCallKey";

#[derive(Deserialize)]
struct Found {
    records: Vec<Map<String, Value>>,
}

impl Salesforce {
    /// The ids of the records of these contacts, by contact.
    ///
    /// # Errors
    /// Salesforce's.
    pub(super) async fn records_of_contacts(
        &self,
        kind: ContactRecordKind,
        contacts: &[ContactId],
    ) -> Result<BTreeMap<String, Vec<String>>, CrmError> {
        let field = match kind {
            ContactRecordKind::VoiceCall => VENDOR_CALL_KEY,
            ContactRecordKind::MessagingSession => self.messaging_session_key(),
        };
        // No escaping is needed, because a ContactId contains neither quotes nor backslashes.
        let keys: Vec<String> = contacts.iter().map(|c| format!("'{c}'")).collect();
        let soql = format!(
            "SELECT Id, {field} FROM {} WHERE {field} IN ({})",
            kind.object(),
            keys.join(",")
        );
        let path = format!("query?q={}", utf8_percent_encode(&soql, NON_ALPHANUMERIC));
        let (status, text) = self.send(&Method::GET, &path, None).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, LookupFields::default()));
        }
        let found: Found = read(&text)?;
        let mut by_contact: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in found.records {
            // Salesforce answers with its own spelling of a field, and compares texts without regard to case.
            let member = |name: &str| {
                let found = record.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.and_then(|(_, value)| value.as_str())
            };
            let (Some(id), Some(key)) = (member("Id"), member(field)) else {
                continue;
            };
            let asked = contacts
                .iter()
                .find(|contact| contact.as_str().eq_ignore_ascii_case(key));
            if let Some(contact) = asked {
                by_contact.entry(contact.to_string()).or_default().push(id.to_owned());
            }
        }
        Ok(by_contact)
    }
}
