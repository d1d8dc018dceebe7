//! Refusals and reads that are not in the store yet. However many there are, few become lines: of each caller and network the first ones of
//! a while, and then one line that counts the others. Everything here is bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::ids::SupervisionId;

/// The most lines that wait to be written.
const MOST_WAITING: usize = 2000;
/// The most callers and networks that are told apart. The others share one count.
const MOST_SENDERS: usize = 500;
/// The most lines of a minute, of all senders together. More are counted.
const LINES_A_MINUTE: u32 = 240;
const MINUTE: Duration = Duration::from_secs(60);
/// The name of all callers that are not counted separately.
const OTHERS: &str = "(others)";

/// How many lines one sender gets in a while.
struct Limit {
    lines: u32,
    within: Duration,
}

impl Limit {
    fn of(action: AuditAction) -> Self {
        match action {
            AuditAction::AccessRefused => Self {
                lines: 10,
                within: MINUTE,
            },
            // A page that polls reads the same supervision again and again.
            _ => Self {
                lines: 20,
                within: Duration::from_mins(10),
            },
        }
    }
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Sender {
    action: &'static str,
    actor: String,
    peer: Option<String>,
}

/// The requests of one sender in a while.
struct Window {
    ends: Duration,
    lines: u32,
    /// The supervisions that have a line.
    read: BTreeSet<SupervisionId>,
    more: u32,
    /// The last request that became no line.
    last: Option<AuditEntry>,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<AuditEntry>,
    windows: BTreeMap<Sender, Window>,
    /// The running minute's end, and its lines.
    minute: (Duration, u32),
    lost: u64,
}

/// The refusals and reads that are not in the store yet.
#[derive(Default)]
pub(crate) struct AccessLog(Mutex<Inner>);

impl AccessLog {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a refusal or a read, at `now` by the clock that does not step. Returns whether there is something new to write.
    pub(crate) fn note(&self, entry: AuditEntry, now: Duration) -> bool {
        self.inner().note(entry, now)
    }

    /// When the next count is to be written; `None` if nothing was counted.
    pub(crate) fn next_count(&self) -> Option<Duration> {
        let inner = self.inner();
        let counted = inner.windows.values().filter(|window| window.more > 0);
        counted.map(|window| window.ends).min()
    }

    /// Makes a line of every count whose time is over; of all counts if `all`.
    pub(crate) fn count_up(&self, now: Duration, at: Timestamp, all: bool) {
        self.inner().count_up(now, at, all);
    }

    /// The oldest lines, at most `most`.
    pub(crate) fn take(&self, most: usize) -> Vec<AuditEntry> {
        let waiting = &mut self.inner().waiting;
        let count = most.min(waiting.len());
        waiting.drain(..count).collect()
    }

    /// Lines that could not be written, for the next time.
    pub(crate) fn put_back(&self, lines: Vec<AuditEntry>) {
        let mut inner = self.inner();
        for line in lines.into_iter().rev() {
            if inner.waiting.len() >= MOST_WAITING {
                inner.lost += 1;
            } else {
                inner.waiting.push_front(line);
            }
        }
    }

    /// How many refusals and reads were lost since the last call.
    pub(crate) fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.inner().lost)
    }
}

impl Inner {
    fn note(&mut self, entry: AuditEntry, now: Duration) -> bool {
        let limit = Limit::of(entry.action);
        let mut sender = Sender {
            action: entry.action.as_str(),
            actor: entry.actor.clone(),
            peer: entry.peer.clone(),
        };
        if self.windows.len() >= MOST_SENDERS && !self.windows.contains_key(&sender) {
            // One that has ended and has counted nothing has no use any more.
            self.windows.retain(|_, window| window.ends > now || window.more > 0);
            if self.windows.len() >= MOST_SENDERS {
                (sender.actor, sender.peer) = (OTHERS.into(), None);
            }
        }
        let is_full = self.waiting.len() >= MOST_WAITING;
        if now >= self.minute.0 {
            self.minute = (now + MINUTE, 0);
        }
        let may_write = self.minute.1 < LINES_A_MINUTE && !is_full;
        let new = || Window {
            ends: now + limit.within,
            lines: 0,
            read: BTreeSet::new(),
            more: 0,
            last: None,
        };
        let window = self.windows.entry(sender).or_insert_with(new);
        if window.ends <= now && window.more == 0 {
            *window = new();
        }
        let is_repeated =
            entry.action != AuditAction::AccessRefused && entry.supervision.is_some_and(|id| window.read.contains(&id));
        if is_repeated || window.lines >= limit.lines || !may_write {
            window.more = window.more.saturating_add(1);
            window.last = Some(entry);
            return window.more == 1;
        }
        window.lines += 1;
        window.read.extend(entry.supervision);
        self.minute.1 += 1;
        self.waiting.push_back(entry);
        true
    }

