//! How a seed chooses the properties of a world.
//!
//! About two worlds in three keep the declared assumptions. Each of the others breaks one or two of them on purpose.
//! [`HardWorld::broken`] does not rely on this choice; it looks at the world itself.

mod operator;
mod vendor;

use super::random::Random;
use super::world::{Assumption, HOUR, HardWorld, Notices, Polling, RandomDelay, Tail, Traffic};

const DAY: f64 = 24.0 * HOUR;
/// Share of worlds that break an assumption on purpose.
const BREAKING: f64 = 0.36;

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
        let dates = draw.dates(&machines, traffic.commanded > 0.0);
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
            broken.push(random.one_of(&Assumption::ALL));
            if random.chance(0.25) {
                broken.push(random.one_of(&Assumption::ALL));
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
            s if s < 0.48 => (r.log_between(60.0, 250.0), r.log_between(60.0, 250.0)),
            _ => (r.log_between(2.0, 40.0), r.log_between(2.0, 40.0)),
        };
        let office_hours = r.chance(0.4);
        let first_heard_late = if r.chance(0.2) { r.between(0.0, 0.1) } else { 0.0 };
        let bursts = if r.chance(0.25) {
            (r.log_between(0.01, 0.2), r.between(2.0, 12.0) as usize)
        } else {
            (0.0, 0)
        };
        self.say(format!("{commanded:.0} + {unprompted:.0} an hour"));
        if bursts.1 > 0 {
            self.say(format!("bursts of up to {}", bursts.1));
        }
        Traffic {
            commanded,
            unprompted,
            office_hours,
            first_heard_late,
            bursts,
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
        let slow = if self.random.chance(0.25) {
            self.slow_hours()
        } else {
            Vec::new()
        };
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
            slow,
            polled_first,
        }
    }

    fn slow_hours(&mut self) -> Vec<(f64, f64, f64)> {
        let (every, factor) = (
            self.random.log_between(DAY, 6.0 * DAY),
            self.random.log_between(2.0, 15.0),
        );
        let mut slow = Vec::new();
        let mut t = self.random.gap(1.0 / every);
        while t < self.end {
            let until = t + self.random.log_between(0.3 * HOUR, 12.0 * HOUR);
            slow.push((t, until, factor));
            t = until + self.random.gap(1.0 / every);
        }
        self.say(format!("{} times {factor:.0} times slower", slow.len()));
        slow
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
}
