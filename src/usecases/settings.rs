//! The settings that the use cases consume. `app.rs` builds them from the configuration, so that no use case reads
//! configuration; docs/configuration.md describes each setting for operators.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use sidedoor_domain::ids::{InstanceName, RegionName};
use sidedoor_domain::rejoin::Policy;
use sidedoor_domain::supervision::Channel;

use crate::usecases::clocks;

/// How a supervisor's leg on a channel is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegEndMethod {
    /// By a directive to the supervisor's browser.
    Ccp,
    /// By StopContact behind the interlock, and by the directive if that is refused.
    StopContactThenCcp,
}

/// What the use cases know of a Connect instance.
#[derive(Debug, Clone)]
pub struct InstanceSettings {
    /// Connect's id of the instance, as events name it.
    pub vendor_id: String,
    /// The AWS account that events must come from, if it is configured.
    pub account_id: Option<String>,
    /// The instance's AWS Region.
    pub region: RegionName,
    /// The other Region of a replicated instance.
    pub replica_region: Option<RegionName>,
    /// How voice legs are ended.
    pub voice_leg_end: LegEndMethod,
    /// How chat and task legs are ended.
    pub chat_leg_end: LegEndMethod,
    /// The jurisdiction of requests that name none.
    pub jurisdiction: Option<String>,
}

impl InstanceSettings {
    /// The Regions that events may come from.
    pub(crate) fn regions(&self) -> Vec<&str> {
        let replica = self.replica_region.iter().map(RegionName::as_str);
        std::iter::once(self.region.as_str()).chain(replica).collect()
    }

    /// The Region of a replicated instance that is not this one; `None` as a parameter is [`Self::region`].
    pub(crate) fn other_region(&self, region: Option<&RegionName>) -> Option<&RegionName> {
        let replica = self.replica_region.as_ref()?;
        Some(if region == Some(replica) { &self.region } else { replica })
    }

    pub(crate) fn leg_end(&self, channel: Channel) -> LegEndMethod {
        match channel {
            Channel::Voice => self.voice_leg_end,
            Channel::Chat | Channel::Task => self.chat_leg_end,
        }
    }
}

/// The settings of all use cases.
#[derive(Debug, Clone)]
pub struct UseCaseSettings {
    /// The configured instances, by name.
    pub instances: BTreeMap<InstanceName, InstanceSettings>,
    /// The instance of requests that name none.
    pub default_instance: Option<InstanceName>,
    /// How long a request may take before it is answered with "accepted, not finished".
    pub answer_within: Duration,
    /// A join is never sent after this long.
    pub join_ttl: SignedDuration,
    /// How long a leave may go without evidence that the leg ended before it is overdue.
    pub leave_deadline: SignedDuration,
    /// How long a directive is valid.
    pub directive_ttl: SignedDuration,
    /// How often an idle supervision is polled.
    pub idle_poll: SignedDuration,
    /// How often all agents are polled while the board is viewed.
    pub board_poll: Duration,
    /// The ids of the routing profiles whose agents are on the board; empty for those of all users.
    pub board_routing_profiles: Vec<String>,
    /// How often the vendor is asked which legs ended, to find those that were missed; `None` for never.
    pub completeness_every: Option<Duration>,
    /// How long the record of a departure waits for the after-check, so that one write contains both.
    pub after_check_grace: SignedDuration,
    /// How old the data of a GetCurrentUserData may be.
    pub poll_staleness: SignedDuration,
    /// How old the data of a DescribeContact may be.
    pub describe_staleness: SignedDuration,
    /// How long Amazon Connect may not be reachable before a record with the claimed time of a departure is written.
    pub claim_patience: SignedDuration,
    /// How many voice contacts a supervisor may request to listen to at a time.
    pub max_voice_legs: usize,
    /// The largest error of our own clock, in ms.
    pub clock_error_ms: i64,
    /// How records are delivered to Salesforce.
    pub delivery: DeliverySettings,
    /// Whether directives are announced by Platform Events.
    pub announce: bool,
    /// Whether agents get notices by Platform Events where the rules of the jurisdiction ask for it.
    pub notify_agents: bool,
    /// Whether departures are compared with the org's own record of them (ConversationParticipant).
    pub compare: bool,
    /// Whether ended contacts are counted for the report of coverage.
    pub count_contacts: bool,
    /// The share of contacts to be supervised, in percent; `None` for no goal.
    pub coverage_goal_percent: Option<u8>,
    /// How long data is kept.
    pub retention: RetentionPeriods,
    /// How many idempotency keys are kept.
    pub keys: KeyLimits,
    /// How long a user name is mapped to the same user without asking the vendor again.
    pub username_cache_ttl: Duration,
    /// How the Salesforce Users of supervisors and agents are looked up; `None` for not at all.
    pub salesforce_users: Option<UserKeys>,
    /// How the vendors' clocks are calibrated.
    pub timing: clocks::calibrate::TimingSettings,
    /// The rules of each jurisdiction.
    pub policy: Policy,
    /// The most directive streams that may be open at a time.
    pub streams: usize,
    /// Waits that no operator needs to set.
    pub intervals: UseCaseIntervals,
}

