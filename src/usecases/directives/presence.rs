//! Which browsers are present to act: those with an open directive stream, and those that polled recently.
//!
//! If a supervisor has several tabs, the newest is active and the others are on standby. If the active tab does not carry
//! out a directive, the next newest may act a few seconds later, and so on. So one tab acts at a time, and a tab that hangs
//! does not keep the supervisor on the line.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::store::{News, NewsBoard};

/// How long each tab has to act before the next one may.
const TAKE_OVER: SignedDuration = SignedDuration::from_secs(4);
/// The most tabs of one supervisor.
const MAX_TABS: usize = 16;
/// How long a poller counts as present after a poll. Apex polls by a timer of some seconds.
const POLLER_PRESENT: SignedDuration = SignedDuration::from_secs(15);

/// A supervisor in an instance.
pub(super) type SupervisorKey = (InstanceName, UserId);

/// Tracks the present browsers of all supervisors. Clones share the state.
#[derive(Clone)]
pub(super) struct PresenceTracker {
    table: Arc<Mutex<PresenceTable>>,
    changes: NewsBoard<SupervisorKey>,
    max_streams: usize,
}

/// The state behind [`PresenceTracker`].
#[derive(Default)]
struct PresenceTable {
    last: u64,
    open: usize,
    by_supervisor: BTreeMap<SupervisorKey, SupervisorPresence>,
}

/// The present tabs of one supervisor.
#[derive(Default)]
struct SupervisorPresence {
    /// Open streams that can act, oldest first.
    streams: Vec<u64>,
    /// Number of open streams that only watch.
    watching: usize,
    /// When a poller last polled.
    polled: Option<Timestamp>,
    /// Pollers that send a tab id, in the order of their first poll, each with the time of its last poll.
    tabs: Vec<(String, Timestamp)>,
}

impl SupervisorPresence {
    /// Notes a poll of a tab. If there are too many tabs, the one with the oldest poll is removed.
    fn polled(&mut self, tab: &str, now: Timestamp) {
        if let Some((_, last)) = self.tabs.iter_mut().find(|(known, _)| known == tab) {
            *last = now;
            return;
        }
        if self.tabs.len() >= MAX_TABS {
            let longest = self.tabs.iter().enumerate().min_by_key(|(_, (_, last))| *last);
            let longest = longest.map_or(0, |(i, _)| i);
            self.tabs.remove(longest);
        }
        self.tabs.push((tab.to_owned(), now));
    }

    /// How many present tabs are newer than this one and so act before it.
    fn rank(&self, tab: &str, now: Timestamp) -> usize {
        let present = self.tabs.iter().rev().filter(|(_, last)| now < *last + POLLER_PRESENT);
        present.take_while(|(known, _)| known != tab).count()
    }
}

