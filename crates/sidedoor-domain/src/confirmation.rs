//! When a claim that a leg has ended is believed, and when it is refuted.
//!
//! A message from others (an event, a browser's acknowledgement) is a **claim**. What the vendor's API answers to our own signed
//! request is **evidence**. A claim only makes us ask. The leg has ended when the vendor's answer says so, when two independent
//! senders agree, or, for a carrier's own leg, when that carrier says so, because no other source can be asked.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::directive::{AckOutcome, DirectiveKind, DirectiveStatus};
use super::evidence::{Evidence, Sighting, Source};
use super::ids::ContactId;
use super::supervision::{AMAZON_CONNECT, State, Supervision};

/// How the end of a leg was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Confirmation {
    /// Not at all: the leg has not ended as far as is known.
    None,
    /// It is claimed, and Amazon Connect could not be asked.
    Claimed,
    /// Two independent senders claim it: different credentials and different kinds of speaker, one of them the vendor's events.
    TwoSenders,
    /// The carrier says so of its own leg.
    VendorStatement,
    /// The vendor's API answered so.
    VendorAsked,
}

impl Confirmation {
    /// The word in the API and in Salesforce.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Claimed => "CLAIMED",
            Self::TwoSenders => "TWO_SENDERS",
            Self::VendorStatement => "VENDOR_STATEMENT",
            Self::VendorAsked => "VENDOR_ASKED",
        }
    }
}

/// How old an answer may be, by source, and how wrong our own clock.
#[derive(Debug, Clone, Copy)]
pub struct AnswerAge {
    /// The staleness of GetCurrentUserData.
    pub poll: SignedDuration,
    /// The staleness of DescribeContact.
    pub describe: SignedDuration,
    /// The greatest error of our own clock.
    pub clock_error: SignedDuration,
}

impl AnswerAge {
    /// How old the data of an answer of this source may be.
    pub fn of(self, source: Source) -> SignedDuration {
        match source {
            Source::DescribeContact => self.describe,
            _ => self.poll,
        }
    }
}

/// What an answer of the vendor showed of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The leg was alive.
    Alive,
    /// The leg had ended.
    Gone,
    /// The answer is complete, is about this supervisor, and does not list the leg.
    Absent,
    /// The answer is complete and does not list this supervisor at all. It is not documented whether users without contacts are
    /// listed, so this shows nothing by itself; it counts only for a leg that DescribeContact does not know.
    Unlisted,
    /// The vendor does not know the leg (404).
    NotFound,
    /// The answer shows neither.
    Unknown,
}

/// An answer of the vendor about a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegAnswer {
    /// [`Source::DescribeContact`] or [`Source::UserData`].
    pub source: Source,
    /// When the request was sent, on our clock.
    pub sent_at: Timestamp,
    /// When the answer was received, on our clock.
    pub received_at: Timestamp,
    /// What it showed.
    pub finding: Finding,
}

/// A claim that the leg has ended, for which the vendor is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingClaim {
    /// When the first claim that is not refuted arrived.
    pub learnt_at: Timestamp,
    /// When the newest one arrived.
    pub newest_at: Timestamp,
    /// The claimed time, on the vendor's clock.
    pub stamp: Option<Timestamp>,
    /// The source of the first one.
    pub source: Source,
    /// How often the vendor was asked since.
    pub asks: u32,
    /// Since when no answer came, on our clock.
    pub unanswered_since: Timestamp,
    /// When the first of two contradicting answers of GetCurrentUserData was sent.
    pub contradicted_at: Option<Timestamp>,
    /// Whether a record with the claimed time was written, because Amazon Connect could not be asked.
    pub reported: bool,
}