    fn count_up(&mut self, now: Duration, at: Timestamp, all: bool) {
        let mut over = Vec::new();
        self.windows.retain(|sender, window| {
            let is_over = all || window.ends <= now;
            if is_over && let Some(last) = window.last.take() {
                over.push(counted(sender, window, last, at));
            }
            !is_over
        });
        for line in over {
            if self.waiting.len() >= MOST_WAITING {
                self.lost += u64::from(line.times.unwrap_or(1));
            } else {
                self.waiting.push_back(line);
            }
        }
    }
}

/// The line that counts what became no line of its own.
fn counted(sender: &Sender, window: &Window, last: AuditEntry, at: Timestamp) -> AuditEntry {
    let one = window.more == 1;
    let times = window.more;
    AuditEntry {
        at,
        actor: sender.actor.clone(),
        peer: sender.peer.clone(),
        supervision: last.supervision.filter(|_| one),
        request_id: last.request_id.filter(|_| one),
        client_request_id: last.client_request_id.filter(|_| one),
        outcome: format!("{times} more; the last one: {}", last.outcome),
        times: Some(times),
        ..last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: AuditAction, actor: &str, id: Option<u64>) -> AuditEntry {
        let mut entry = AuditEntry::done(Timestamp::UNIX_EPOCH, actor, action, "outcome");
        entry.peer = Some("192.0.2.1".into());
        entry.supervision = id.map(|n| SupervisionId::new(Timestamp::UNIX_EPOCH, 0, n));
        entry
    }

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn times(log: &AccessLog) -> Vec<Option<u32>> {
        log.take(usize::MAX).iter().map(|line| line.times).collect()
    }

    #[test]
    fn refusals_of_one_sender_are_lines_and_then_a_count() {
        let log = AccessLog::default();
        let refused = || entry(AuditAction::AccessRefused, "a", Some(1));
        let news: Vec<bool> = (0..25).map(|_| log.note(refused(), seconds(1))).collect();
        assert_eq!(
            news.iter().filter(|n| **n).count(),
            11,
            "ten lines and the first that is counted"
        );
        assert_eq!(times(&log), [None; 10]);
        assert_eq!(log.next_count(), Some(seconds(61)));
        log.count_up(seconds(60), Timestamp::UNIX_EPOCH, false);
        assert_eq!(times(&log), []);
        log.count_up(seconds(61), Timestamp::UNIX_EPOCH, false);
        assert_eq!(times(&log), [Some(15)]);
        assert_eq!(log.next_count(), None);
        assert!(log.note(refused(), seconds(62)), "another minute");
    }

    #[test]
    fn reads_of_the_same_supervision_are_one_line_in_ten_minutes() {
        let log = AccessLog::default();
        for second in 0..60 {
            log.note(entry(AuditAction::SupervisionRead, "a", Some(1)), seconds(second));
        }
        log.note(entry(AuditAction::SupervisionRead, "a", Some(2)), seconds(60));
        assert_eq!(times(&log), [None, None]);
        log.count_up(seconds(600), Timestamp::UNIX_EPOCH, false);
        assert_eq!(times(&log), [Some(59)]);
    }

    #[test]
    fn senders_and_lines_are_bounded() {
        let log = AccessLog::default();
        for n in 0..5000 {
            log.note(
                entry(AuditAction::AccessRefused, &format!("caller-{n}"), None),
                seconds(1),
            );
        }
        assert_eq!(times(&log).len() as u32, LINES_A_MINUTE);
        assert!(log.inner().windows.len() <= MOST_SENDERS + 1);
        log.count_up(seconds(1), Timestamp::UNIX_EPOCH, true);
        let counts = log.take(usize::MAX);
        let all: u32 = counts.iter().filter_map(|line| line.times).sum();
        assert_eq!(all, 5000 - LINES_A_MINUTE, "none is forgotten");
        assert!(counts.iter().any(|line| line.actor == OTHERS));
        log.put_back(counts);
        assert_eq!(log.take_lost(), 0);
    }
}
