//! The settings of the fake Connect. What AWS does not document is a setting, so that a test can try every possible answer.

use serde::{Deserialize, Serialize};

use super::{INSTANCE, REGION, REPLICA_REGION};
use crate::clock::VendorClock;

/// Longest `pollStalenessMs`.
const MAX_STALENESS_MS: u64 = 5_000;
/// Longest lag of a source, ms: one hour.
const MAX_LAG_MS: u64 = 3_600_000;
/// Longest life of a client token, s: one week.
const MAX_TOKEN_TTL_S: u64 = 604_800;
/// Coarsest granularity of a source, ms: one minute.
const MAX_GRANULARITY_MS: u64 = 60_000;

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

/// The error code for a request that breaks a rule of the service's model. AWS does not document which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConstraintError {
    /// InvalidParameterException if the operation has this error in the model, else InvalidRequestException: the default.
    Modelled,
    /// `ValidationException`, as many other services answer it. No operation of Connect has it in the model.
    ValidationException,
}

/// How MonitorContact and DescribeContact answer in the Region in which a contact is not. AWS does not document it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OtherRegion {
    /// 400 InvalidActiveRegionException, as StopContact is documented to answer: the default.
    InvalidActiveRegion,
    /// 404 ResourceNotFoundException.
    NotFound,
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

/// `detail-type` of contact events. AWS's documents use all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DetailType {
    /// The default, from EventBridge's event registry.
    #[serde(rename = "Amazon Connect Contact Event")]
    AmazonConnect,
    /// With the service's new full name.
    #[serde(rename = "Amazon Connect Customer Contact Event")]
    AmazonConnectCustomer,
    /// With the service's new short name.
    #[serde(rename = "Connect Customer Contact Event")]
    ConnectCustomer,
}

impl DetailType {
    /// The text in the envelope.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::AmazonConnect => "Amazon Connect Contact Event",
            Self::AmazonConnectCustomer => "Amazon Connect Customer Contact Event",
            Self::ConnectCustomer => "Connect Customer Contact Event",
        }
    }
}

/// Settings of the fake Connect. The control API rejects a value out of bounds; a value set in the process is cut to its bound.
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
    /// ListAssociatedContacts has legs and the contacts that they supervise in one tree.
    pub legs_in_tree: bool,
    /// The most supervisors on one voice call; one more gets 402 ServiceQuotaExceededException.
    pub supervisors_per_call: usize,
    /// The most voice contacts that a supervisor can monitor at a time. AWS: one.
    pub voice_legs_per_user: usize,
    /// Time until a customer's call ends after its last other party has left, ms. AWS does not document it.
    pub last_party_delay_ms: u64,
    /// Verify AWS signatures. With `false`, the header must be there but any signature is accepted.
    pub verify_signatures: bool,
    /// Reject a signature whose time is further than this from the vendor's clock, s; AWS allows 300. `None`: not checked, so that a
    /// test can move the vendor's clock.
    pub signature_age_s: Option<u32>,
    /// MonitorContact refuses a supervisor whose CCP is closed with 402 ServiceQuotaExceededException, as Streams issue 816 reports.
    /// With `false`, the leg is created and does not connect.
    pub refuse_closed_ccp: bool,
    /// The instance is replicated in a second Region, `us-east-1`. With `false`, a call in any Region is accepted.
    pub replicated: bool,
    /// The Region in which new contacts begin.
    pub active_region: String,
    /// The Regions in which every call answers InvalidActiveRegionException.
    pub inactive_regions: Vec<String>,
    /// The answer of MonitorContact and DescribeContact in the Region in which the contact is not.
    pub other_region: OtherRegion,
    /// The error code for a request with a missing, too long or unknown value.
    pub constraint_error: ConstraintError,
    /// Operations that answer 403 AccessDeniedException. The default denies an operation that Sidedoor does not need, so that a
    /// test notices when it starts to use it.
    pub denied_operations: Vec<String>,
    /// Instance attributes that are off, such as `ENHANCED_CONTACT_MONITORING`.
    pub attributes_off: Vec<String>,
    /// GetCurrentUserData shows the state as it was at a random moment, at most this long ago, ms, at most 5,000. The moment is
    /// chosen for each answer, so a later answer may show an older state.
    pub poll_staleness_ms: u64,
    /// Time for which GetCurrentUserData lists an ended contact as ENDED, ms, at most one hour.
    pub ended_lingers_ms: u64,
    /// GetCurrentUserData lists MONITOR contacts.
    pub list_monitor_legs: bool,
    /// GetCurrentUserData leaves out users without a contact.
    pub omit_idle_users: bool,
    /// The initiation method of a leg is missing in GetCurrentUserData and null in events, as Streams issue 910 reports.
    /// DescribeContact and SearchContacts still say MONITOR.
    pub initiation_method_null: bool,
    /// DescribeContact shows a change only this long after it happened, ms, at most one hour. A younger contact is 404.
    pub describe_lag_ms: u64,
    /// DescribeContact names the successor of a contact (`NextContacts`) only this long after the transfer, ms, at most one hour.
    pub next_contacts_lag_ms: u64,
    /// SearchContacts finds a change only this long after it happened, ms, at most one hour.
    pub search_lag_ms: u64,
    /// Sources say when a leg was connected. With `false` there is no CONNECTED_TO_AGENT event, no ConnectedToAgentTimestamp,
    /// no StateTransitions and no start of the state CONNECTED of a leg.
    pub connected_evidence: bool,
    /// Time for which MonitorContact remembers a ClientToken, s, at most one week. Later the token creates a new leg.
    pub token_ttl_s: u64,
    /// Timestamps in events are multiples of this, ms, 1 to 60,000. Without it, the granularity of `clock`.
    pub event_granularity_ms: Option<u64>,
    /// Timestamps in DescribeContact are multiples of this, ms, 1 to 60,000. Without it, the granularity of `clock`.
    pub describe_granularity_ms: Option<u64>,
    /// Share of departures of a silent supervisor after which the vendor wrongly ends the customer's call, at the same instant,
    /// 0 to 1. The ledger's cause is `SILENT_LEAVE`.
    pub silent_leave_ends_call: f64,
    /// Share of departures after which the customer happens to hang up within the next second, 0 to 1.
    pub hang_up_after_leave: f64,
    /// Send an event of type COMPLETED with the same data after DISCONNECTED, as AWS does for contacts without after contact
    /// work.
    pub completed_events: bool,
    /// `detail-type` of contact events.
    pub detail_type: DetailType,
}

