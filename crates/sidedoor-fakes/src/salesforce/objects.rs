//! Objects and their fields, as describe answers them.

use serde::{Deserialize, Serialize};

/// A field of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// API name.
    pub name: String,
    /// `string`, `double`, `datetime`, `boolean`, `reference` or `id`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Longest text, in characters.
    #[serde(default)]
    pub length: usize,
    /// Whether a new record may have the field.
    pub createable: bool,
    /// Whether an update may change the field.
    pub updateable: bool,
    /// Whether the field is an external id.
    #[serde(default)]
    pub external_id: bool,
    /// Whether describe shows the field as unique.
    #[serde(default)]
    pub unique: bool,
    /// Names of the objects that a lookup field may point to.
    #[serde(default)]
    pub reference_to: Vec<String>,
}

impl Field {
    /// A writable field.
    pub(super) fn new(name: &str, kind: &str) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            length: if kind == "string" { 255 } else { 0 },
            createable: true,
            updateable: true,
            external_id: false,
            unique: false,
            reference_to: Vec::new(),
        }
    }

    fn pointing_to(name: &str, object: &str) -> Self {
        Self {
            reference_to: vec![object.into()],
            ..Self::new(name, "reference")
        }
    }
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// API name.
    pub name: String,
    /// Whether records may be created.
    pub createable: bool,
    /// Whether records may be updated.
    pub updateable: bool,
    /// Whether records may be deleted.
    #[serde(default)]
    pub deletable: bool,
    /// The fields.
    pub fields: Vec<Field>,
}

impl Object {
    /// The participant object that Sidedoor ships (`VoiceCallParticipant__c`), with another name if the org renamed it.
    pub fn participant(name: &str) -> Self {
        let text = [
            "Supervision_Id__c",
            "Origin__c",
            "Contact_Id__c",
            "Connect_User_Id__c",
            "Supervisor_Username__c",
            "Agent_Username__c",
            "Request_Reason__c",
            "Channel__c",
            "Queue__c",
            "Mode__c",
            "Confirmation__c",
            "Disconnect_Source__c",
            "Disconnect_Reason__c",
            "Customer_Call_Continued__c",
            "Calibration_Grade__c",
        ];
        let numbers = [
            "Disconnected_Epoch_Ms__c",
            "Earliest_Epoch_Ms__c",
            "Latest_Epoch_Ms__c",
            "Disconnect_Uncertainty_Ms__c",
            "Calibration_Version__c",
            "Applied_Offset_Ms__c",
            "Row_Version__c",
        ];
        let times = ["Joined_At__c", "Disconnected_At__c", "Vendor_Disconnected_At__c"];
        let key = Field {
            external_id: true,
            unique: true,
            ..Field::new("Leg_Key__c", "string")
        };
        let id = Field {
            createable: false,
            updateable: false,
            ..Field::new("Id", "id")
        };
        let of = |names: &[&str], kind: &str| names.iter().map(|n| Field::new(n, kind)).collect::<Vec<_>>();
        let lookups = vec![
            Field::pointing_to("Voice_Call__c", "VoiceCall"),
            Field::pointing_to("Messaging_Session__c", "MessagingSession"),
            Field::pointing_to("Supervisor__c", "User"),
            Field::pointing_to("Agent__c", "User"),
        ];
        let fields = [
            vec![id, key],
            of(&text, "string"),
            of(&["Rejoin__c", "Left_Overdue__c"], "boolean"),
            of(&numbers, "double"),
            of(&times, "datetime"),
            lookups,
        ]
        .concat();
        Self {
            name: name.into(),
            createable: true,
            updateable: true,
            deletable: false,
            fields,
        }
    }

    pub(super) fn read_only(name: &str, fields: &[(&str, &str)]) -> Self {
        let field = |(name, kind): &(&str, &str)| Field {
            createable: false,
            updateable: false,
            ..Field::new(name, kind)
        };
        Self {
            name: name.into(),
            createable: false,
            updateable: false,
            deletable: false,
            fields: fields.iter().map(field).collect(),
        }
    }

    /// A Platform Event with one text field of 64 characters.
    pub(super) fn event(name: &str, length: usize, fields: &[&str]) -> Self {
        let text = |field: &&str| Field {
            length,
            ..Field::new(field, "string")
        };
        Self {
            name: name.into(),
            createable: true,
            updateable: false,
            deletable: false,
            fields: fields.iter().map(text).collect(),
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name))
    }
}