impl PresenceTracker {
    /// Allows at most `max_streams` streams in total.
    pub(super) fn new(max_streams: usize) -> Self {
        Self {
            table: Arc::default(),
            changes: NewsBoard::default(),
            max_streams,
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, PresenceTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a stream; `None` when there are too many. A stream that does not act is counted but never active.
    pub(super) fn attach(&self, supervisor: &SupervisorKey, acts: bool) -> Option<StreamPresence> {
        let mut table = self.table();
        let own_streams = table
            .by_supervisor
            .get(supervisor)
            .map_or(0, |t| t.streams.len() + t.watching);
        if table.open >= self.max_streams || own_streams >= MAX_TABS {
            return None;
        }
        table.open += 1;
        table.last += 1;
        let id = table.last;
        let presence = table.by_supervisor.entry(supervisor.clone()).or_default();
        if acts {
            presence.streams.push(id);
        } else {
            presence.watching += 1;
        }
        drop(table);
        self.changes.publish(supervisor);
        Some(StreamPresence {
            tracker: self.clone(),
            supervisor: supervisor.clone(),
            id,
            acts,
        })
    }

    /// Notes a poll by a browser that can act, with its tab id if it sends one.
    pub(super) fn polled(&self, supervisor: &SupervisorKey, tab: Option<&str>, now: Timestamp) {
        let mut table = self.table();
        if table.by_supervisor.len() >= 10 * self.max_streams {
            // Remove pollers that are no longer present, so that the table stays bounded.
            table.by_supervisor.retain(|_, t| {
                !t.streams.is_empty() || t.watching > 0 || t.polled.is_some_and(|at| now < at + POLLER_PRESENT)
            });
        }
        let presence = table.by_supervisor.entry(supervisor.clone()).or_default();
        presence.polled = Some(now);
        if let Some(tab) = tab {
            presence.polled(tab, now);
        }
    }

    /// Whether a browser that can act is present.
    pub(super) fn is_attached(&self, supervisor: &SupervisorKey, now: Timestamp) -> bool {
        let table = self.table();
        table
            .by_supervisor
            .get(supervisor)
            .is_some_and(|t| !t.streams.is_empty() || t.polled.is_some_and(|at| now < at + POLLER_PRESENT))
    }

    /// From when a poller may act on a directive issued at `issued_at`: after every open stream and, if it sends a tab id, after
    /// the newer tabs that poll.
    pub(super) fn poller_active_from(
        &self,
        supervisor: &SupervisorKey,
        tab: Option<&str>,
        issued_at: Timestamp,
        now: Timestamp,
    ) -> Timestamp {
        let table = self.table();
        let before = table.by_supervisor.get(supervisor).map_or(0, |presence| {
            presence.streams.len() + tab.map_or(0, |tab| presence.rank(tab, now))
        });
        active_after(before, issued_at)
    }

    /// The number of open streams.
    pub(super) fn open(&self) -> usize {
        self.table().open
    }
}

/// From when a tab may act if `before` others act before it.
fn active_after(before: usize, issued_at: Timestamp) -> Timestamp {
    let before = i32::try_from(before).unwrap_or(i32::MAX);
    issued_at
        .saturating_add(TAKE_OVER.saturating_mul(before))
        .unwrap_or(Timestamp::MAX)
}

/// The presence of one stream; ends when it drops.
pub(super) struct StreamPresence {
    tracker: PresenceTracker,
    supervisor: SupervisorKey,
    id: u64,
    acts: bool,
}

impl StreamPresence {
    /// How many newer tabs act before this one; `None` if this one only watches.
    fn rank(&self) -> Option<usize> {
        let table = self.tracker.table();
        let streams = &table.by_supervisor.get(&self.supervisor)?.streams;
        streams.iter().rev().position(|id| *id == self.id)
    }

    /// From when this tab may act on a directive issued at `issued_at`; `None` if it never may.
    pub(super) fn active_from(&self, issued_at: Timestamp) -> Option<Timestamp> {
        Some(active_after(self.rank()?, issued_at))
    }

    /// Whether this stream can act, rather than only watch.
    pub(super) fn acts(&self) -> bool {
        self.acts
    }

    /// Wakes when the tabs of this supervisor change.
    pub(super) fn changes(&self) -> News<SupervisorKey> {
        self.tracker.changes.follow(self.supervisor.clone())
    }
}

impl Drop for StreamPresence {
    fn drop(&mut self) {
        let mut table = self.tracker.table();
        table.open = table.open.saturating_sub(1);
        if let Some(presence) = table.by_supervisor.get_mut(&self.supervisor) {
            presence.streams.retain(|id| *id != self.id);
            presence.watching -= usize::from(!self.acts);
            if presence.streams.is_empty() && presence.watching == 0 && presence.polled.is_none() {
                table.by_supervisor.remove(&self.supervisor);
            }
        }
        drop(table);
        self.tracker.changes.publish(&self.supervisor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(user: &str) -> SupervisorKey {
        let instance = InstanceName::parse("main").expect("a name");
        (instance, UserId::parse(user).expect("an id"))
    }

    #[test]
    fn the_newest_tab_acts_first_and_the_next_takes_over() {
        let tracker = PresenceTracker::new(3);
        let (me, now) = (supervisor("sup-1"), Timestamp::UNIX_EPOCH);
        assert!(!tracker.is_attached(&me, now));
        let first = tracker.attach(&me, true).expect("a free place");
        assert_eq!(first.active_from(now), Some(now));
        let second = tracker.attach(&me, true).expect("a free place");
        assert_eq!(
            (first.active_from(now), second.active_from(now)),
            (Some(now + TAKE_OVER), Some(now))
        );
        let watching = tracker.attach(&me, false).expect("a free place");
        assert_eq!(watching.active_from(now), None);
        assert!(
            tracker.attach(&supervisor("sup-2"), true).is_none(),
            "three streams are open"
        );
        drop(second);
        assert_eq!(first.active_from(now), Some(now), "the newer tab closed");
        drop(first);
        assert!(!tracker.is_attached(&me, now), "a stream that only watches cannot act");
        drop(watching);
        assert_eq!(tracker.open(), 0);
        assert!(tracker.table().by_supervisor.is_empty());
    }

    #[test]
    fn a_poller_is_there_for_a_while() {
        let tracker = PresenceTracker::new(1);
        let (me, now) = (supervisor("sup-1"), Timestamp::UNIX_EPOCH);
        tracker.polled(&me, None, now);
        assert!(tracker.is_attached(&me, now + SignedDuration::from_secs(14)));
        assert!(!tracker.is_attached(&me, now + POLLER_PRESENT));
        for i in 0..100 {
            tracker.polled(
                &supervisor(&format!("sup-{i}")),
                None,
                now + SignedDuration::from_secs(60 * i),
            );
        }
        assert!(tracker.table().by_supervisor.len() <= 11, "bounded");
    }

    #[test]
    fn the_newest_tab_that_polls_acts_first_while_it_is_heard_of() {
        let tracker = PresenceTracker::new(2);
        let (me, now) = (supervisor("sup-1"), Timestamp::UNIX_EPOCH);
        tracker.polled(&me, Some("a"), now);
        tracker.polled(&me, Some("b"), now + SignedDuration::from_secs(1));
        let later = now + SignedDuration::from_secs(10);
        tracker.polled(&me, Some("a"), later);
        let active_from = |tab, at| tracker.poller_active_from(&me, tab, later, at);
        assert_eq!(
            (active_from(Some("b"), later), active_from(None, later)),
            (later, later)
        );
        assert_eq!(
            active_from(Some("a"), later),
            later + TAKE_OVER,
            "polled last, but is the older tab"
        );
        let silent = now + SignedDuration::from_secs(16);
        assert_eq!(active_from(Some("a"), silent), later, "the newer tab stopped polling");
        let page = tracker.attach(&me, true).expect("a free place");
        assert_eq!(
            active_from(Some("a"), silent),
            later + TAKE_OVER,
            "after the open stream"
        );
        drop(page);
        for i in 0..100 {
            tracker.polled(&me, Some(&format!("t-{i}")), silent + SignedDuration::from_secs(i));
        }
        assert_eq!(tracker.table().by_supervisor[&me].tabs.len(), MAX_TABS, "bounded");
    }
}