/// The claims about the end of a leg, the refutations of them, and which sources know the leg. Evidence is kept apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegWatch {
    /// The claim that the vendor is asked about.
    pub claim: Option<PendingClaim>,
    /// Claims that arrived before this are refuted: the vendor's answers showed the leg alive later. They are never used again.
    pub refuted_before: Option<Timestamp>,
    /// By when GetCurrentUserData had listed the leg. Its absence in a later answer shows that it ended; otherwise it shows nothing,
    /// because it is not documented whether MONITOR contacts are listed.
    pub listed_at: Option<Timestamp>,
    /// When the last request was sent whose answer showed the leg alive. Its data may be older.
    pub alive_sent_at: Option<Timestamp>,
    /// When it was claimed that the customer's contact has ended, until an answer shows the leg alive later.
    pub contact_end_claimed_at: Option<Timestamp>,
    /// Since when DescribeContact does not know the leg, and how often it was asked since.
    pub not_found: Option<(Timestamp, u32)>,
    /// How often GetCurrentUserData did not list the leg while DescribeContact did not know it.
    pub absences: u32,
    /// The contacts that events called the continuation of the customer's contact, at most [`MAX_SUCCESSORS`]. They are claims:
    /// DescribeContact of such a contact shows whether it is true.
    pub successors_claimed: Vec<ContactId>,
    /// After LEFT: when the DescribeContact that first showed the leg alive again was sent.
    pub alive_again_at: Option<Timestamp>,
    /// Whether the supervision was LEFT and reopened. It happens once.
    pub reopened: bool,
}

/// The most claimed successors of a contact. A transfer has one, and a forger may name more.
const MAX_SUCCESSORS: usize = 4;

/// How often two sources must miss a leg, and for how long, before it counts as gone.
const MISSES: u32 = 3;
const MISSING_FOR: SignedDuration = SignedDuration::from_mins(5);

/// Who claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    VendorEvents,
    Carrier,
    Browser,
}

/// One claim that the leg has ended.
struct EndClaim<'e> {
    speaker: Speaker,
    credential: Option<&'e str>,
    learnt_at: Timestamp,
    stamp: Option<Timestamp>,
    source: Source,
}

impl Evidence {
    /// Whether this is a vendor's answer to our own request.
    pub fn is_answer(&self) -> bool {
        matches!(
            self.source,
            Source::DescribeContact | Source::UserData | Source::SearchContacts
        )
    }

    /// Whether this is a carrier's word about a leg of its own.
    pub fn is_statement_about(&self, s: &Supervision) -> bool {
        self.source == Source::PartnerEvent && s.vendor != AMAZON_CONNECT && self.carrier.as_deref() == Some(&s.vendor)
    }
}

/// When two independent senders had both claimed the end, and the source of the event.
pub(crate) fn two_senders(s: &Supervision, evidence: &[Evidence]) -> Option<(Timestamp, Source)> {
    let claims = end_claims(s, evidence);
    let events = claims.iter().filter(|c| c.speaker == Speaker::VendorEvents);
    let pairs = events.flat_map(|event| {
        let others = claims.iter().filter(|other| {
            let known = event.credential.is_some() && other.credential.is_some();
            other.speaker != Speaker::VendorEvents && known && other.credential != event.credential
        });
        others.map(|other| (event.learnt_at.max(other.learnt_at), event.source))
    });
    pairs.min_by_key(|(at, _)| *at)
}

/// The claims that the leg has ended and that are not refuted.
fn end_claims<'e>(s: &'e Supervision, evidence: &'e [Evidence]) -> Vec<EndClaim<'e>> {
    let counts = |at: Timestamp| s.watch.refuted_before.is_none_or(|refuted| at >= refuted);
    let events = evidence
        .iter()
        .filter(|e| e.sighting == Sighting::Dropped && !e.is_answer());
    let events = events.filter(|e| !e.is_statement_about(s)).map(|e| EndClaim {
        speaker: if e.source == Source::PartnerEvent {
            Speaker::Carrier
        } else {
            Speaker::VendorEvents
        },
        credential: e.credential.as_deref(),
        learnt_at: e.learnt_at,
        stamp: e.vendor_stamp.filter(|_| e.source != Source::PartnerEvent),
        source: e.source,
    });
    let browsers = s
        .directives
        .iter()
        .filter(|d| d.kind == DirectiveKind::EndLegInCcp)
        .filter_map(|d| {
            let says_gone = matches!(
                d.status(),
                DirectiveStatus::Answered(AckOutcome::Done | AckOutcome::AlreadyGone)
            );
            let answer = d.answer.as_ref().filter(|_| says_gone)?;
            Some(EndClaim {
                speaker: Speaker::Browser,
                credential: answer.credential.as_deref(),
                learnt_at: answer.received_at,
                stamp: None,
                source: Source::Browser,
            })
        });
    events.chain(browsers).filter(|claim| counts(claim.learnt_at)).collect()
}