/// By what the Salesforce User of a Connect user is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserKeys {
    /// The user name.
    Username,
    /// The user name or the user's id.
    UsernameOrId,
}

/// Waits that are not configurable. [`UseCaseIntervals::default`] is used in production; tests use shorter ones.
#[derive(Debug, Clone, Copy)]
pub struct UseCaseIntervals {
    /// How soon after a join the leg is polled if no event confirmed it.
    pub first_look: SignedDuration,
    /// How soon after a leave was requested the leg is polled if no event arrived.
    pub leaving_first_look: SignedDuration,
    /// How long to wait for the event after the browser's DONE before polling.
    pub after_done: SignedDuration,
    /// How long to wait before looking into an unknown leg, because the join answer that names it may still be in flight.
    pub unknown_leg: SignedDuration,
    /// How long after its end a leg is missed if no event or poll has named it. The vendor's search lists it by then, too.
    pub legs_settle: SignedDuration,
    /// How long the record of a join waits for the news that the supervisor was connected, so that one write contains both.
    pub join_row: SignedDuration,
    /// How long after a requested departure the customer's contact is checked again.
    pub after_again: SignedDuration,
    /// The least time between two recalibrations of recent departures; `None` for the default.
    pub recalibrate: Option<Duration>,
    /// How often all supervisions with missing names are looked at again.
    pub names_again: Duration,
    /// How long a name that was not found is not looked up again.
    pub name_unknown: Duration,
    /// How often expired data is deleted.
    pub sweep: Duration,
    /// How long lines of the audit are collected for a seal.
    pub seal: Duration,
    /// How often departures are compared with the org's own record.
    pub compare: Duration,
    /// How old a departure must be to be compared, and how long to wait before one without a record is compared again; `None`
    /// for the defaults.
    pub compare_after: Option<(SignedDuration, SignedDuration)>,
}

impl Default for UseCaseIntervals {
    fn default() -> Self {
        Self {
            first_look: SignedDuration::from_secs(5),
            leaving_first_look: SignedDuration::from_secs(3),
            after_done: SignedDuration::from_millis(1500),
            unknown_leg: SignedDuration::from_secs(2),
            legs_settle: SignedDuration::from_mins(5),
            join_row: SignedDuration::from_secs(1),
            after_again: SignedDuration::from_secs(5),
            recalibrate: None,
            names_again: Duration::from_mins(5),
            name_unknown: Duration::from_mins(10),
            sweep: Duration::from_secs(60),
            seal: Duration::from_secs(1),
            compare: Duration::from_secs(3600),
            compare_after: None,
        }
    }
}

/// How records are delivered to Salesforce.
#[derive(Debug, Clone, Copy)]
pub struct DeliverySettings {
    /// The longest time to wait for more records before a call.
    pub max_batch_delay: Duration,
    /// The interval between calls grows above this share of the org's daily API calls.
    pub slow_above: f64,
    /// Whether to look for a record's VoiceCall if the caller gave none.
    pub find_voice_calls: bool,
    /// Whether to look for the MessagingSession of a chat.
    pub find_messaging_sessions: bool,
}

/// How many idempotency keys are kept.
#[derive(Debug, Clone, Copy)]
pub struct KeyLimits {
    /// Of each caller that acts for many supervisors.
    pub caller: u32,
    /// Of each supervisor.
    pub supervisor: u32,
}

/// How long data is kept.
#[derive(Debug, Clone, Copy)]
pub struct RetentionPeriods {
    /// Counters of coverage.
    pub coverage: SignedDuration,
    /// Idempotency keys and their answers.
    pub keys: SignedDuration,
    /// Evidence, and the ids of processed events.
    pub evidence: SignedDuration,
    /// Finished supervisions.
    pub supervisions: SignedDuration,
    /// Lines of the audit that were exported; `None` for ever.
    pub audit: Option<SignedDuration>,
}
