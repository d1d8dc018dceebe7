//! How a seed chooses the properties of a world.
//!
//! About two worlds in three keep the declared assumptions. Each of the others breaks one or two of them on purpose.
//! [`HardWorld::broken`] does not rely on this choice; it looks at the world itself.

use super::clock::{Change, VendorClock};
use super::our_clock::HostClock;
use super::random::Random;
use super::world::{
    Assumption, Dates, Declared, HOUR, HardWorld, Machine, Notices, Polling, RandomDelay, StampFormat, Tail, Traffic,
    WrongStamps,
};
use crate::{Limits, Rounding};

const DAY: f64 = 24.0 * HOUR;
/// Share of worlds that break an assumption on purpose.
const BREAKING: f64 = 0.36;
const BREAKABLE: [Assumption; 7] = [
    Assumption::DriftBound,
    Assumption::StraightLine,
    Assumption::CouplingBound,
    Assumption::OneClock,
    Assumption::FewWrongStamps,
    Assumption::OurClock,
    Assumption::Causality,
];

impl HardWorld {
    /// The world of a seed, `days` days long.
    pub fn random(seed: u64, days: f64) -> Self {
        let mut draw = Draw::new(seed, days);
        let traffic = draw.traffic();
        let polling = draw.polling();
        let (command, notices) = (draw.command(), draw.notices());
        let stamps = draw.stamp_format();
        let clock = draw.clock();
        let machines = draw.machines(clock);
        let names_machines = machines.len() > 1 && !draw.breaks(Assumption::OneClock);
        let dates = draw.dates(&machines[0].clock, traffic.commanded > 0.0);
        let wrong = draw.wrong_stamps();
        let declared = draw.declared(&machines, dates.as_ref(), stamps, &traffic);
        let hosts = draw.hosts(declared.clock_error_ms as f64);
        let restarts = draw.restarts();
        let description = draw.said.join(", ");
        Self {
            seed,
            days,
            description: if description.is_empty() {
                "nothing special".into()
            } else {
                description
            },
            traffic,
            polling,
            command,
            notices,
            machines,
            names_machines,
            stamps,
            wrong,
            dates,
            hosts,
            restarts,
            declared,
        }
    }
}

/// The choice of one world.
struct Draw {
    random: Random,
    end: f64,
    broken: Vec<Assumption>,
    said: Vec<String>,
}

impl Draw {
    fn new(seed: u64, days: f64) -> Self {
        let mut random = Random::new(seed, 1);
        let mut broken = Vec::new();
        if random.chance(BREAKING) {
            broken.push(random.one_of(&BREAKABLE));
            if random.chance(0.25) {
                broken.push(random.one_of(&BREAKABLE));
            }
        }
        Self {
            random,
            end: days * DAY,
            broken,
            said: Vec::new(),
        }
    }

    fn breaks(&self, assumption: Assumption) -> bool {
        self.broken.contains(&assumption)
    }

    fn say(&mut self, words: impl Into<String>) {
        self.said.push(words.into());
    }

    fn traffic(&mut self) -> Traffic {
        let r = &mut self.random;
        let (commanded, unprompted) = match r.share() {
            s if s < 0.25 => (0.0, r.log_between(2.0, 60.0)),
            s if s < 0.45 => (r.log_between(2.0, 60.0), 0.0),
            _ => (r.log_between(2.0, 40.0), r.log_between(2.0, 40.0)),
        };
        let office_hours = r.chance(0.4);
        let first_heard_late = if r.chance(0.2) { r.between(0.0, 0.1) } else { 0.0 };
        self.say(format!("{commanded:.0} + {unprompted:.0} an hour"));
        Traffic {
            commanded,
            unprompted,
            office_hours,
            first_heard_late,
        }
    }

    fn polling(&mut self) -> Polling {
        let breaks = self.breaks(Assumption::Causality);
        let r = &mut self.random;
        let every = r.log_between(1000.0, 60_000.0);
        let declared_age = r.one_of(&[0.0, 500.0, 2000.0, 2000.0, 2000.0, 5000.0]);
        let mut age = declared_age * r.one_of(&[0.0, 0.1, 0.5, 0.9, 1.0]);
        let mut left_before_command = 0.0;
        if breaks {
            if r.chance(0.5) {
                age = declared_age * 1.2 + r.log_between(100.0, 5000.0);
            } else {
                left_before_command = r.log_between(0.002, 0.05);
            }
        }
        if age > declared_age {
            self.say(format!("answers {age:.0} ms old, declared {declared_age:.0}"));
        } else if left_before_command > 0.0 {
            self.say(format!("{:.1} % left before the command", left_before_command * 100.0));
        } else {
            self.say(format!(
                "polled every {:.0} s, data {age:.0} of {declared_age:.0} ms old",
                every / 1000.0
            ));
        }
        Polling {
            every,
            age,
            declared_age,
            left_before_command,
        }
    }

