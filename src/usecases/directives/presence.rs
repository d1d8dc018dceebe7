//! Whose browser is there to act: the streams of directives that are open now, and the pollers that asked not long ago.
//!
//! Of several tabs of one supervisor, the newest acts first; if it does not answer, the one before it may act some seconds
//! later, and so on. So one acts, the others learn, and a tab that hangs does not hold the supervisor on the line.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast;

use sidedoor_domain::ids::{InstanceName, UserId};

/// How long each tab has before the next one may act.
pub(crate) const TAKE_OVER: SignedDuration = SignedDuration::from_secs(4);
/// Tabs of one supervisor.
const SEATS: usize = 16;
/// How long a poller counts as being there. Apex polls by a timer of some seconds.
pub(crate) const POLLER: SignedDuration = SignedDuration::from_secs(15);

/// A supervisor in an instance.
pub type Whose = (InstanceName, UserId);

/// Everybody who is there.
#[derive(Clone)]
pub(crate) struct Controllers {
    seats: Arc<Mutex<Seats>>,
    changes: broadcast::Sender<Whose>,
    most: usize,
}

#[derive(Default)]
struct Seats {
    last: u64,
    open: usize,
    of: HashMap<Whose, There>,
}

#[derive(Default)]
struct There {
    /// Open streams that act, oldest first.
    streams: Vec<u64>,
    /// Open streams that only watch.
    watching: usize,
    /// When a poller last asked.
    polled: Option<Timestamp>,
    /// Pollers that say which tab they are, in the order in which they were first heard of, and when each last asked.
    tabs: Vec<(String, Timestamp)>,
}

impl There {
    /// A tab asked. Of too many, the one that has not been heard of for longest is forgotten.
    fn heard(&mut self, tab: &str, now: Timestamp) {
        if let Some((_, last)) = self.tabs.iter_mut().find(|(known, _)| known == tab) {
            *last = now;
            return;
        }
        if self.tabs.len() >= SEATS {
            let longest = self.tabs.iter().enumerate().min_by_key(|(_, (_, last))| *last);
            let longest = longest.map_or(0, |(i, _)| i);
            self.tabs.remove(longest);
        }
        self.tabs.push((tab.to_owned(), now));
    }

    /// How many newer tabs that are there go before this one.
    fn rank(&self, tab: &str, now: Timestamp) -> usize {
        let there = self.tabs.iter().rev().filter(|(_, last)| now < *last + POLLER);
        there.take_while(|(known, _)| known != tab).count()
    }
}

impl Controllers {
    /// At most so many streams in all.
    pub(crate) fn new(most: usize) -> Self {
        let (changes, _) = broadcast::channel(256);
        Self {
            seats: Arc::default(),
            changes,
            most,
        }
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat for a stream; `None` when there are too many. A stream that only watches is counted and does not act.
    pub(crate) fn attach(&self, whose: &Whose, acts: bool) -> Option<Seat> {
        let mut seats = self.seats();
        let theirs = seats.of.get(whose).map_or(0, |t| t.streams.len() + t.watching);
        if seats.open >= self.most || theirs >= SEATS {
            return None;
        }
        seats.open += 1;
        seats.last += 1;
        let id = seats.last;
        let there = seats.of.entry(whose.clone()).or_default();
        if acts {
            there.streams.push(id);
        } else {
            there.watching += 1;
        }
        drop(seats);
        let _ = self.changes.send(whose.clone());
        Some(Seat {
            all: self.clone(),
            whose: whose.clone(),
            id,
            acts,
        })
    }

    /// A poller that acts asked, from a tab if it says which.
    pub(crate) fn polled(&self, whose: &Whose, tab: Option<&str>, now: Timestamp) {
        let mut seats = self.seats();
        if seats.of.len() >= 10 * self.most {
            // Bounded: pollers that are long gone make room.
            seats
                .of
                .retain(|_, t| !t.streams.is_empty() || t.watching > 0 || t.polled.is_some_and(|at| now < at + POLLER));
        }
        let there = seats.of.entry(whose.clone()).or_default();
        there.polled = Some(now);
        if let Some(tab) = tab {
            there.heard(tab, now);
        }
    }

    /// Whether somebody is there to act.
    pub(crate) fn is_attached(&self, whose: &Whose, now: Timestamp) -> bool {
        let seats = self.seats();
        seats
            .of
            .get(whose)
            .is_some_and(|t| !t.streams.is_empty() || t.polled.is_some_and(|at| now < at + POLLER))
    }

    /// When it is a poller's turn to act on something given out at `issued_at`: after every open page, and after the newer tabs
    /// that poll, if it says which it is.
    pub(crate) fn pollers_turn(
        &self,
        whose: &Whose,
        tab: Option<&str>,
        issued_at: Timestamp,
        now: Timestamp,
    ) -> Timestamp {
        let seats = self.seats();
        let before = seats.of.get(whose).map_or(0, |there| {
            there.streams.len() + tab.map_or(0, |tab| there.rank(tab, now))
        });
        turn_after(before, issued_at)
    }

    /// Open streams.
    pub(crate) fn open(&self) -> usize {
        self.seats().open
    }
}

/// When it is the turn of one whom `before` others go before.
fn turn_after(before: usize, issued_at: Timestamp) -> Timestamp {
    let before = i32::try_from(before).unwrap_or(i32::MAX);
    issued_at
        .saturating_add(TAKE_OVER.saturating_mul(before))
        .unwrap_or(Timestamp::MAX)
}

/// A stream's seat, until it is dropped.
pub(crate) struct Seat {
    all: Controllers,
    whose: Whose,
    id: u64,
    acts: bool,
}

impl Seat {
    /// How many newer tabs act before this one; `None` if this one only watches.
    fn rank(&self) -> Option<usize> {
        let seats = self.all.seats();
        let streams = &seats.of.get(&self.whose)?.streams;
        streams.iter().rev().position(|id| *id == self.id)
    }

