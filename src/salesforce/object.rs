//! Which object the rows go to. `VoiceCallParticipant` is no standard object: `auto` takes it if the org has one that can
//! be written and has the external-id field, else `VoiceCallParticipant__c`, which Sidedoor ships as metadata.

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::verdict::org_fault;
use crate::config::{FieldNames, SalesforceConfig};
use sidedoor_domain::ports::CrmError;

/// In this order.
const CANDIDATES: [&str; 2] = ["VoiceCallParticipant", "VoiceCallParticipant__c"];

/// What an org answers when it has no such object, or none that this user may see.
const NOT_THERE: [&str; 3] = ["NOT_FOUND", "INVALID_TYPE", "INSUFFICIENT_ACCESS"];

/// What describe says, as far as we ask.
#[derive(Debug, Deserialize)]
pub(super) struct Described {
    pub(super) createable: bool,
    updateable: bool,
    #[serde(default)]
    pub(super) deletable: bool,
    #[serde(default)]
    fields: Vec<DescribedField>,
}

impl Described {
    /// Whether a new row may carry this field.
    pub(super) fn takes(&self, field: &str) -> bool {
        self.fields
            .iter()
            .any(|f| f.name.eq_ignore_ascii_case(field) && f.createable)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribedField {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default)]
    unique: bool,
}

/// An org that can be asked about an object.
#[async_trait]
pub(super) trait Describe: Sync {
    /// What it says.
    async fn describe(&self, object: &str) -> Result<Described, CrmError>;
}

/// The object in use, once found.
pub(super) struct Object {
    configured: String,
    fields: FieldNames,
    found: Mutex<Option<String>>,
}

impl Object {
    pub(super) fn new(settings: &SalesforceConfig) -> Self {
        Self {
            configured: settings.object.clone(),
            fields: settings.fields.clone(),
            found: Mutex::default(),
        }
    }

    /// The object's name. Found once, by one caller at a time.
    pub(super) async fn name(&self, org: &impl Describe) -> Result<String, CrmError> {
        let mut found = self.found.lock().await;
        if let Some(name) = &*found {
            return Ok(name.clone());
        }
        let candidates: Vec<&str> = match self.configured.as_str() {
            "auto" => CANDIDATES.to_vec(),
            configured => vec![configured],
        };
        let mut why = Vec::new();
        for candidate in candidates {
            match org.describe(candidate).await {
                Ok(described) => match self.unfit(candidate, &described) {
                    Unfit::Not => {
                        *found = Some(candidate.to_owned());
                        return Ok(candidate.to_owned());
                    }
                    // It is the one that is meant, and not as it should be: another would not do.
                    Unfit::Fields(problems) => {
                        return Err(org_fault("salesforce_mapping_invalid", problems.join("; ")));
                    }
                    Unfit::Object(reason) => why.push(reason),
                },
                // The org says there is none, or none for this user: try the next. Anything else is no answer.
                Err(e) if NOT_THERE.contains(&e.code.as_str()) => why.push(format!("{candidate} is not there")),
                Err(e) => return Err(e),
            }
        }
        let remedy = "deploy the object that Sidedoor ships (infra/salesforce), give the integration user access, or set salesforce.object";
        Err(org_fault(
            "salesforce_object_not_found",
            format!("{}; {remedy}", why.join(", ")),
        ))
    }

    /// Forgets what was found: the org has changed.
    pub(super) async fn forget(&self) {
        *self.found.lock().await = None;
    }

    fn unfit(&self, object: &str, d: &Described) -> Unfit {
        if !(d.createable && d.updateable) {
            return Unfit::Object(format!(
                "{object} cannot be written by this user (a permission set must allow Create and Edit on it)"
            ));
        }
        let key = d
            .fields
            .iter()
            .find(|f| f.name.eq_ignore_ascii_case(&self.fields.external_id));
        let Some(key) = key else {
            return Unfit::Object(format!(
                "{object} has no field {} that this user may see",
                self.fields.external_id
            ));
        };
        if !key.external_id {
            return Unfit::Object(format!("{object} has {}, but not as an external id", key.name));
        }
        let mut problems = Vec::new();
        if !key.unique {
            problems.push(format!(
                "{object}.{} is an external id but not Unique: tick Unique on the field, or two rows of one leg may come to be",
                key.name
            ));
        }
        for (setting, name, kinds) in self.fields.written() {
            let field = d.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name));
            let problem = match field {
                None => format!(
                    "{object}.{name} is not there, or this user may not see it: create it, give the integration user's permission \
                     set Read and Edit on it, or set salesforce.fields.{setting} to another field or to \"\""
                ),
                Some(f) if !(f.createable && f.updateable) => format!(
                    "{object}.{name} cannot be written by this user: give the integration user's permission set Edit on it"
                ),
                Some(f) if !kinds.contains(&f.kind.as_str()) => format!(
                    "{object}.{name} is of type {}, and must be {}",
                    f.kind,
                    kinds.join(" or ")
                ),
                Some(_) => continue,
            };
            problems.push(problem);
        }
        if problems.is_empty() {
            Unfit::Not
        } else {
            Unfit::Fields(problems)
        }
    }
}

/// Whether an object will do.
enum Unfit {
    Not,
    /// It is not the one: another candidate may be.
    Object(String),
    /// It is the one, and these fields do not fit.
    Fields(Vec<String>),
}
