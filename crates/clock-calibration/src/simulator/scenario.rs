//! The invented worlds: how far off the vendor's clock is, how long things take, and what goes wrong.

/// A delay: a floor plus a lognormal, ms.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    /// Never less than this.
    pub floor: f64,
    /// The lognormal's median.
    pub median: f64,
    /// The spread of its logarithm.
    pub sigma: f64,
}

/// How the vendor cuts its stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cutting {
    /// To whole milliseconds.
    Milliseconds,
    /// Down to whole seconds.
    Truncated,
    /// To the nearest second.
    Rounded,
}

impl Cutting {
    /// What the vendor writes when its clock reads `v` ms.
    pub fn stamp(self, v: f64) -> f64 {
        match self {
            Self::Milliseconds => v.floor(),
            Self::Truncated => (v / 1000.0).floor() * 1000.0,
            Self::Rounded => (v / 1000.0).round() * 1000.0,
        }
    }

    /// The quantum, ms.
    pub fn quantum(self) -> f64 {
        if self == Self::Milliseconds { 1.0 } else { 1000.0 }
    }

    /// What a stamp lies below the clock at most minus quantum: rounding reads as truncation of a clock half a quantum on.
    pub fn shift(self) -> f64 {
        if self == Self::Rounded { 500.0 } else { 0.0 }
    }
}

/// One world.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name in the report.
    pub name: &'static str,
    /// What it is, in a line.
    pub story: &'static str,
    /// First or second set of `timing.md`.
    pub set: u8,
    /// How long, hours.
    pub hours: f64,
    /// The first hours, in which nothing is measured.
    pub warm_up_hours: f64,
    /// The vendor's offset at the start, ms.
    pub offset: f64,
    /// Its drift, ppm.
    pub drift_ppm: f64,
    /// A slow change of the drift: amplitude in ppm, period in hours.
    pub wander: Option<(f64, f64)>,
    /// A slow swing of the offset: amplitude in ms, period in hours.
    pub slew: Option<(f64, f64)>,
    /// A step of the vendor's clock: at this share of the time, by so many ms.
    pub step: Option<(f64, f64)>,
    /// How stamps are cut.
    pub cutting: Cutting,
    /// Departures we commanded, an hour.
    pub commanded: f64,
    /// Departures nobody commanded, an hour.
    pub spontaneous: f64,
    /// From command to drop.
    pub command: Delay,
    /// From drop to notice.
    pub notice: Delay,
    /// `Date` probes an hour.
    pub dates: f64,
    /// One way of a `Date` exchange.
    pub way: Delay,
    /// Notices that never come.
    pub loss: f64,
    /// Notices that come twice.
    pub duplicates: f64,
    /// Notices that come up to a minute late.
    pub late: f64,
    /// Stamps of another moment than the drop.
    pub lying: f64,
    /// Our own clock's error, ms either way.
    pub own_clock: f64,
}

impl Scenario {
    /// The vendor's offset at `t` ms after the start.
    pub fn offset_at(&self, t: f64) -> f64 {
        let hours = t / 3_600_000.0;
        let turn = std::f64::consts::TAU;
        let mut offset = self.offset + self.drift_ppm * 1e-6 * t;
        if let Some((ppm, period)) = self.wander {
            // The integral of amplitude · sin(turn · hours / period).
            offset += ppm * 3.6 * period / turn * (1.0 - (turn * hours / period).cos());
        }
        if let Some((ms, period)) = self.slew {
            offset += ms * (turn * hours / period).sin();
        }
        match self.step {
            Some((share, ms)) if hours >= share * self.hours => offset + ms,
            _ => offset,
        }
    }
}