    /// When it is this tab's turn to act on something given out at `issued_at`; `None` for never.
    pub(crate) fn turn(&self, issued_at: Timestamp) -> Option<Timestamp> {
        Some(turn_after(self.rank()?, issued_at))
    }

    /// Whether this stream acts, or only watches.
    pub(crate) fn acts(&self) -> bool {
        self.acts
    }

    /// Whose tabs come and go.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Whose> {
        self.all.changes.subscribe()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.all.seats();
        seats.open = seats.open.saturating_sub(1);
        if let Some(there) = seats.of.get_mut(&self.whose) {
            there.streams.retain(|id| *id != self.id);
            there.watching -= usize::from(!self.acts);
            if there.streams.is_empty() && there.watching == 0 && there.polled.is_none() {
                seats.of.remove(&self.whose);
            }
        }
        drop(seats);
        let _ = self.all.changes.send(self.whose.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(user: &str) -> Whose {
        let instance = InstanceName::parse("main").expect("a name");
        (instance, UserId::parse(user).expect("an id"))
    }

    #[test]
    fn the_newest_tab_acts_first_and_the_next_takes_over() {
        let all = Controllers::new(3);
        let (me, now) = (whose("sup-1"), Timestamp::UNIX_EPOCH);
        assert!(!all.is_attached(&me, now));
        let first = all.attach(&me, true).expect("a seat");
        assert_eq!(first.turn(now), Some(now));
        let second = all.attach(&me, true).expect("a seat");
        assert_eq!((first.turn(now), second.turn(now)), (Some(now + TAKE_OVER), Some(now)));
        let watching = all.attach(&me, false).expect("a seat");
        assert_eq!(watching.turn(now), None);
        assert!(all.attach(&whose("sup-2"), true).is_none(), "there are three");
        drop(second);
        assert_eq!(first.turn(now), Some(now), "it closed: the other is the newest now");
        drop(first);
        assert!(!all.is_attached(&me, now), "who only watches is not there to act");
        drop(watching);
        assert_eq!(all.open(), 0);
        assert!(all.seats().of.is_empty());
    }

    #[test]
    fn a_poller_is_there_for_a_while() {
        let all = Controllers::new(1);
        let (me, now) = (whose("sup-1"), Timestamp::UNIX_EPOCH);
        all.polled(&me, None, now);
        assert!(all.is_attached(&me, now + SignedDuration::from_secs(14)));
        assert!(!all.is_attached(&me, now + POLLER));
        for i in 0..100 {
            all.polled(
                &whose(&format!("sup-{i}")),
                None,
                now + SignedDuration::from_secs(60 * i),
            );
        }
        assert!(all.seats().of.len() <= 11, "bounded");
    }

    #[test]
    fn the_newest_tab_that_polls_acts_first_while_it_is_heard_of() {
        let all = Controllers::new(2);
        let (me, now) = (whose("sup-1"), Timestamp::UNIX_EPOCH);
        all.polled(&me, Some("a"), now);
        all.polled(&me, Some("b"), now + SignedDuration::from_secs(1));
        let later = now + SignedDuration::from_secs(10);
        all.polled(&me, Some("a"), later);
        let turn = |tab, at| all.pollers_turn(&me, tab, later, at);
        assert_eq!((turn(Some("b"), later), turn(None, later)), (later, later));
        assert_eq!(
            turn(Some("a"), later),
            later + TAKE_OVER,
            "asked last, and is the older"
        );
        let silent = now + SignedDuration::from_secs(16);
        assert_eq!(turn(Some("a"), silent), later, "the newer one fell silent");
        let page = all.attach(&me, true).expect("a seat");
        assert_eq!(turn(Some("a"), silent), later + TAKE_OVER, "after the open page");
        drop(page);
        for i in 0..100 {
            all.polled(&me, Some(&format!("t-{i}")), silent + SignedDuration::from_secs(i));
        }
        assert_eq!(all.seats().of[&me].tabs.len(), SEATS, "bounded");
    }
}