impl Default for ConnectSettings {
    fn default() -> Self {
        Self {
            instance_id: INSTANCE.into(),
            clock: VendorClock::default(),
            connect_delay_ms: 50,
            stop_voice_leg: StopVoiceLeg::Refuse400,
            link_field: LinkField::RelatedContactId,
            legs_in_tree: true,
            supervisors_per_call: 2,
            voice_legs_per_user: 1,
            last_party_delay_ms: 0,
            verify_signatures: true,
            signature_age_s: None,
            refuse_closed_ccp: false,
            replicated: false,
            active_region: REGION.into(),
            inactive_regions: Vec::new(),
            other_region: OtherRegion::InvalidActiveRegion,
            constraint_error: ConstraintError::Modelled,
            denied_operations: vec!["ListSecurityProfiles".into()],
            attributes_off: Vec::new(),
            poll_staleness_ms: 0,
            ended_lingers_ms: 0,
            list_monitor_legs: true,
            omit_idle_users: false,
            initiation_method_null: false,
            describe_lag_ms: 0,
            next_contacts_lag_ms: 0,
            search_lag_ms: 0,
            connected_evidence: true,
            token_ttl_s: 86_400,
            event_granularity_ms: None,
            describe_granularity_ms: None,
            silent_leave_ends_call: 0.0,
            hang_up_after_leave: 0.0,
            completed_events: false,
            detail_type: DetailType::AmazonConnect,
        }
    }
}

impl ConnectSettings {
    /// Cuts each value to its bounds, so that no rule needs to check them.
    pub(super) fn bounded(mut self) -> Self {
        self.poll_staleness_ms = self.poll_staleness_ms.min(MAX_STALENESS_MS);
        for lag in [
            &mut self.ended_lingers_ms,
            &mut self.describe_lag_ms,
            &mut self.next_contacts_lag_ms,
            &mut self.search_lag_ms,
        ] {
            *lag = (*lag).min(MAX_LAG_MS);
        }
        if self.active_region != REPLICA_REGION {
            self.active_region = REGION.into();
        }
        self.token_ttl_s = self.token_ttl_s.min(MAX_TOKEN_TTL_S);
        for granularity in [&mut self.event_granularity_ms, &mut self.describe_granularity_ms] {
            *granularity = granularity.map(|ms| ms.clamp(1, MAX_GRANULARITY_MS));
        }
        for share in [&mut self.silent_leave_ends_call, &mut self.hang_up_after_leave] {
            *share = share.clamp(0.0, 1.0);
        }
        self
    }

    /// Says which value is out of its bounds.
    pub(super) fn check(&self) -> Result<(), String> {
        let bounded = self.clone().bounded();
        let (given, allowed) = (serde_json::json!(self), serde_json::json!(bounded));
        let members = given.as_object().into_iter().flatten();
        let outside = members.filter(|(name, value)| allowed[name.as_str()] != **value);
        match outside
            .map(|(name, value)| (name, value, &allowed[name.as_str()]))
            .next()
        {
            None => Ok(()),
            Some((name, value, nearest)) => Err(format!(
                "{name}: {value} is out of bounds; the nearest allowed value is {nearest}"
            )),
        }
    }
}