fn first(name: &'static str, story: &'static str) -> Scenario {
    Scenario {
        name,
        story,
        set: 1,
        // A thousand departures, half a minute apart on average.
        hours: 1000.0 / 120.0,
        warm_up_hours: 0.5,
        offset: 1370.0,
        drift_ppm: 0.0,
        wander: None,
        slew: None,
        step: None,
        cutting: Cutting::Milliseconds,
        commanded: 120.0,
        spontaneous: 0.0,
        command: Delay {
            floor: 0.0,
            median: 250.0,
            sigma: 0.5,
        },
        notice: Delay {
            floor: 0.0,
            median: 350.0,
            sigma: 0.8,
        },
        dates: 0.0,
        way: Delay {
            floor: 20.0,
            median: 15.0,
            sigma: 1.0,
        },
        loss: 0.05,
        duplicates: 0.02,
        late: 0.02,
        lying: 0.01,
        own_clock: 0.0,
    }
}

fn second(name: &'static str, story: &'static str) -> Scenario {
    Scenario {
        set: 2,
        hours: 24.0,
        warm_up_hours: 2.0,
        commanded: 20.0,
        spontaneous: 20.0,
        command: Delay {
            floor: 30.0,
            median: 120.0,
            sigma: 0.5,
        },
        notice: Delay {
            floor: 150.0,
            median: 600.0,
            sigma: 0.8,
        },
        loss: 0.02,
        duplicates: 0.02,
        late: 0.01,
        lying: 0.0,
        own_clock: 2.0,
        ..first(name, story)
    }
}

/// All of `timing.md`'s.
pub fn all() -> Vec<Scenario> {
    use Cutting::{Milliseconds, Rounded, Truncated};
    let a2 = || Scenario {
        cutting: Truncated,
        offset: 350.0,
        dates: 12.0,
        ..second("2A", "floor 1 s, +350 ms, Date 12/h")
    };
    vec![
        first("1A", "ms stamps"),
        Scenario {
            cutting: Truncated,
            ..first("1B", "truncated to 1 s")
        },
        Scenario {
            cutting: Rounded,
            ..first("1C", "rounded to 1 s")
        },
        Scenario {
            cutting: Truncated,
            drift_ppm: 50.0,
            ..first("1D", "truncated, 50 ppm drift")
        },
        Scenario {
            cutting: Milliseconds,
            drift_ppm: 50.0,
            notice: Delay {
                floor: 0.0,
                median: 350.0,
                sigma: 1.5,
            },
            ..first("1E", "ms, 50 ppm, heavy tail")
        },
        Scenario {
            cutting: Truncated,
            step: Some((0.5, -1200.0)),
            ..first("1F", "truncated, step of −1.2 s midway")
        },
        a2(),
        Scenario {
            cutting: Truncated,
            offset: -1700.0,
            drift_ppm: 35.0,
            ..second("2B", "−1.7 s, 35 ppm, brackets only")
        },
        Scenario {
            cutting: Milliseconds,
            offset: 750.0,
            drift_ppm: -12.0,
            ..second("2C", "ms stamps, −12 ppm, brackets only")
        },
        Scenario {
            cutting: Rounded,
            drift_ppm: 35.0,
            ..Scenario {
                name: "2D",
                story: "rounded 1 s, 35 ppm, Date 12/h",
                ..a2()
            }
        },
        Scenario {
            name: "2E",
            story: "2A with a step of +0.9 s",
            step: Some((0.5, 900.0)),
            ..a2()
        },
        Scenario {
            name: "2E2",
            story: "2A with a step of −0.25 s",
            step: Some((0.5, -250.0)),
            ..a2()
        },
        Scenario {
            name: "2F",
            story: "2A, wander 2 ppm and 15 ms slew",
            wander: Some((2.0, 12.0)),
            slew: Some((7.5, 6.0)),
            ..a2()
        },
        Scenario {
            name: "2G",
            story: "2A, 30 % loss, 10 % twice, 5 % late, 3 % wrong",
            loss: 0.3,
            duplicates: 0.1,
            late: 0.05,
            lying: 0.03,
            ..a2()
        },
        Scenario {
            cutting: Truncated,
            commanded: 3.0,
            spontaneous: 3.0,
            offset: -1700.0,
            drift_ppm: 35.0,
            ..second("2H", "3 + 3 departures an hour, brackets only")
        },
    ]
}
