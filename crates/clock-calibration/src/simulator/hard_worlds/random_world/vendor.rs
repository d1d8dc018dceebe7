//! The vendor's side: stamps, clocks, machines, `Date` headers and wrong stamps.

use super::super::clock::{Change, VendorClock};
use super::super::world::{
    Assumption, Dates, HOUR, Machine, RandomDelay, StampFormat, Tail, WrongStamps, greatest_distance,
};
use super::{DAY, Draw};
use crate::Rounding;

impl Draw {
    pub(super) fn stamp_format(&mut self) -> StampFormat {
        let r = &mut self.random;
        let quantum = match r.share() {
            s if s < 0.36 => 1.0,
            s if s < 0.72 => 1000.0,
            s if s < 0.86 => 100.0,
            s if s < 0.94 => 10.0,
            _ => 60_000.0,
        };
        let rounding = if r.chance(0.35) {
            Rounding::Rounded
        } else {
            Rounding::Truncated
        };
        let cut_to_seconds = if quantum < 1000.0 && r.chance(0.25) {
            r.log_between(0.001, 0.05)
        } else {
            0.0
        };
        let how = if rounding == Rounding::Rounded {
            "rounded"
        } else {
            "truncated"
        };
        let mixed = if cut_to_seconds > 0.0 {
            format!(" with {:.1} % in seconds", cut_to_seconds * 100.0)
        } else {
            String::new()
        };
        self.say(format!("stamps {how} to {quantum:.0} ms{mixed}"));
        StampFormat {
            quantum,
            rounding,
            cut_to_seconds,
        }
    }

    pub(super) fn clock(&mut self) -> VendorClock {
        let r = &mut self.random;
        let mut clock = VendorClock {
            offset: r.log_between(50.0, 5000.0) * r.sign(),
            drift_ppm: r.log_between(0.05, 150.0) * r.sign(),
            ..VendorClock::default()
        };
        if r.chance(0.3) {
            clock.wander = Some((r.log_between(0.1, 3.0), r.log_between(4.0, 48.0)));
        }
        if self.breaks(Assumption::DriftBound) {
            clock.drift_ppm = self.random.log_between(205.0, 500.0) * self.random.sign();
        }
        self.say(format!("{:+.0} ms {:+.0} ppm", clock.offset, clock.drift_ppm));
        if self.breaks(Assumption::StraightLine) {
            self.bend(&mut clock);
        } else if self.random.chance(0.12) {
            self.slew(&mut clock, (5.0, 60.0));
        }
        if self.random.chance(0.2) {
            self.set_daily(&mut clock);
        } else if self.random.chance(0.45) {
            self.step(&mut clock);
        }
        clock.changes.sort_by(|a, b| a.at.total_cmp(&b.at));
        clock
    }

    /// Slews that are slow enough for the drift bound but too long for a straight line, or a large wander.
    fn bend(&mut self, clock: &mut VendorClock) {
        let r = &mut self.random;
        if r.chance(0.5) {
            let (ppm, period) = (r.log_between(4.0, 40.0), r.log_between(6.0, 48.0));
            clock.wander = Some((ppm, period));
            self.say(format!("wanders by {ppm:.0} ppm in {period:.0} h"));
            return;
        }
        self.slew(clock, (40.0, 600.0));
    }

    /// A few slews of this many ms each.
    fn slew(&mut self, clock: &mut VendorClock, (least, most): (f64, f64)) {
        let r = &mut self.random;
        let count = r.between(1.0, 6.0).round();
        for _ in 0..count as usize {
            let (by, rate) = (r.log_between(least, most), r.log_between(20.0, 190.0));
            clock.changes.push(Change {
                at: r.between(0.05, 0.9) * self.end,
                over: by / rate * 1e6,
                by: by * r.sign(),
            });
        }
        // The slews and the drift together stay within the drift bound.
        clock.drift_ppm = clock.drift_ppm.clamp(-5.0, 5.0);
        self.say(format!("{count:.0} slews of {least:.0} to {most:.0} ms"));
    }

    /// A clock that SNTP sets once a day, give or take its own error.
    fn set_daily(&mut self, clock: &mut VendorClock) {
        let r = &mut self.random;
        let (period, error) = (r.between(0.9, 1.1) * DAY, r.log_between(1.0, 30.0));
        let mut apart = 0.0;
        let (mut last, mut t) = (0.0, r.share() * DAY);
        while t < self.end {
            apart += clock.drift_ppm * 1e-6 * (t - last);
            let by = error * r.normal() - apart;
            apart += by;
            clock.changes.push(Change { at: t, over: 0.0, by });
            (last, t) = (t, t + period);
        }
        let size = (clock.drift_ppm * 1e-6 * period).abs();
        self.say(format!("set once a day by {size:.0} ms"));
    }

    fn step(&mut self, clock: &mut VendorClock) {
        let r = &mut self.random;
        let mut t = r.between(0.1, 0.6) * self.end;
        let mut sizes = Vec::new();
        while t < self.end {
            let by = r.log_between(50.0, 3000.0) * r.sign();
            clock.changes.push(Change { at: t, over: 0.0, by });
            sizes.push(format!("{by:+.0}"));
            t += r.gap(1.0 / (8.0 * DAY)) + 2.0 * HOUR;
        }
        self.say(format!("steps of {} ms", sizes.join(" ")));
    }