    fn command(&mut self) -> RandomDelay {
        let r = &mut self.random;
        RandomDelay {
            floor: r.log_between(5.0, 150.0),
            tail: Tail::Lognormal(r.log_between(50.0, 500.0), r.between(0.3, 1.0)),
        }
    }

    fn notices(&mut self) -> Notices {
        let r = &mut self.random;
        let tail = match r.share() {
            s if s < 0.6 => Tail::Lognormal(r.log_between(60.0, 1500.0), r.between(0.3, 1.5)),
            s if s < 0.8 => Tail::Pareto(r.log_between(100.0, 1000.0), r.between(1.2, 3.0)),
            _ => Tail::TwoPaths(
                r.log_between(60.0, 300.0),
                r.log_between(600.0, 4000.0),
                r.between(0.1, 0.7),
            ),
        };
        let delay = RandomDelay {
            floor: r.log_between(20.0, 400.0),
            tail,
        };
        let lost = if r.chance(0.4) { r.between(0.0, 0.3) } else { 0.0 };
        let twice = if r.chance(0.4) { r.between(0.0, 0.1) } else { 0.0 };
        let late = if r.chance(0.35) {
            (r.between(0.005, 0.1), r.log_between(60_000.0, HOUR))
        } else {
            (0.0, 0.0)
        };
        let backlogs = if r.chance(0.3) { self.backlogs() } else { Vec::new() };
        if late.0 > 0.0 {
            self.say(format!(
                "{:.0} % up to {:.0} min late",
                late.0 * 100.0,
                late.1 / 60_000.0
            ));
        }
        let polled_first = if self.random.chance(0.5) {
            self.random.share()
        } else {
            0.0
        };
        Notices {
            delay,
            lost,
            twice,
            late,
            backlogs,
            polled_first,
        }
    }

    fn backlogs(&mut self) -> Vec<(f64, f64)> {
        let every = self.random.log_between(12.0 * HOUR, 5.0 * DAY);
        let longest = self.random.log_between(0.25 * HOUR, 4.0 * HOUR);
        let mut backlogs = Vec::new();
        let mut t = self.random.gap(1.0 / every);
        while t < self.end {
            let end = t + longest * self.random.between(0.2, 1.0);
            backlogs.push((t, end));
            t = end + self.random.gap(1.0 / every);
        }
        self.say(format!("{} backlogs of up to {:.1} h", backlogs.len(), longest / HOUR));
        backlogs
    }

