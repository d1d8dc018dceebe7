//! What one event or one answer of the vendor says about one leg.

use jiff::Timestamp;
use sidedoor_domain::agent_event::LegSeen;
use sidedoor_domain::authority::Caller;
use sidedoor_domain::confirmation::{AnswerAge, Finding, LegAnswer};
use sidedoor_domain::contact_event::ContactEvent;
use sidedoor_domain::evidence::{Evidence, Sighting, Source};
use sidedoor_domain::interlock::ContactSeen;
use sidedoor_domain::supervision::{Channel, Mode, Supervision};

/// The most observations of one leg that are kept. What a sender of events adds beyond that only makes us ask.
const MAX_EVIDENCE: usize = 150;

/// What one event or answer says about one leg.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observation {
    /// The evidence to store.
    pub(crate) evidence: Vec<Evidence>,
    /// The answer of the vendor, if this is one.
    pub(crate) answer: Option<LegAnswer>,
    /// The channel of the leg.
    pub(crate) channel: Option<Channel>,
    /// The supervisor's mode, and since when on the vendor's clock.
    pub(crate) mode: Option<(Mode, Option<Timestamp>)>,
    /// The user whose snapshot lists the leg, for agent events.
    pub(crate) user: Option<String>,
}

fn sighted(source: Source, learnt_at: Timestamp, (sighting, vendor_stamp): (Sighting, Option<Timestamp>)) -> Evidence {
    Evidence {
        source,
        sighting,
        learnt_at,
        vendor_stamp,
        disconnect_reason: None,
        event_id: None,
        carrier: None,
        credential: None,
        authentic: false,
    }
}

impl Observation {
    /// What a contact event says that `sender` delivered.
    pub(super) fn of_event(event: &ContactEvent, learnt_at: Timestamp, sender: &Caller) -> Self {
        let mut shown = vec![(Sighting::Exists, event.initiated_at)];
        if event.is_connection() {
            shown.push((Sighting::Joined, event.connected_at));
        }
        if event.is_end() {
            shown.push((Sighting::Dropped, event.disconnected_at));
        }
        let evidence = shown.into_iter().map(|shown| Evidence {
            disconnect_reason: event.disconnect_reason.clone().filter(|_| shown.0 == Sighting::Dropped),
            event_id: event.id.clone(),
            credential: Some(sender.name.clone()),
            authentic: sender.is_authentic(),
            ..sighted(Source::ContactEvent, learnt_at, shown)
        });
        Self {
            evidence: evidence.collect(),
            channel: event.channel,
            ..Self::default()
        }
    }

    /// What a snapshot of `user` says that `sender` delivered.
    pub(super) fn of_agent_event(
        seen: &LegSeen,
        user: &str,
        event_id: Option<&String>,
        learnt_at: Timestamp,
        sender: &Caller,
    ) -> Self {
        let evidence = seen.sightings.iter().map(|shown| Evidence {
            event_id: event_id.cloned(),
            credential: Some(sender.name.clone()),
            authentic: sender.is_authentic(),
            ..sighted(Source::AgentEvent, learnt_at, *shown)
        });
        Self {
            evidence: evidence.collect(),
            channel: seen.channel,
            mode: seen.sightings.iter().find_map(|(s, since)| Some((s.mode()?, *since))),
            user: Some(user.to_owned()),
            ..Self::default()
        }
    }

    /// What a DescribeContact of the leg says, sent at `sent_at`.
    pub(crate) fn of_description(seen: &ContactSeen, sent_at: Timestamp, received_at: Timestamp) -> Self {
        let mut shown = Vec::new();
        if seen.initiated_at.is_some() {
            shown.push((Sighting::Exists, seen.initiated_at));
        }
        if seen.connected_at.is_some() {
            shown.push((Sighting::Joined, seen.connected_at));
        }
        shown.extend(
            seen.modes
                .iter()
                .map(|(mode, since)| (Sighting::of_mode(*mode), *since)),
        );
        if seen.disconnected_at.is_some() {
            shown.push((Sighting::Dropped, seen.disconnected_at));
        }
        let evidence = shown.into_iter().map(|shown| Evidence {
            disconnect_reason: seen.disconnect_reason.clone().filter(|_| shown.0 == Sighting::Dropped),
            ..sighted(Source::DescribeContact, received_at, shown)
        });
        Self {
            evidence: evidence.collect(),
            answer: Some(LegAnswer {
                source: Source::DescribeContact,
                sent_at,
                received_at,
                finding: if seen.disconnected_at.is_some() {
                    Finding::Gone
                } else {
                    Finding::Alive
                },
            }),
            channel: seen.channel,
            mode: seen.mode,
            ..Self::default()
        }
    }

    /// An answer that shows nothing but `finding`.
    pub(crate) fn of_finding(source: Source, finding: Finding, sent_at: Timestamp, received_at: Timestamp) -> Self {
        Self {
            answer: Some(LegAnswer {
                source,
                sent_at,
                received_at,
                finding,
            }),
            ..Self::default()
        }
    }

    /// The evidence that is not stored yet. The absence of a leg that GetCurrentUserData had listed is evidence of its end.
    pub(super) fn fresh_evidence(&self, s: &Supervision, known: &[Evidence], age: AnswerAge) -> Vec<Evidence> {
        let is_refuted = |e: &Evidence| s.watch.refuted_before.is_some_and(|refuted| e.learnt_at < refuted);
        // After its refutation a repeat is a new claim.
        let repeated = |e: &Evidence| {
            known
                .iter()
                .any(|k| k.repeats(e) && !(k.sighting == Sighting::Dropped && is_refuted(k)))
        };
        let gone = self
            .answer
            .as_ref()
            .filter(|a| a.source == Source::UserData)
            .filter(|a| match a.finding {
                Finding::Gone => true,
                Finding::Absent => s.absence_shows_the_end(a.sent_at, age),
                _ => false,
            });
        let gone = gone.map(|a| sighted(Source::UserData, a.received_at, (Sighting::Dropped, None)));
        let full = known.len() >= MAX_EVIDENCE;
        let all = self.evidence.iter().cloned().chain(gone);
        all.filter(|e| !repeated(e) && (e.is_answer() || !full)).collect()
    }

    /// Whether another user's snapshot lists the leg of this supervision.
    pub(super) fn is_of_another_user(&self, s: &Supervision) -> bool {
        let theirs = s.supervisor.connect_user_id.as_ref();
        self.user
            .as_deref()
            .zip(theirs)
            .is_some_and(|(user, theirs)| !user.eq_ignore_ascii_case(theirs.as_str()))
    }

    /// The last moment for which this answer shows the leg alive.
    pub(super) fn alive_at(&self, age: AnswerAge) -> Option<Timestamp> {
        let answer = self.answer.as_ref().filter(|a| a.finding == Finding::Alive)?;
        Some(answer.sent_at - age.of(answer.source))
    }
}
