//! Which object the participant records go to. `VoiceCallParticipant` is not a standard object. With `auto`, Sidedoor uses
//! it if it exists in the org, is writable and has the external-id field; otherwise it uses `VoiceCallParticipant__c`, which
//! Sidedoor ships as metadata.

use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::Deserialize;
use sidedoor_domain::ports::{CrmError, CrmFault};
use tokio::sync::Mutex;

use super::errors::{org_fault, org_fault_with};
use crate::config::{FieldNames, SalesforceConfig};

/// The objects that `auto` tries, in this order.
const CANDIDATES: [&str; 2] = ["VoiceCallParticipant", "VoiceCallParticipant__c"];

/// The error codes of an org that has no such object, or none that this user may see.
const NOT_THERE: [&str; 3] = ["NOT_FOUND", "INVALID_TYPE", "INSUFFICIENT_ACCESS"];

/// The parts of a describe answer that Sidedoor uses.
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
    /// Whether a new record may set this field.
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

/// An org that describes its objects.
#[async_trait]
pub(super) trait Describe: Sync {
    /// Describes one object.
    async fn describe(&self, object: &str) -> Result<Described, CrmError>;

    /// The number of the newest version of the REST API that the org has, such as 68; `None` if it lists none.
    async fn newest_version(&self) -> Result<Option<u32>, CrmError>;
}

/// The object that records go to, which is found once and then cached.
pub(super) struct Object {
    configured: String,
    api_version: String,
    fields: FieldNames,
    found: StdMutex<Option<String>>,
    /// Held while the org is asked, so that only one caller at a time asks. The others do not wait if the name is known.
    asking: Mutex<()>,
}

impl Object {
    pub(super) fn new(settings: &SalesforceConfig) -> Self {
        Self {
            configured: settings.object.clone(),
            api_version: settings.api_version.clone(),
            fields: settings.fields.clone(),
            found: StdMutex::default(),
            asking: Mutex::default(),
        }
    }

    fn found(&self) -> MutexGuard<'_, Option<String>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object's name; asks the org if it is not known.
    pub(super) async fn name(&self, org: &impl Describe) -> Result<String, CrmError> {
        let known = self.found().clone();
        if let Some(name) = known {
            return Ok(name);
        }
        let _asking = self.asking.lock().await;
        let known = self.found().clone();
        match known {
            Some(name) => Ok(name),
            None => self.ask(org).await,
        }
    }

    /// Asks the org again, because it may have changed. Meanwhile other callers use the name that was found before.
    pub(super) async fn ask_again(&self, org: &impl Describe) -> Result<String, CrmError> {
        let _asking = self.asking.lock().await;
        let asked = self.ask(org).await;
        if asked.is_err() {
            *self.found() = None;
        }
        asked
    }

    async fn ask(&self, org: &impl Describe) -> Result<String, CrmError> {
        let candidates: Vec<&str> = match self.configured.as_str() {
            "auto" => CANDIDATES.to_vec(),
            configured => vec![configured],
        };
        let mut why = Vec::new();
        for candidate in candidates {
            match org.describe(candidate).await {
                Ok(described) => match self.fitness(candidate, &described) {
                    Fitness::Fits => {
                        *self.found() = Some(candidate.to_owned());
                        return Ok(candidate.to_owned());
                    }
                    // It is the intended object, so the next candidate would be wrong.
                    Fitness::FieldsDoNotFit(problems) => {
                        return Err(org_fault(CrmFault::MappingInvalid, problems.join("; ")));
                    }
                    Fitness::OtherObject(reason) => why.push(reason),
                },
                // Only these codes mean that the object does not exist for this user. Other errors say nothing about it.
                Err(e) if NOT_THERE.contains(&e.code.as_str()) => why.push(format!("{candidate} does not exist")),
                Err(e) => return Err(e),
            }
        }
        // With a version of the API that the org does not have, every path is unknown to it.
        let configured = self
            .api_version
            .trim_start_matches('v')
            .trim_end_matches(".0")
            .parse::<u32>()
            .ok();
        if let (Ok(Some(newest)), Some(configured)) = (org.newest_version().await, configured)
            && configured > newest
        {
            return Err(org_fault_with(
                CrmFault::ApiVersionInvalid,
                format!(
                    "the org has no version {} of the API; its newest is v{newest}.0",
                    self.api_version
                ),
                format!("set salesforce.api_version to v{newest}.0"),
            ));
        }
        let remedy = "deploy the object that Sidedoor ships (infra/salesforce), give the integration user access to it, or set salesforce.object";
        Err(org_fault_with(CrmFault::ObjectNotFound, why.join(", "), remedy))
    }

    fn fitness(&self, object: &str, d: &Described) -> Fitness {
        if !(d.createable && d.updateable) {
            return Fitness::OtherObject(format!(
                "the integration user cannot write {object} (it needs a permission set with Create and Edit on the object)"
            ));
        }
        let key = d
            .fields
            .iter()
            .find(|f| f.name.eq_ignore_ascii_case(&self.fields.external_id));
        let Some(key) = key else {
            return Fitness::OtherObject(format!(
                "{object} has no field {} that the integration user may see",
                self.fields.external_id
            ));
        };
        if !key.external_id {
            return Fitness::OtherObject(format!("{object}.{} is not an external id", key.name));
        }
        let mut problems = Vec::new();
        if !key.unique {
            problems.push(format!(
                "{object}.{} is an external id but not Unique: select Unique on the field, otherwise a leg may get two records",
                key.name
            ));
        }
        for (setting, name, kinds) in self.fields.written() {
            let field = d.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name));
            let problem = match field {
                None => format!(
                    "{object}.{name} does not exist, or the integration user may not see it: create the field, grant Read and \
                     Edit on it in the integration user's permission set, or set salesforce.fields.{setting} to another field \
                     or to \"\""
                ),
                Some(f) if !(f.createable && f.updateable) => format!(
                    "{object}.{name} cannot be written by the integration user: grant Edit on the field in its permission set"
                ),
                Some(f) if !kinds.contains(&f.kind.as_str()) => format!(
                    "{object}.{name} has the type {}, but must be {}: change the field's type, or set \
                     salesforce.fields.{setting} to another field or to \"\"",
                    f.kind,
                    kinds.join(" or ")
                ),
                Some(_) => continue,
            };
            problems.push(problem);
        }
        if problems.is_empty() {
            Fitness::Fits
        } else {
            Fitness::FieldsDoNotFit(problems)
        }
    }
}

/// Whether records can go to an object.
enum Fitness {
    Fits,
    /// It is not the intended object, for this reason; another candidate may be.
    OtherObject(String),
    /// It is the intended object, but has these problems.
    FieldsDoNotFit(Vec<String>),
}