    fn stamp_format(&mut self) -> StampFormat {
        let r = &mut self.random;
        let quantum = r.one_of(&[1.0, 1.0, 1.0, 1000.0, 1000.0, 1000.0, 100.0, 10.0, 60_000.0]);
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

    fn clock(&mut self) -> VendorClock {
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
        let count = r.between(1.0, 6.0).round();
        for _ in 0..count as usize {
            let (by, rate) = (r.log_between(40.0, 600.0), r.log_between(20.0, 190.0));
            clock.changes.push(Change {
                at: r.between(0.05, 0.9) * self.end,
                over: by / rate * 1e6,
                by: by * r.sign(),
            });
        }
        clock.drift_ppm = clock.drift_ppm.clamp(-10.0, 10.0);
        self.say(format!("{count:.0} slews"));
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

    fn machines(&mut self, clock: VendorClock) -> Vec<Machine> {
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

    fn dates(&mut self, events: &VendorClock, has_commands: bool) -> Option<Dates> {
        let breaks = self.breaks(Assumption::CouplingBound);
        let r = &mut self.random;
        // Without commands `Date` headers are the only narrow samples.
        if !breaks && !r.chance(if has_commands { 0.4 } else { 0.6 }) {
            return None;
        }
        let mut clock = events.clone();
        let apart = r.one_of(&[0.0, 0.0, 5.0, 50.0, 300.0]);
        clock.offset += apart * r.between(-1.0, 1.0);
        let mut declared = (apart * r.between(1.0, 2.0)).ceil();
        if breaks {
            let steps: f64 = clock.changes.iter().map(|c| c.by.abs()).sum();
            if r.chance(0.6) && steps > 0.0 && steps < 6000.0 {
                clock.changes.clear();
                self.said.push("only the event clock is set".into());
            } else {
                clock.offset = events.offset + (declared + r.log_between(20.0, 800.0)) * r.sign();
            }
        } else if r.chance(0.25) && clock.changes.iter().all(|c| c.over <= 0.0) && !clock.changes.is_empty() {
            // Only one of the two clocks is set, and the declared distance allows for it.
            let steps: f64 = clock.changes.iter().map(|c| c.by.abs()).sum();
            if steps < 3000.0 {
                clock.changes.clear();
                declared += steps.ceil();
                self.said.push("only the event clock is set, as declared".into());
            }
        }
        let r = &mut self.random;
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

    fn wrong_stamps(&mut self) -> WrongStamps {
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

    /// Declares bounds that hold, unless the world is to break them.
    fn declared(
        &mut self,
        machines: &[Machine],
        dates: Option<&Dates>,
        stamps: StampFormat,
        traffic: &Traffic,
    ) -> Declared {
        let mut limits = Limits::default();
        let sparse = (traffic.commanded + traffic.unprompted) * 6.0 < limits.enough_samples as f64;
        let window = if sparse { limits.sparse_window } else { limits.window }.as_secs_f64() * 1000.0;
        if !self.breaks(Assumption::StraightLine) {
            let clocks = machines.iter().map(|m| &m.clock).chain(dates.map(|d| &d.clock));
            let deviation = clocks
                .map(|c| c.deviation_from_line(window, self.end))
                .fold(0.0, f64::max);
            limits.model_error_ms = limits.model_error_ms.max((deviation * 1.1).ceil());
        }
        let r = &mut self.random;
        if r.chance(0.15) {
            limits.quantum_ms = Some(stamps.quantum as i64).filter(|_| stamps.cut_to_seconds <= 0.0);
        }
        let rounding = (stamps.quantum < 2.0 || r.chance(0.2))
            .then_some(stamps.rounding)
            .filter(|_| r.chance(0.5));
        let clock_error_ms = r.one_of(&[5, 10, 50, 50, 50, 100]);
        self.say(format!("our clock ± {clock_error_ms} ms"));
        Declared {
            limits,
            rounding,
            clock_error_ms,
        }
    }

    fn hosts(&mut self, declared: f64) -> Vec<HostClock> {
        let breaks = self.breaks(Assumption::OurClock);
        let two = self.random.chance(0.15);
        // The wobble is small, and all parts together stay within the declared error.
        let one = |draw: &mut Self, reach: f64| {
            let r = &mut draw.random;
            HostClock {
                error: reach * r.between(-0.6, 0.6),
                wobble: (
                    (0.1 * declared).min(4.0) * r.share(),
                    r.log_between(0.5, 8.0),
                    r.share(),
                ),
                corrections: Vec::new(),
            }
        };
        let reach = if two || breaks {
            1.0
        } else {
            self.random.one_of(&[0.05, 0.2, 1.0])
        };
        let mut hosts = vec![one(self, reach * declared)];
        if two {
            hosts.push(one(self, declared));
            let apart = (hosts[0].error - hosts[1].error).abs();
            self.say(format!("two hosts {apart:.0} ms apart"));
        }
        if breaks || self.random.chance(0.2) {
            for host in &mut hosts {
                self.correct(host, declared, breaks);
            }
        }
        hosts
    }

    /// Corrections of a host's clock: small ones within the declared error, or large ones after the machine was paused.
    fn correct(&mut self, host: &mut HostClock, declared: f64, breaks: bool) {
        let end = self.end;
        let r = &mut self.random;
        let (mut level, mut t) = (host.error, r.between(0.05, 0.4) * end);
        let paused = breaks && r.chance(0.4);
        let mut sizes = Vec::new();
        while t < end {
            if paused {
                let behind = r.log_between(300.0, 20_000.0);
                let until = t + r.log_between(2_000.0, 120_000.0);
                host.corrections.extend([(t, -behind), (until, behind)]);
                sizes.push(format!("{behind:+.0}"));
            } else {
                let reach = if breaks { declared + 350.0 } else { 0.8 * declared };
                let next = r.between(-reach, reach);
                host.corrections.push((t, next - level));
                sizes.push(format!("{:+.0}", next - level));
                level = next;
            }
            t += r.gap(1.0 / (6.0 * DAY)) + HOUR;
        }
        self.say(format!("our clock corrected by {} ms", sizes.join(" ")));
    }

    fn restarts(&mut self) -> Vec<f64> {
        let r = &mut self.random;
        if !r.chance(0.4) {
            return Vec::new();
        }
        let every = r.log_between(0.2 * DAY, 10.0 * DAY);
        let mut restarts = Vec::new();
        let mut t = r.gap(1.0 / every);
        while t < self.end {
            restarts.push(t);
            t += r.gap(1.0 / every);
        }
        self.say(format!("{} restarts", restarts.len()));
        restarts
    }
}
