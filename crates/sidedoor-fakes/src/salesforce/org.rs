//! The records of the org, and the rules for writing them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::SalesforceSettings;
use super::calls_in_flight::WritesInFlight;
use super::objects::{Field, Object};
use super::table::Table;
use crate::clock::{iso, real_now};
use crate::faults::FaultScript;

/// Largest length of each list: writes, events, queries and trace parents. The oldest entry is dropped first.
const MAX_ENTRIES: usize = 100_000;

/// The field with a record's version, which the shipped validation rule compares.
const ROW_VERSION: &str = "Row_Version__c";

/// A record's version. The rule applies only if both the write and the record have one.
fn version_of(record: &Map<String, Value>) -> Option<f64> {
    record.get(ROW_VERSION).and_then(Value::as_f64)
}

/// An error as Salesforce answers it.
#[derive(Debug, Clone)]
pub(super) struct SalesforceError {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) fields: Vec<String>,
}

impl SalesforceError {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            fields: Vec::new(),
        }
    }

    fn on(mut self, field: &str) -> Self {
        self.fields.push(field.into());
        self
    }
}

/// An accepted write.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// Name of the object.
    pub object: String,
    /// Value of the external id.
    pub key: String,
    /// Id of the record.
    pub id: String,
    /// Whether the write created the record.
    pub created: bool,
    /// The fields that were sent.
    pub body: Map<String, Value>,
    /// Real time of the write.
    pub at: Timestamp,
}

/// All records by object and id, and the length of the list of writes.
pub(super) type Snapshot = (BTreeMap<String, Table>, usize);

/// Everything that the fake knows about its org.
pub(super) struct Org {
    pub(super) settings: SalesforceSettings,
    objects: BTreeMap<String, Object>,
    tables: BTreeMap<String, Table>,
    written: VecDeque<Written>,
    pub(super) events: VecDeque<(String, Map<String, Value>)>,
    serial: u64,
    pub(super) tokens: BTreeSet<String>,
    pub(super) faults: FaultScript,
    /// The SOQL queries, oldest first.
    pub(super) queries: VecDeque<String>,
    pub(super) calls: u64,
    pub(super) calls_by_operation: BTreeMap<String, u64>,
    /// The `traceparent` headers of calls, oldest first.
    pub(super) trace_parents: VecDeque<String>,
    pub(super) logins: u64,
    pub(super) writes: WritesInFlight,
}

impl Org {
    pub(super) fn new(settings: SalesforceSettings) -> Self {
        let mut org = Self {
            settings,
            objects: BTreeMap::new(),
            tables: BTreeMap::new(),
            written: VecDeque::new(),
            events: VecDeque::new(),
            serial: 0,
            tokens: BTreeSet::new(),
            faults: FaultScript::default(),
            queries: VecDeque::new(),
            calls: 0,
            calls_by_operation: BTreeMap::new(),
            trace_parents: VecDeque::new(),
            logins: 0,
            writes: WritesInFlight::default(),
        };
        org.put_object(Object::participant("VoiceCallParticipant__c"));
        org.put_object(Object::read_only(
            "VoiceCall",
            &[
                ("Id", "id"),
                ("VendorCallKey", "string"),
                ("ConversationId", "reference"),
            ],
        ));
        let session = [("Id", "id"), ("Connect_Contact_Id__c", "string")];
        org.put_object(Object::read_only("MessagingSession", &session));
        let user = [
            ("Id", "id"),
            ("Username", "string"),
            ("FederationIdentifier", "string"),
            ("IsActive", "boolean"),
        ];
        org.put_object(Object::read_only("User", &user));
        let routing_map = [
            ("Id", "id"),
            ("UserId", "reference"),
            ("ExternalId", "string"),
            ("CallCenterId", "reference"),
        ];
        org.put_object(Object::read_only("CallCenterRoutingMap", &routing_map));
        let participant = [
            ("Id", "id"),
            ("ConversationId", "reference"),
            ("ParticipantEntityId", "reference"),
            ("JoinedTime", "datetime"),
            ("LeftTime", "datetime"),
            ("LeftTimeMilliSecs", "double"),
            ("ParticipantKey", "string"),
            ("ParticipantRole", "string"),
        ];
        org.put_object(Object::read_only("ConversationParticipant", &participant));
        org.put_object(Object::event("Supervisor_Directive__e", 64, &["Stream_Key__c"]));
        let notice = [
            "Supervision_Id__c",
            "Agent__c",
            "Contact_Id__c",
            "State__c",
            "Mode__c",
            "Supervisor_Name__c",
        ];
        org.put_object(Object::event("Supervision_Notice__e", 255, &notice));
        org
    }

