//! What a supervisor's browser must do, and what it answers.
//!
//! No server call is documented to drop a voice supervisor's leg (`StopContact` "does not work for voice contacts that
//! use the … MONITOR" method); the supervisor's own browser can. So for voice a disconnect is an order to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::DirectiveId;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DirectiveKind {
    /// End the supervisor's own leg in their Contact Control Panel, and nothing else.
    EndLegInCcp,
}

/// One order to the browser that holds the leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directive {
    /// Its name; the acknowledgement repeats it.
    pub id: DirectiveId,
    /// What to do.
    pub kind: DirectiveKind,
    /// When it was first given out. A browser that then found the leg alive proves that it was alive at this moment.
    pub issued_at: Timestamp,
    /// After this the browser should ask again instead of acting.
    pub expires_at: Timestamp,
    /// What the browser answered, if it did; the last answer counts.
    pub answer: Option<Acknowledgement>,
}

/// A browser's answer to a directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// How a directive went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AckOutcome {
    /// The browser saw its leg alive and ended it.
    Done,
    /// There was no such leg any more.
    AlreadyGone,
    /// The browser's own interlock refused.
    Refused,
    /// It tried and could not.
    Failed,
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
