//! What a supervisor's browser must do, and what it answers.
//!
//! No server call is documented to drop a voice supervisor's leg (`StopContact` "does not work for voice contacts that
//! use the … MONITOR" method); the supervisor's own browser can. So for voice a disconnect is an order to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::DirectiveId;
use super::supervision::Mode;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DirectiveKind {
    /// End the supervisor's own leg in their Contact Control Panel, and nothing else.
    EndLegInCcp,
    /// Change between listening and barging in, with Streams' `updateMonitorParticipantState` on the own leg.
    ChangeModeInCcp(Mode),
}

impl DirectiveKind {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndLegInCcp => "END_LEG_IN_CCP",
            Self::ChangeModeInCcp(_) => "CHANGE_MODE_IN_CCP",
        }
    }

    /// The mode to change to, if that is what is to be done.
    pub fn mode(self) -> Option<Mode> {
        match self {
            Self::EndLegInCcp => None,
            Self::ChangeModeInCcp(mode) => Some(mode),
        }
    }
}

/// One order to the browser that holds the leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name; the acknowledgement repeats it.
    pub id: DirectiveId,
    /// What to do.
    pub kind: DirectiveKind,
    /// When it was first given out. A browser that then found the leg alive proves that it was alive at this moment.
    pub issued_at: Timestamp,
    /// After this the browser must not act on it any more; a leave is then directed anew.
    pub expires_at: Timestamp,
    /// An operator has taken it on themselves that the customer's call may end: the browser need not refuse for that.
    pub customer_call_may_end: bool,
    /// What the browser answered, if it did.
    pub answer: Option<Acknowledgement>,
    /// It is not to be carried out any more: overtaken by another, or its leg is gone.
    pub withdrawn: bool,
}

/// Where a directive stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectiveStatus {
    /// To be carried out.
    Open,
    /// The browser answered.
    Answered(AckOutcome),
    /// Not to be carried out any more.
    Withdrawn,
}

impl DirectiveStatus {
    /// The word in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Answered(outcome) => outcome.as_str(),
            Self::Withdrawn => "WITHDRAWN",
        }
    }
}

impl Directive {
    /// Where it stands, its expiry apart: that is a matter of the clock.
    pub fn status(&self) -> DirectiveStatus {
        match &self.answer {
            Some(answer) => DirectiveStatus::Answered(answer.outcome),
            None if self.withdrawn => DirectiveStatus::Withdrawn,
            None => DirectiveStatus::Open,
        }
    }

    /// Whether a browser should still act on it at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.status() == DirectiveStatus::Open && now < self.expires_at
    }

    /// Whether it is to end the leg, and the browser said that it saw the leg alive and ended it.
    pub fn ended_the_leg(&self) -> bool {
        self.kind == DirectiveKind::EndLegInCcp && self.status() == DirectiveStatus::Answered(AckOutcome::Done)
    }
}

/// A browser's answer to a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// How it went.
    pub outcome: AckOutcome,
    /// The browser's own clock, as it says; never used as a bound, since nobody vouches for it.
    pub at: Option<Timestamp>,
    /// When we received it.
    pub received_at: Timestamp,
    /// A short free text for people.
    pub detail: Option<String>,
}

/// How a directive went; of several answers the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AckOutcome {
    /// It tried and could not.
    Failed,
    /// The browser's own interlock refused.
    Refused,
    /// There was no such leg any more.
    AlreadyGone,
    /// The browser saw its leg alive and ended it.
    Done,
}

impl AckOutcome {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::AlreadyGone => "ALREADY_GONE",
            Self::Refused => "REFUSED",
            Self::Failed => "FAILED",
        }
    }
}
