//! What happened in a world, and what reached us of it.

use super::our_clock::Scale;
use super::random::Random;
use super::world::{HOUR, HardWorld, WrongStamps};
use crate::Rounding;

/// One departure, as it reached us. Readings of our clock and stamps are in ms after the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departure {
    /// When it really happened.
    pub truth: f64,
    /// Our clock when the last poll was sent that showed the leg alive, or when the command was sent. An estimator may
    /// use it for the point; the bound needs `not_before`.
    pub asked: Option<f64>,
    /// The host that read it.
    pub asked_by: usize,
    /// The host that read the times of arrival.
    pub heard_by: usize,
    /// The same less the declared age of a poll's data.
    pub not_before: Option<f64>,
    /// Our clock when the end was first proven.
    pub gone_by: f64,
    /// Our clock when the notice with the stamp arrived.
    pub learnt: f64,
    /// The vendor's stamp.
    pub stamp: f64,
    /// The quantum that the stamp really has, in ms.
    pub quantum: f64,
    /// Whether a command of ours caused it.
    pub commanded: bool,
    /// The vendor's machine that stamped it.
    pub machine: usize,
    /// Whether the evidence of this departure is true as declared: the stamp is of the departure, the leg was alive at
    /// the lower end, and our clock is not worse than declared. No estimator can do without that.
    pub is_sound: bool,
    /// Whether this is a duplicate of an earlier notice.
    pub again: bool,
    /// The error of our clock at the departure, in ms, on the host that heard of it.
    pub our_error: f64,
}

/// One `Date` exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    /// When the vendor stamped it, in true time.
    pub truth: f64,
    /// Our clock when the request was sent.
    pub sent: f64,
    /// Our clock when the answer arrived.
    pub received: f64,
    /// The header, truncated to a second.
    pub stamp: f64,
}

/// Something that reached us or happened to us.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrival {
    /// The notice of a departure.
    Departure(Departure),
    /// The time to send a `Date` probe.
    Probe,
    /// The service stops and starts again.
    Restart,
    /// The service follows a correction of a host's clock: the host, and by how many ms.
    OwnStep(usize, f64),
}

/// The history of a world: all arrivals, each with its true time, in ms after the start.
pub(crate) struct History<'w> {
    world: &'w HardWorld,
    scales: Vec<Scale>,
    random: Random,
}

impl<'w> History<'w> {
    pub(crate) fn new(world: &'w HardWorld) -> Self {
        Self {
            world,
            scales: world.scales(),
            random: Random::new(world.seed, 2),
        }
    }

    /// The time scale of the host with this number.
    pub(crate) fn scale(&self, host: usize) -> &Scale {
        &self.scales[host]
    }

    /// The jumps of the service's time scale, in the order of time.
    pub(crate) fn own_jumps(&self) -> Vec<(f64, f64)> {
        let mut jumps: Vec<(f64, f64)> = self
            .scales
            .iter()
            .flat_map(|s| &s.jumps)
            .map(|j| (j.at, j.by))
            .collect();
        jumps.sort_by(|a, b| a.0.total_cmp(&b.0));
        jumps
    }

    /// All arrivals in the order of time.
    pub(crate) fn arrivals(&mut self) -> Vec<(f64, Arrival)> {
        let (world, end) = (self.world, self.world.end());
        let mut all = Vec::new();
        for (rate, commanded) in [(world.traffic.commanded, true), (world.traffic.unprompted, false)] {
            // A rate of zero gives an infinite gap.
            let mut t = self.random.gap(rate / HOUR);
            while t < end {
                if !self.is_night(t) || self.random.chance(0.04) {
                    self.departure(t, commanded, &mut all);
                    for _ in 0..self.companions() {
                        let t = t + self.random.between(0.0, 2000.0);
                        self.departure(t, commanded, &mut all);
                    }
                }
                t += self.random.gap(rate / HOUR);
            }
        }
        if let Some(dates) = &world.dates {
            let gap = HOUR / dates.per_hour;
            let mut t = gap * self.random.share();
            while t < end {
                all.push((t, Arrival::Probe));
                t += gap * self.random.between(0.9, 1.1);
            }
        }
        all.extend(world.restarts.iter().map(|t| (*t, Arrival::Restart)));
        for (host, scale) in self.scales.iter().enumerate() {
            let followed = scale.jumps.iter().filter(|j| j.followed);
            all.extend(followed.map(|j| (j.at, Arrival::OwnStep(host, j.by))));
        }
        all.retain(|(t, _)| *t < end);
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    }

