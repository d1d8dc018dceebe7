//! The settings of the use cases; docs/configuration.md says what each is for.

use std::collections::HashMap;
use std::time::Duration;

use jiff::SignedDuration;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::rejoin::Policy;
use sidedoor_domain::supervision::Channel;

use crate::usecases::clocks;

/// How a leg of some channel is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegEnd {
    /// A directive to the supervisor's browser.
    Ccp,
    /// StopContact on the leg behind the interlock; if that is refused, the directive.
    StopContactThenCcp,
}

/// What the flows know of a Connect instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Connect's id of it; events name it.
    pub vendor_id: String,
    /// How voice legs end.
    pub voice_leg_end: LegEnd,
    /// How chat and task legs end.
    pub chat_leg_end: LegEnd,
    /// Whose rules hold when a request names no jurisdiction.
    pub jurisdiction: Option<String>,
}

impl Instance {
    pub(crate) fn leg_end(&self, channel: Channel) -> LegEnd {
        match channel {
            Channel::Voice => self.voice_leg_end,
            Channel::Chat | Channel::Task => self.chat_leg_end,
        }
    }
}

/// The flows' settings; the configuration's documentation says what each is for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configured instances.
    pub instances: HashMap<InstanceName, Instance>,
    /// The one meant when a request names none.
    pub default_instance: Option<InstanceName>,
    /// How long an answer may take before it is "accepted, not finished".
    pub answer_within: Duration,
    /// After this long a join is never sent again.
    pub join_ttl: SignedDuration,
    /// How long evidence of a leave may take before it is overdue.
    pub leave_deadline: SignedDuration,
    /// How long a directive is good.
    pub directive_ttl: SignedDuration,
    /// How often an idle supervision is looked at.
    pub idle_poll: SignedDuration,
    /// How long a departure's row waits for the after-check, so that one write carries both.
    pub after_check_grace: SignedDuration,
    /// How old a poll's answer may be at the vendor.
    pub poll_staleness: SignedDuration,
    /// The greatest error of our own clock, ms.
    pub clock_error_ms: i64,
    /// Rows on their way to the CRM.
    pub delivery: DeliverySettings,
    /// Whether directives are announced by the CRM's own events.
    pub announce: bool,
    /// Whether departures are compared with the org's own record of them.
    pub compare: bool,
    /// How long things are kept.
    pub keep: Keep,
    /// How long a user name stands for the same user without asking the vendor again.
    pub names_for: Duration,
    /// The vendors' clocks.
    pub timing: clocks::calibrate::Settings,
    /// What each jurisdiction asks of supervision.
    pub policy: Policy,
    /// Streams of directives open at a time.
    pub streams: usize,
    /// Waits of our own that no operator needs to set.
    pub intervals: Intervals,
}

/// How patient the flows are before they act by themselves. [`Intervals::default`] is what runs; tests run faster.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    /// How soon after a join we look at the leg, if no event told us of it.
    pub first_look: SignedDuration,
    /// How soon a leave is looked at, if no event came.
    pub leaving_first_look: SignedDuration,
    /// How long an event may take after the browser's DONE before we look ourselves.
    pub after_done: SignedDuration,
    /// How long a leg that nobody explains waits: the answer that explains it may be on its way.
    pub unexplained: SignedDuration,
    /// How long the join's row waits for the news that the supervisor was connected, so that one write carries both.
    pub join_row: SignedDuration,
    /// How long after a departure that we asked for the customer's contact is looked at again.
    pub after_again: SignedDuration,
    /// The least time between two looks at recent departures, if not the usual.
    pub recalibrate: Option<Duration>,
    /// How often what is past its time is swept.
    pub sweep: Duration,
    /// How often departures are compared with the org's own record.
    pub compare: Duration,
    /// How old a departure must be for that, and how long one without such a record rests; if not the usual.
    pub compare_after: Option<(SignedDuration, SignedDuration)>,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            first_look: SignedDuration::from_secs(5),
            leaving_first_look: SignedDuration::from_secs(3),
            after_done: SignedDuration::from_millis(1500),
            unexplained: SignedDuration::from_secs(2),
            join_row: SignedDuration::from_secs(1),
            after_again: SignedDuration::from_secs(5),
            recalibrate: None,
            sweep: Duration::from_secs(60),
            compare: Duration::from_secs(3600),
            compare_after: None,
        }
    }
}

/// How rows go to the CRM.
#[derive(Debug, Clone, Copy)]
pub struct DeliverySettings {
    /// The longest wait for more rows before a call.
    pub max_batch_delay: Duration,
    /// Above this share of the day's calls the interval between calls stretches.
    pub slow_above: f64,
    /// Whether the VoiceCall of a row is looked for when the caller gave none.
    pub find_voice_calls: bool,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Idempotency keys and their answers.
    pub keys: SignedDuration,
    /// Evidence and ids of seen events.
    pub evidence: SignedDuration,
    /// Finished supervisions.
    pub supervisions: SignedDuration,
}
