//! Which object the rows go to. `VoiceCallParticipant` is no standard object: `auto` takes it if the org has one that can
//! be written and has the external-id field, else `VoiceCallParticipant__c`, which Sidedoor ships as metadata.

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::verdict::org_fault;
use crate::config::SalesforceConfig;
use crate::ports::CrmError;

/// In this order.
const CANDIDATES: [&str; 2] = ["VoiceCallParticipant", "VoiceCallParticipant__c"];

/// What an org answers when it has no such object, or none that this user may see.
const NOT_THERE: [&str; 3] = ["NOT_FOUND", "INVALID_TYPE", "INSUFFICIENT_ACCESS"];

/// What describe says, as far as we ask.
#[derive(Debug, Deserialize)]
pub(super) struct Described {
    createable: bool,
    updateable: bool,
    fields: Vec<DescribedField>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribedField {
    name: String,
    #[serde(default)]
    external_id: bool,
}

/// An org that can be asked about an object.
#[async_trait]
pub(super) trait Describe: Sync {
    /// What it says.
    async fn describe(&self, object: &'static str) -> Result<Described, CrmError>;
}

/// The object in use, once found.
pub(super) struct Object {
    configured: String,
    external_id: String,
    found: Mutex<Option<String>>,
}

impl Object {
    pub(super) fn new(settings: &SalesforceConfig) -> Self {
        let external_id = settings.fields.external_id.clone();
        Self {
            configured: settings.object.clone(),
            external_id,
            found: Mutex::default(),
        }
    }

    /// The object's name. Found once, by one caller at a time.
    pub(super) async fn name(&self, org: &impl Describe) -> Result<String, CrmError> {
        if self.configured != "auto" {
            return Ok(self.configured.clone());
        }
        let mut found = self.found.lock().await;
        if let Some(name) = &*found {
            return Ok(name.clone());
        }
        let mut why = Vec::new();
        for candidate in CANDIDATES {
            match org.describe(candidate).await {
                Ok(described) => match self.unfit(&described) {
                    None => {
                        *found = Some(candidate.to_owned());
                        return Ok(candidate.to_owned());
                    }
                    Some(reason) => why.push(format!("{candidate} {reason}")),
                },
                // The org says there is none, or none for this user: try the next. Anything else is no answer.
                Err(e) if NOT_THERE.contains(&e.code.as_str()) => why.push(format!("{candidate} is not there")),
                Err(e) => return Err(e),
            }
        }
        let remedy = "deploy the object that Sidedoor ships (infra/salesforce), give the integration user access, or set salesforce.object";
        Err(org_fault(
            "salesforce_no_object",
            format!("{}; {remedy}", why.join(", ")),
        ))
    }

    /// Forgets what was found: the org has changed.
    pub(super) async fn forget(&self) {
        *self.found.lock().await = None;
    }

    fn unfit(&self, d: &Described) -> Option<String> {
        if !(d.createable && d.updateable) {
            return Some("cannot be written by this user".into());
        }
        let field = d.fields.iter().find(|f| f.name.eq_ignore_ascii_case(&self.external_id));
        match field {
            None => Some(format!("has no field {}", self.external_id)),
            Some(f) if !f.external_id => Some(format!("has {}, but not as an external id", self.external_id)),
            Some(_) => None,
        }
    }
}