    pub(super) fn machines(&mut self, clock: VendorClock) -> Vec<Machine> {
        let several = self.breaks(Assumption::OneClock) || self.random.chance(0.12);
        if !several {
            return vec![Machine { clock, share: 1.0 }];
        }
        let r = &mut self.random;
        let count = r.one_of(&[2, 2, 2, 3, 4]);
        let apart = r.log_between(15.0, 1500.0);
        let first = r.between(0.2, 0.8);
        let mut machines = vec![Machine {
            clock: clock.clone(),
            share: first,
        }];
        for i in 1..count {
            let mut other = clock.clone();
            other.offset += apart * if i == 1 { r.sign() } else { r.between(-1.0, 1.0) };
            // Other machines are set at other times.
            let later = r.between(0.0, (0.05 * self.end).min(6.0 * HOUR));
            other.changes.iter_mut().for_each(|c| c.at += later);
            machines.push(Machine {
                clock: other,
                share: (1.0 - first) / f64::from(count - 1),
            });
        }
        let named = if self.breaks(Assumption::OneClock) {
            "one name"
        } else {
            "named"
        };
        self.say(format!("{count} machines {apart:.0} ms apart, {named}"));
        machines
    }

    pub(super) fn dates(&mut self, machines: &[Machine], has_commands: bool) -> Option<Dates> {
        let breaks = self.breaks(Assumption::CouplingBound);
        // Without commands `Date` headers are the only narrow samples.
        if !breaks && !self.random.chance(if has_commands { 0.4 } else { 0.6 }) {
            return None;
        }
        let mut clock = machines[0].clock.clone();
        clock.offset += self.random.one_of(&[0.0, 0.0, 5.0, 50.0, 300.0]) * self.random.between(-1.0, 1.0);
        if self.random.chance(if breaks { 0.6 } else { 0.25 }) {
            self.set_only_one(&mut clock);
        }
        let apart = greatest_distance(machines, &clock, self.end);
        let r = &mut self.random;
        let mut declared = (apart * r.between(1.0, 2.0)).ceil();
        if breaks {
            // At least 20 ms too small.
            declared = (apart * r.between(0.0, 0.9) - 20.0).max(0.0).ceil();
            if apart <= 20.0 {
                clock.offset += (40.0 + r.log_between(20.0, 800.0)) * r.sign();
            }
        }
        let coupled = breaks || r.chance(0.85);
        let (per_hour, declared_bound) = (r.log_between(2.0, 60.0), coupled.then_some(declared));
        let way = RandomDelay {
            floor: r.log_between(5.0, 60.0),
            tail: Tail::Lognormal(r.log_between(5.0, 40.0), 1.0),
        };
        let bound = declared_bound.map_or_else(|| "not coupled".into(), |b| format!("± {b:.0} ms"));
        self.say(format!("Date {per_hour:.0} an hour, {bound}"));
        Some(Dates {
            per_hour,
            way,
            clock,
            declared_bound,
        })
    }

    /// Only one of the two clocks, of events and of `Date` headers, is set.
    fn set_only_one(&mut self, dates: &mut VendorClock) {
        let r = &mut self.random;
        let steps: f64 = dates.steps().map(|(_, by)| by.abs()).sum();
        if steps <= 0.0 {
            let by = r.log_between(50.0, 3000.0) * r.sign();
            let at = r.between(0.1, 0.9) * self.end;
            dates.changes.push(Change { at, over: 0.0, by });
            dates.changes.sort_by(|a, b| a.at.total_cmp(&b.at));
            self.say(format!("only the Date clock is set, by {by:+.0} ms"));
        } else if steps < 6000.0 {
            dates.changes.retain(|c| c.over > 0.0);
            self.say("only the event clock is set");
        }
    }

    pub(super) fn wrong_stamps(&mut self) -> WrongStamps {
        let breaks = self.breaks(Assumption::FewWrongStamps);
        let r = &mut self.random;
        let wrong = if breaks {
            match r.share() {
                s if s < 0.25 => {
                    let from = r.between(0.1, 0.8) * self.end;
                    let until = from + r.log_between(HOUR, DAY);
                    WrongStamps::Adversary(
                        from,
                        until,
                        r.log_between(150.0, 5000.0) * r.sign(),
                        r.between(0.05, 0.3),
                    )
                }
                s if s < 0.4 => WrongStamps::Constant(r.between(0.04, 0.2), r.log_between(200.0, 5000.0) * r.sign()),
                _ => WrongStamps::Random(
                    r.between(0.04, 0.2),
                    (200.0, r.log_between(400.0, 4.0 * HOUR)),
                    r.share(),
                ),
            }
        } else {
            match r.share() {
                s if s < 0.6 => WrongStamps::None,
                s if s < 0.7 => WrongStamps::Constant(r.log_between(0.001, 0.03), HOUR * r.sign()),
                _ => {
                    let share = r.log_between(0.001, 0.03);
                    WrongStamps::Random(share, (200.0, r.log_between(400.0, 4.0 * HOUR)), r.share())
                }
            }
        };
        match wrong {
            WrongStamps::None => {}
            WrongStamps::Random(share, (_, most), early) => self.say(format!(
                "{:.1} % wrong by 0.2 to {:.1} s, {:.0} % of them early",
                share * 100.0,
                most / 1000.0,
                early * 100.0
            )),
            WrongStamps::Constant(share, by) => self.say(format!("{:.1} % wrong by {by:+.0} ms", share * 100.0)),
            WrongStamps::Adversary(from, until, by, share) => self.say(format!(
                "an adversary for {:.0} h: {:.0} % wrong by {by:+.0} ms",
                (until - from) / HOUR,
                share * 100.0
            )),
        }
        wrong
    }
}
