//! The search for the leg of a join whose outcome is unknown.

use jiff::{SignedDuration, Timestamp};

use super::{Channel, Requester, State, Supervision};
use crate::interlock::ContactSeen;

/// The search for the leg of a join whose outcome is unknown. It slows down and does not give up before a day is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegSearch {
    /// When it began.
    pub since: Timestamp,
    /// How often the vendor was asked. Our own full rate budget is not a question.
    pub looks: u32,
    /// Why the join fails if no leg is found, as a stable code.
    pub code: String,
    /// The same for people.
    pub detail: String,
    /// Whether a complete answer, long after MonitorContact was sent, showed no leg. The supervisor may then listen elsewhere.
    pub nothing_found: bool,
}

/// How long a search goes on.
const SEARCH_FOR: SignedDuration = SignedDuration::from_hours(24);
/// The longest wait between two questions of a search.
const LONGEST_SEARCH_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// So long after MonitorContact a leg that it made must be listed.
const LEG_LISTED_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// A join of a chat or a task that the supervisor wants to leave may be repeated for so long.
const REPEATED_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// A leg that began so much earlier than our call, by the vendor's uncalibrated clock, is not its result.
const BEGUN_BEFORE: SignedDuration = SignedDuration::from_secs(10);

impl LegSearch {
    /// Whether the search has ended without a leg.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.since + SEARCH_FOR <= now
    }

    /// When to ask next, after a question at `now`.
    pub fn next_look(&self, now: Timestamp) -> Timestamp {
        now + SignedDuration::from_secs(1_i64 << self.looks.min(10)).min(LONGEST_SEARCH_WAIT)
    }
}

impl Supervision {
    /// The search for the leg of this join, if there is one.
    pub fn search(&self) -> Option<&LegSearch> {
        let join = self.join.as_ref().filter(|_| self.state == State::Joining)?;
        join.search.as_ref()
    }

    /// Whether MonitorContact may be repeated with its token although its leg is searched for: the supervisor wants to leave a chat or
    /// a task, and StopContact ends the leg that the repeat names. A voice leg could not be ended by us.
    pub fn may_repeat_join(&self, now: Timestamp) -> bool {
        let sent = self.join.as_ref().and_then(|join| join.first_sent_at);
        let recent = sent.is_some_and(|sent| now < sent + REPEATED_WITHIN);
        let can_be_ended = matches!(self.channel, Some(Channel::Chat | Channel::Task));
        self.search().is_some() && self.leave.is_some() && can_be_ended && recent
    }

    /// Whether a described leg is the leg that this join searches for. `alone` says that this supervisor has no other search: a leg
    /// that names no contact is then the only one it can be. A leg that began before our call is not its result.
    pub fn finds(&self, seen: &ContactSeen, alone: bool) -> bool {
        let unnamed = seen.related.is_empty() && alone;
        self.search().is_some() && self.may_have_made(seen, unnamed)
    }

    /// Whether a leg that no supervision has may be the leg that this join made, although it searched for its leg and was given
    /// another. Its disconnect then holds for both, because it is unknown which one our call made. Returns who requested it.
    pub fn disconnects_too(&self, seen: &ContactSeen) -> Option<Requester> {
        self.join.as_ref()?.search.as_ref()?;
        let leave = self.leave.as_ref()?;
        let given_another = self.leg.as_ref().is_some_and(|leg| leg.as_str() != seen.id);
        // Who begins another leg after the disconnect wants to listen again.
        let before = seen.initiated_at.is_none_or(|begun| begun < leave.at + BEGUN_BEFORE);
        (given_another && before && self.may_have_made(seen, false)).then_some(leave.by)
    }

    /// Whether a described leg may be the result of our call. `unnamed` says whether it may name no contact.
    fn may_have_made(&self, seen: &ContactSeen, unnamed: bool) -> bool {
        let (Some(contact), Some(user)) = (&self.contact, &self.supervisor.connect_user_id) else {
            return false;
        };
        let sent = self.join.as_ref().and_then(|join| join.first_sent_at);
        let begun_before = sent
            .zip(seen.initiated_at)
            .is_some_and(|(sent, begun)| begun + BEGUN_BEFORE < sent);
        let names = |id: &String| id.eq_ignore_ascii_case(contact.as_str());
        let theirs = seen
            .agent
            .as_deref()
            .is_some_and(|agent| agent.eq_ignore_ascii_case(user.as_str()));
        seen.is_monitor() && theirs && !begun_before && (unnamed || seen.related.iter().any(names))
    }

    /// A complete answer, sent at `sent_at`, listed no leg that can be the one of this join.
    pub fn note_nothing_found(&mut self, sent_at: Timestamp) {
        let expires_at = self.join.as_ref().map(|join| join.expires_at);
        if let Some(search) = self.join.as_mut().and_then(|join| join.search.as_mut()) {
            let late =
                sent_at >= search.since + LEG_LISTED_WITHIN && expires_at.is_some_and(|expires| sent_at >= expires);
            search.nothing_found |= late;
        }
    }
}
