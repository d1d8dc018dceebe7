//! Instructions to a supervisor's browser, and its acknowledgements.
//!
//! No server call is documented to end a supervisor's voice leg (StopContact "does not work for voice contacts that use the
//! following initiation methods: … MONITOR"), but the supervisor's own browser can. So a disconnect of a voice leg is a directive
//! to that browser.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::DirectiveId;
use super::supervision::Mode;

/// The action that a directive asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DirectiveKind {
    /// End the supervisor's own leg in their Contact Control Panel, and nothing else.
    EndLegInCcp,
    /// Change the mode of the supervisor's own leg with `updateMonitorParticipantState` of Amazon Connect Streams.
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

    /// The mode to change to, if the directive changes the mode.
    pub fn mode(self) -> Option<Mode> {
        match self {
            Self::EndLegInCcp => None,
            Self::ChangeModeInCcp(mode) => Some(mode),
        }
    }
}

/// One instruction to the browser that has the leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The id, which the acknowledgement repeats.
    pub id: DirectiveId,
    /// The action.
    pub kind: DirectiveKind,
    /// When it was issued. If the browser later finds the leg alive, the leg was alive at this moment.
    pub issued_at: Timestamp,
    /// After this time the browser must not carry it out. For a pending disconnect a new directive is then issued.
    pub expires_at: Timestamp,
    /// Whether an operator accepted that the customer's call may end, so that the browser does not refuse because of it.
    pub customer_call_may_end: bool,
    /// The browser's acknowledgement, if there is one.
    pub answer: Option<Acknowledgement>,
    /// Whether it must not be carried out any more, because another directive replaced it or its leg has ended.
    pub withdrawn: bool,
}

/// The status of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectiveStatus {
    /// Not acknowledged yet.
    Open,
    /// The browser acknowledged it.
    Answered(AckOutcome),
    /// It must not be carried out any more.
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
    /// The status, without regard to expiry, because that depends on the clock.
    pub fn status(&self) -> DirectiveStatus {
        match &self.answer {
            Some(answer) => DirectiveStatus::Answered(answer.outcome),
            None if self.withdrawn => DirectiveStatus::Withdrawn,
            None => DirectiveStatus::Open,
        }
    }

    /// Whether a browser should still carry it out at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.status() == DirectiveStatus::Open && now < self.expires_at
    }

    /// Whether it asked the browser to end the leg and the browser says that the leg is gone.
    pub(crate) fn says_gone(&self) -> bool {
        let gone = matches!(
            self.status(),
            DirectiveStatus::Answered(AckOutcome::Done | AckOutcome::AlreadyGone)
        );
        self.kind == DirectiveKind::EndLegInCcp && gone
    }

    /// Whether it asked the browser to end the leg and the browser acknowledged with DONE.
    pub(crate) fn ended_the_leg(&self) -> bool {
        self.kind == DirectiveKind::EndLegInCcp && self.status() == DirectiveStatus::Answered(AckOutcome::Done)
    }
}

/// A browser's acknowledgement of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The result.
    pub outcome: AckOutcome,
    /// The time on the browser's clock. It is never used as a bound, because that clock is not verified.
    pub at: Option<Timestamp>,
    /// When Sidedoor received it.
    pub received_at: Timestamp,
    /// A short text for people.
    pub detail: Option<String>,
    /// The name of the credential that sent it.
    pub credential: Option<String>,
}

/// The result of a directive. If several tabs acknowledge it, the greatest result counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AckOutcome {
    /// The browser tried and failed.
    Failed,
    /// The browser's own safety check refused.
    Refused,
    /// The browser found no such leg.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::*;

    #[test]
    fn directive_words_are_those_of_the_api() {
        let barge = DirectiveKind::ChangeModeInCcp(Mode::Barge);
        assert_eq!(DirectiveKind::EndLegInCcp.as_str(), "END_LEG_IN_CCP");
        assert_eq!(barge.as_str(), "CHANGE_MODE_IN_CCP");
        assert_eq!(
            (DirectiveKind::EndLegInCcp.mode(), barge.mode()),
            (None, Some(Mode::Barge))
        );
        for (outcome, word) in [
            (AckOutcome::Done, "DONE"),
            (AckOutcome::AlreadyGone, "ALREADY_GONE"),
            (AckOutcome::Refused, "REFUSED"),
            (AckOutcome::Failed, "FAILED"),
        ] {
            assert_eq!(serde_json::to_value(outcome).expect("a word"), word);
            assert_eq!(DirectiveStatus::Answered(outcome).as_str(), word);
        }
        assert_eq!(DirectiveStatus::Open.as_str(), "OPEN");
        assert_eq!(DirectiveStatus::Withdrawn.as_str(), "WITHDRAWN");
    }

    #[test]
    fn directive_is_open_until_it_expires_or_is_withdrawn() {
        let mut directive = leaving().directives.remove(0);
        assert!(directive.is_open(at_ms(69_999)) && !directive.is_open(at(70)));
        directive.withdrawn = true;
        assert_eq!(directive.status(), DirectiveStatus::Withdrawn);
        assert!(!directive.is_open(at(11)));
    }

    #[test]
    fn directive_that_is_acknowledged_stays_so() {
        for (outcome, says_gone, ended) in [
            (AckOutcome::Done, true, true),
            (AckOutcome::AlreadyGone, true, false),
            (AckOutcome::Refused, false, false),
            (AckOutcome::Failed, false, false),
        ] {
            let mut directive = leaving().directives.remove(0);
            assert!(!directive.says_gone() && !directive.ended_the_leg(), "it is open");
            directive.answer = Some(acknowledgement(outcome, at(11)));
            directive.withdrawn = true;
            assert_eq!(directive.status(), DirectiveStatus::Answered(outcome));
            assert!(!directive.is_open(at(12)));
            assert_eq!((directive.says_gone(), directive.ended_the_leg()), (says_gone, ended));
            // DONE about a mode says nothing about the end of the leg.
            directive.kind = DirectiveKind::ChangeModeInCcp(Mode::Silent);
            assert!(!directive.says_gone() && !directive.ended_the_leg());
        }
    }
}
