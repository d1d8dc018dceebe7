//! The settings of the fake Connect. What AWS does not document is a setting, so that a test can try every possible answer.

use serde::{Deserialize, Serialize};

use super::INSTANCE;
use crate::clock::VendorClock;

/// What StopContact does with a MONITOR voice leg. AWS does not document it, so every possible answer can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopVoiceLeg {
    /// 400 InvalidRequestException: the default, inferred from the documentation of other contacts.
    Refuse400,
    /// 410 ContactNotFoundException.
    Gone410,
    /// 200, but the leg does not end.
    AcceptAndIgnore,
}

/// Which field of a leg holds the id of the supervised contact. AWS does not document it, so every possible field can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkField {
    /// `RelatedContactId`
    RelatedContactId,
    /// `InitialContactId`
    InitialContactId,
    /// `PreviousContactId`
    PreviousContactId,
    /// No field does.
    None,
}

/// Settings of the fake Connect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConnectSettings {
    /// Id of the Connect instance.
    pub instance_id: String,
    /// Error of the vendor's clock, in timestamps and in the `Date` header.
    pub clock: VendorClock,
    /// Time from MonitorContact until the supervisor's CCP has connected the leg, ms.
    pub connect_delay_ms: u64,
    /// The answer to StopContact for a MONITOR voice leg.
    pub stop_voice_leg: StopVoiceLeg,
    /// The field of a leg that names the supervised contact.
    pub link_field: LinkField,
    /// The most supervisors on one voice call; one more gets 402 ServiceQuotaExceededException.
    pub supervisors_per_call: usize,
    /// Time until a customer's call ends after its last other party has left, ms. AWS does not document it.
    pub last_party_delay_ms: u64,
    /// Verify AWS signatures. With `false`, the header must be there but any signature is accepted.
    pub verify_signatures: bool,
    /// Operations that answer 403 AccessDeniedException. The default denies an operation that Sidedoor does not need, so that a
    /// test notices when it starts to use it.
    pub denied_operations: Vec<String>,
    /// Instance attributes that are off, such as `ENHANCED_CONTACT_MONITORING`.
    pub attributes_off: Vec<String>,
}

impl Default for ConnectSettings {
    fn default() -> Self {
        Self {
            instance_id: INSTANCE.into(),
            clock: VendorClock::default(),
            connect_delay_ms: 50,
            stop_voice_leg: StopVoiceLeg::Refuse400,
            link_field: LinkField::RelatedContactId,
            supervisors_per_call: 2,
            last_party_delay_ms: 0,
            verify_signatures: true,
            denied_operations: vec!["ListSecurityProfiles".into()],
            attributes_off: Vec::new(),
        }
    }
}