    fn is_night(&self, t: f64) -> bool {
        self.world.traffic.office_hours && (t / HOUR).rem_euclid(24.0) > 11.0
    }

    /// How many other departures follow within two seconds, for example because a conference ends.
    fn companions(&mut self) -> usize {
        let (share, most) = self.world.traffic.bursts;
        let count = self.random.between(0.0, most as f64) as usize;
        if self.random.chance(share) { count } else { 0 }
    }

    fn departure(&mut self, t: f64, commanded: bool, all: &mut Vec<(f64, Arrival)>) {
        let world = self.world;
        let (asked_by, heard_by) = (self.host(), self.host());
        let (truth, asked_at) = if commanded {
            self.commanded(t)
        } else {
            (t, self.last_alive(t))
        };
        let machine = self.machine();
        let (stamped, is_wrong) = self.stamped(truth);
        let (stamp, quantum) = self.stamp(stamped + world.machines[machine].clock.offset_at(stamped));
        let arrives = self.arrives(truth);
        let proven = self.proven(truth, arrives);
        let lost = self.random.chance(world.notices.lost);
        let twice = self.random.chance(world.notices.twice);
        let later = arrives + self.random.delay(world.notices.delay);
        let (asks, hears) = (&self.scales[asked_by], &self.scales[heard_by]);
        let age = if commanded { 0.0 } else { world.polling.declared_age };
        let (learnt, asked) = (hears.reading(arrives), asked_at.map(|t| asks.reading(t)));
        let declared = world.declared.clock_error_ms as f64;
        let our_errors = [
            hears.error_at(truth),
            hears.error_at(arrives),
            asked_at.map_or(0.0, |t| asks.error_at(t)),
        ];
        let departure = Departure {
            truth,
            asked,
            asked_by,
            heard_by,
            not_before: asked.map(|t| t - age),
            gone_by: hears.reading(proven).min(learnt),
            learnt,
            stamp,
            quantum,
            commanded,
            machine,
            is_sound: !is_wrong
                && asked_at.is_none_or(|t| t - age <= truth)
                && our_errors.iter().all(|e| e.abs() <= declared),
            again: false,
            our_error: our_errors[0],
        };
        // The service does not use a stamp from long before the join or from the future.
        if stamp > learnt + 5.0 * 60_000.0 || stamp < truth - 1.2 * HOUR {
            return;
        }
        if !lost {
            all.push((arrives, Arrival::Departure(departure)));
        }
        if twice {
            let learnt = hears.reading(later);
            let gone_by = departure.gone_by.min(learnt);
            all.push((
                later,
                Arrival::Departure(Departure {
                    learnt,
                    gone_by,
                    again: !lost,
                    ..departure
                }),
            ));
        }
    }

    fn host(&mut self) -> usize {
        let other = self.random.chance(0.5);
        usize::from(other && self.scales.len() > 1)
    }

    /// When a commanded departure happened and when its command was sent.
    fn commanded(&mut self, t: f64) -> (f64, Option<f64>) {
        let world = self.world;
        if self.random.chance(world.polling.left_before_command) {
            return (t, Some(t + self.random.log_between(50.0, 3000.0)));
        }
        (t + self.random.delay(world.command), Some(t))
    }