impl Supervision {
    /// Whether the vendor can be asked about the leg.
    fn can_ask(&self) -> bool {
        self.vendor == AMAZON_CONNECT && self.leg.is_some()
    }

    /// Takes the claims that are not refuted as the ones to ask about. `now` is when it is found out.
    pub fn note_claims(&mut self, evidence: &[Evidence], now: Timestamp) {
        let claims = end_claims(self, evidence);
        let first = claims.iter().min_by_key(|c| c.learnt_at);
        let listens = matches!(self.state, State::Monitoring | State::Leaving);
        let Some(first) = first.filter(|_| listens && self.can_ask()) else {
            self.watch.claim = None;
            return;
        };
        let newest_at = claims.iter().map(|c| c.learnt_at).max().unwrap_or(first.learnt_at);
        let stamp = claims.iter().find_map(|c| c.stamp);
        let new = PendingClaim {
            learnt_at: first.learnt_at,
            newest_at,
            stamp,
            source: first.source,
            asks: 0,
            unanswered_since: now,
            contradicted_at: None,
            reported: false,
        };
        let claim = match self.watch.claim {
            Some(known) if (known.learnt_at, known.newest_at) == (first.learnt_at, newest_at) => {
                PendingClaim { stamp, ..known }
            }
            // An answer has refuted the older claims. It says nothing about the others, and only the older ones were reported.
            Some(known) if known.newest_at == newest_at => PendingClaim {
                asks: known.asks,
                ..new
            },
            // A new claim is asked about as soon as the first one was.
            Some(known) => PendingClaim {
                unanswered_since: known.unanswered_since,
                reported: known.reported,
                ..new
            },
            None => new,
        };
        self.watch.claim = Some(claim);
    }

    /// An event called `successor` the continuation of the customer's contact. Returns whether that is new.
    pub fn note_successor_claim(&mut self, successor: &ContactId) -> bool {
        let known = &mut self.watch.successors_claimed;
        let is_new = known.len() < MAX_SUCCESSORS && !known.contains(successor);
        known.extend(is_new.then(|| successor.clone()));
        is_new
    }

    /// How the end of the leg was confirmed.
    pub fn confirmation(&self) -> Confirmation {
        match &self.departure {
            Some(departure) => departure.confirmation,
            None if self.watch.claim.is_some_and(|claim| claim.reported) => Confirmation::Claimed,
            None => Confirmation::None,
        }
    }

    /// Whether the other of two senders may still claim the end, so that the first question waits for it: a browser acknowledged
    /// and the event has not come, or the other way round.
    pub fn second_sender_may_speak(&self) -> bool {
        let acknowledged = self.directives.iter().any(super::directive::Directive::says_gone);
        let directed = self.end_directive().is_some_and(|d| d.answer.is_none() && !d.withdrawn);
        match self.watch.claim.map(|c| c.source) {
            // A leg that had gone before the browser looked was left some time ago.
            Some(Source::Browser) => self.directives.iter().any(super::directive::Directive::ended_the_leg),
            Some(_) => directed && !acknowledged,
            None => false,
        }
    }

    /// An answer of the vendor about the leg. Returns the credentials of the claims that it refutes.
    pub fn note_answer(&mut self, answer: &LegAnswer, evidence: &[Evidence], age: AnswerAge) -> Vec<String> {
        if let Some(claim) = self.watch.claim.as_mut() {
            claim.unanswered_since = answer.received_at;
        }
        match answer.finding {
            Finding::Alive => self.note_alive_answer(answer, evidence, age),
            Finding::Absent | Finding::Unlisted => {
                if self.watch.not_found.is_some() {
                    self.watch.absences = self.watch.absences.saturating_add(1);
                }
                Vec::new()
            }
            Finding::NotFound => {
                let (since, times) = self.watch.not_found.unwrap_or((answer.sent_at, 0));
                self.watch.not_found = Some((since, times.saturating_add(1)));
                Vec::new()
            }
            Finding::Gone => {
                self.watch.alive_again_at = None;
                Vec::new()
            }
            Finding::Unknown => Vec::new(),
        }
    }