    pub(super) fn put_object(&mut self, object: Object) {
        self.objects.insert(object.name.to_ascii_lowercase(), object);
    }

    pub(super) fn remove_object(&mut self, name: &str) {
        self.objects.remove(&name.to_ascii_lowercase());
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    pub(super) fn object(&self, name: &str) -> Result<&Object, SalesforceError> {
        let gone = || SalesforceError::new(404, "NOT_FOUND", "The requested resource does not exist");
        self.objects.get(&name.to_ascii_lowercase()).ok_or_else(gone)
    }

    pub(super) fn rows(&self, object: &str) -> Vec<Map<String, Value>> {
        let table = self.tables.get(&object.to_ascii_lowercase());
        table.into_iter().flat_map(Table::rows).cloned().collect()
    }

    /// A copy to go back to, for requests that write all of their records or none.
    pub(super) fn snapshot(&self) -> Snapshot {
        (self.tables.clone(), self.written.len())
    }

    pub(super) fn restore(&mut self, (tables, written): Snapshot) {
        self.tables = tables;
        self.written.truncate(written);
    }

    pub(super) fn written(&self) -> Vec<Written> {
        self.written.iter().cloned().collect()
    }

    /// The records whose `field` is `value`. Salesforce ignores the case of field names.
    pub(super) fn matching(&self, object: &str, field: &str, value: &str) -> Vec<Map<String, Value>> {
        let table = self.tables.get(&object.to_ascii_lowercase());
        table.map(|table| table.matching(field, value)).unwrap_or_default()
    }

    /// Adds or replaces a record without any check. Returns its id.
    pub(super) fn put_row(&mut self, object: &str, mut row: Map<String, Value>) -> String {
        self.serial += 1;
        let id = row
            .get("Id")
            .and_then(Value::as_str)
            .map_or_else(|| format!("a0Xfake{:011}", self.serial), ToOwned::to_owned);
        row.insert("Id".into(), json!(id));
        self.tables
            .entry(object.to_ascii_lowercase())
            .or_default()
            .put(&id, row);
        id
    }

    /// Keeps the `traceparent` of a call, for tests.
    pub(super) fn keep_trace_parent(&mut self, trace_parent: Option<String>) {
        if self.trace_parents.len() == MAX_ENTRIES {
            self.trace_parents.pop_front();
        }
        self.trace_parents.extend(trace_parent);
    }

    pub(super) fn delete_row(&mut self, object: &str, id: &str) -> bool {
        self.tables
            .get_mut(&object.to_ascii_lowercase())
            .is_some_and(|table| table.remove(id))
    }

    pub(super) fn remember_query(&mut self, soql: &str) {
        if self.queries.len() == MAX_ENTRIES {
            self.queries.pop_front();
        }
        self.queries.push_back(soql.to_owned());
    }

    /// Publishes a Platform Event. Returns a placeholder id, which identifies no record (as in Salesforce), and the event's UUID.
    pub(super) fn publish(
        &mut self,
        name: &str,
        body: &Map<String, Value>,
    ) -> Result<(String, String), SalesforceError> {
        let event = self.object(name)?.clone();
        if !event.name.ends_with("__e") || !event.createable {
            return Err(SalesforceError::new(
                403,
                "INSUFFICIENT_ACCESS",
                "insufficient access rights on object id",
            ));
        }
        let mut kept = Map::new();
        for (member, value) in body {
            let (stored, value) = self.check(&event, "", member, value, true)?;
            kept.insert(stored, value);
        }
        if self.events.len() == MAX_ENTRIES {
            self.events.pop_front();
        }
        self.events.push_back((event.name, kept));
        self.serial += 1;
        Ok((format!("e00fake{:011}", self.serial), uuid::Uuid::new_v4().to_string()))
    }

    /// Upserts by external id. Returns the record's id and whether it was created.
    pub(super) fn upsert(
        &mut self,
        object_name: &str,
        key_field: &str,
        key: &str,
        body: &Map<String, Value>,
    ) -> Result<(String, bool), SalesforceError> {
        let object = self.object(object_name)?.clone();
        let name = object.name.clone();
        let field = object.field(key_field).filter(|f| f.external_id);
        let provided = || {
            SalesforceError::new(
                404,
                "NOT_FOUND",
                "Provided external ID field does not exist or is not accessible",
            )
        };
        let field = field.ok_or_else(provided)?.clone();
        // Salesforce takes a short ending after the last dot as the requested format (`.json`), so it finds no record.
        if key.rsplit_once('.').is_some_and(|(_, ending)| {
            (2..=4).contains(&ending.len()) && ending.bytes().all(|b| b.is_ascii_alphabetic())
        }) {
            return Err(SalesforceError::new(
                404,
                "NOT_FOUND",
                "The requested resource does not exist",
            ));
        }
        let found = self.matching(&name, &field.name, key);
        if found.len() > 1 {
            return Err(SalesforceError::new(
                300,
                "MULTIPLE_CHOICES",
                "the external ID matched several records",
            ));
        }
        let created = found.is_empty();
        if !(if created { object.createable } else { object.updateable }) {
            return Err(SalesforceError::new(
                403,
                "INSUFFICIENT_ACCESS",
                "insufficient access rights on object id",
            ));
        }
        let mut kept = Map::new();
        for (member, value) in body {
            let (stored, value) = self.check(&object, &field.name, member, value, created)?;
            kept.insert(stored, value);
        }
        let mut row = found.into_iter().next().unwrap_or_default();
        let (sent, stored) = (version_of(&kept), version_of(&row));
        let is_older = sent.zip(stored).is_some_and(|(sent, stored)| sent < stored);
        if self.settings.keep_newer_versions && is_older {
            let message = "Salesforce has a newer version of this record (Row_Version__c).";
            return Err(SalesforceError::new(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", message).on(ROW_VERSION));
        }
        row.insert(field.name.clone(), json!(key));
        row.append(&mut kept);
        let id = self.put_row(&name, row);
        if self.written.len() == MAX_ENTRIES {
            self.written.pop_front();
        }
        let written = Written {
            object: name,
            key: key.into(),
            id: id.clone(),
            created,
            body: body.clone(),
            at: real_now(),
        };
        self.written.push_back(written);
        Ok((id, created))
    }

    /// Checks one member of a write. Returns the field's name in the object's spelling, and the value as it is stored.
    fn check(
        &self,
        object: &Object,
        key: &str,
        member: &str,
        value: &Value,
        creating: bool,
    ) -> Result<(String, Value), SalesforceError> {
        let invalid = |message: String| SalesforceError::new(400, "INVALID_FIELD", message).on(member);
        if member.eq_ignore_ascii_case(key) {
            return Err(invalid(
                "The external ID field may not be specified in the request body".into(),
            ));
        }
        let no_such = || invalid(format!("No such column '{member}' on sobject of type {}", object.name));
        let field = object.field(member).ok_or_else(no_such)?;
        if !(if creating { field.createable } else { field.updateable }) {
            let message =
                format!("Unable to create/update fields: {member}. Please check the security settings of this field");
            return Err(SalesforceError::new(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message).on(member));
        }
        if value.is_null() {
            return Ok((field.name.clone(), Value::Null));
        }
        let parse = || {
            SalesforceError::new(
                400,
                "JSON_PARSER_ERROR",
                format!("Cannot deserialize instance of {} from {value}", field.kind),
            )
            .on(member)
        };
        let value = match field.kind.as_str() {
            "double" => json!(value.as_f64().ok_or_else(parse)?),
            "boolean" => json!(value.as_bool().ok_or_else(parse)?),
            "datetime" => {
                let at: Timestamp = value.as_str().and_then(|t| t.parse().ok()).ok_or_else(parse)?;
                // Salesforce keeps whole seconds only.
                let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
                json!(iso(whole).replace('Z', "+0000"))
            }
            "reference" => {
                let id = value.as_str().ok_or_else(parse)?;
                self.check_reference(field, id)?;
                json!(id)
            }
            _ => {
                let text = value.as_str().ok_or_else(parse)?;
                if text.chars().count() > field.length {
                    let message = format!("{member}: data value too large: {text} (max length={})", field.length);
                    return Err(SalesforceError::new(400, "STRING_TOO_LONG", message).on(member));
                }
                json!(text)
            }
        };
        Ok((field.name.clone(), value))
    }

    fn check_reference(&self, field: &Field, id: &str) -> Result<(), SalesforceError> {
        if !(matches!(id.len(), 15 | 18) && id.bytes().all(|b| b.is_ascii_alphanumeric())) {
            let message = format!("{}: id value of incorrect type: {id}", field.name);
            return Err(SalesforceError::new(400, "MALFORMED_ID", message).on(&field.name));
        }
        let there = field.reference_to.iter().any(|object| {
            let table = self.tables.get(&object.to_ascii_lowercase());
            table.is_some_and(|table| table.contains(id))
        });
        if self.settings.strict_lookups && !there {
            return Err(
                SalesforceError::new(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id").on(&field.name),
            );
        }
        Ok(())
    }
}