    /// When the last poll was sent whose answer showed the leg alive. The data of an answer may be older than its poll.
    fn last_alive(&mut self, truth: f64) -> Option<f64> {
        let polling = self.world.polling;
        if self.random.chance(self.world.traffic.first_heard_late) {
            return None;
        }
        let last = truth - polling.every * self.random.share();
        let mut alive = last;
        // Polls that were sent after the departure, with data from before it.
        let mut sent = last + polling.every;
        while sent - truth < polling.age {
            if self.random.share() * polling.age > sent - truth {
                alive = sent;
            }
            sent += polling.every;
        }
        Some(alive)
    }

    fn machine(&mut self) -> usize {
        let mut share = self.random.share();
        for (i, machine) in self.world.machines.iter().enumerate() {
            share -= machine.share;
            if share < 0.0 {
                return i;
            }
        }
        0
    }

    /// The moment that the vendor stamps, and whether it is another one than the departure.
    fn stamped(&mut self, truth: f64) -> (f64, bool) {
        let random = &mut self.random;
        let by = match self.world.wrong {
            WrongStamps::None => 0.0,
            WrongStamps::Random(share, (least, most), early) => {
                let by = random.log_between(least, most.max(least));
                let by = if random.chance(early) { -by } else { by };
                if random.chance(share) { by } else { 0.0 }
            }
            WrongStamps::Constant(share, by) => {
                if random.chance(share) {
                    by
                } else {
                    0.0
                }
            }
            WrongStamps::Adversary(from, until, by, share) => {
                if from <= truth && truth < until && random.chance(share) {
                    by
                } else {
                    0.0
                }
            }
        };
        (truth + by, by != 0.0)
    }

    /// The vendor's stamp when its clock reads `v`, and its quantum.
    fn stamp(&mut self, v: f64) -> (f64, f64) {
        let format = self.world.stamps;
        let cut = format.quantum < 1000.0 && self.random.chance(format.cut_to_seconds);
        let quantum = if cut { 1000.0 } else { format.quantum };
        let steps = if format.rounding == Rounding::Rounded {
            (v / quantum).round()
        } else {
            (v / quantum).floor()
        };
        (steps * quantum, quantum)
    }

    /// When the notice of a departure arrives.
    fn arrives(&mut self, truth: f64) -> f64 {
        let notices = &self.world.notices;
        let slow = notices
            .slow
            .iter()
            .find(|(from, until, _)| *from <= truth && truth < *until);
        let mut at = truth + self.random.delay(notices.delay) * slow.map_or(1.0, |s| s.2);
        if self.random.chance(notices.late.0) {
            at += notices.late.1 * self.random.share();
        }
        let backlog = notices.backlogs.iter().find(|(from, until)| *from <= at && at < *until);
        if let Some((from, until)) = backlog {
            // A queue is emptied in its order.
            at = until + 20_000.0 * (at - from) / (until - from);
        }
        at
    }

    /// When the end was first proven: by the notice or by a poll.
    fn proven(&mut self, truth: f64, arrives: f64) -> f64 {
        let world = self.world;
        let polled =
            truth + world.polling.every * self.random.share() + world.polling.age + self.random.between(30.0, 300.0);
        if self.random.chance(world.notices.polled_first) {
            polled.min(arrives)
        } else {
            arrives
        }
    }

    /// One `Date` exchange that starts at `sent`, in true time. `None` if it is lost.
    pub(crate) fn exchange(&mut self, sent: f64) -> Option<Exchange> {
        let dates = self.world.dates.as_ref()?;
        let truth = sent + self.random.delay(dates.way);
        let back = truth + self.random.delay(dates.way);
        if self.random.chance(self.world.notices.lost) {
            return None;
        }
        let scale = &self.scales[0];
        let stamp = ((truth + dates.clock.offset_at(truth)) / 1000.0).floor() * 1000.0;
        Some(Exchange {
            truth,
            sent: scale.reading(sent),
            received: scale.reading(back),
            stamp,
        })
    }
}