    fn note_alive_answer(&mut self, answer: &LegAnswer, evidence: &[Evidence], age: AnswerAge) -> Vec<String> {
        let proves = answer.sent_at - age.of(answer.source);
        (self.watch.not_found, self.watch.absences) = (None, 0);
        if answer.source == Source::UserData {
            self.watch.listed_at.get_or_insert(answer.received_at);
        }
        if self.state.is_final() {
            return Vec::new();
        }
        self.note_alive(proves);
        self.watch.alive_sent_at = self.watch.alive_sent_at.max(Some(answer.sent_at));
        let contradicts = |at: Timestamp| proves - age.clock_error > at;
        if self.watch.contact_end_claimed_at.is_some_and(contradicts) {
            self.watch.contact_end_claimed_at = None;
        }
        let Some(claim) = self.watch.claim.as_mut().filter(|claim| contradicts(claim.learnt_at)) else {
            return Vec::new();
        };
        let refuted_before = match (answer.source, claim.contradicted_at) {
            (Source::DescribeContact, _) => proves - age.clock_error,
            (_, Some(first)) if answer.sent_at >= first + SignedDuration::from_secs(1) => {
                first - age.poll - age.clock_error
            }
            (_, Some(_)) => return Vec::new(),
            (_, None) => {
                claim.contradicted_at = Some(answer.sent_at);
                return Vec::new();
            }
        };
        let refuted: Vec<String> = end_claims(self, evidence)
            .iter()
            .filter(|c| c.learnt_at < refuted_before)
            .map(|c| c.credential.unwrap_or("unknown").to_owned())
            .collect();
        self.watch.refuted_before = self.watch.refuted_before.max(Some(refuted_before));
        self.note_claims(evidence, answer.received_at);
        refuted
    }

    /// Whether an answer of GetCurrentUserData without the leg shows that it has ended: that source had listed it before, and the
    /// data of this answer is newer than that.
    pub fn absence_shows_the_end(&self, sent_at: Timestamp, age: AnswerAge) -> bool {
        self.watch
            .listed_at
            .is_some_and(|listed| sent_at - age.poll - age.clock_error > listed)
    }

    /// Whether two sources have missed the leg so often and for so long that it must have ended, although no answer said so.
    pub fn is_missing(&self, now: Timestamp) -> bool {
        let unknown = self.watch.not_found;
        unknown.is_some_and(|(since, times)| times >= MISSES && since + MISSING_FOR <= now)
            && self.watch.absences >= MISSES
    }

    /// When to ask about the pending claim next, after a question at `now`. `None` without a claim.
    pub fn next_ask(&self, age: AnswerAge, now: Timestamp) -> Option<Timestamp> {
        let claim = self.watch.claim?;
        let first = if self.second_sender_may_speak() {
            SECOND_SENDER
        } else {
            SignedDuration::ZERO
        };
        let provable = age.poll.max(age.describe) + age.clock_error + SignedDuration::from_millis(10);
        let fixed = [first, SignedDuration::from_millis(500), provable].map(|after| claim.newest_at + after);
        if claim.asks == 0 {
            return Some(fixed[0].max(now).min(now + first));
        }
        // After our clock was set back, the claim is from the future, and no moment after it is a plan.
        let planned = fixed
            .into_iter()
            .filter(|at| *at > now && *at <= now + LONGEST_ASK_WAIT)
            .min();
        let doubling = SignedDuration::from_secs(1_i64 << claim.asks.saturating_sub(2).min(6));
        Some(planned.unwrap_or(now + doubling.min(LONGEST_ASK_WAIT)))
    }
}

/// The longest wait between two questions about a claim.
const LONGEST_ASK_WAIT: SignedDuration = SignedDuration::from_secs(60);
/// How long the first question waits for the second sender.
const SECOND_SENDER: SignedDuration = SignedDuration::from_millis(1500);

#[cfg(test)]
mod absence_tests;
#[cfg(test)]
mod tests;
