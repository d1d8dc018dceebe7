//! The simulated worlds: how wrong the vendor's clock is, how long things take, and what fails.

/// A delay in ms: a floor plus a lognormal variable.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    /// The least delay.
    pub floor: f64,
    /// The median of the lognormal variable.
    pub median: f64,
    /// The standard deviation of its logarithm.
    pub sigma: f64,
}

/// How the vendor reduces its stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Down to whole milliseconds.
    Milliseconds,
    /// Down to whole seconds.
    Truncated,
    /// To the nearest second.
    Rounded,
}

impl Rounding {
    /// The vendor's stamp when its clock reads `v` ms.
    pub fn stamp(self, v: f64) -> f64 {
        match self {
            Self::Milliseconds => v.floor(),
            Self::Truncated => (v / 1000.0).floor() * 1000.0,
            Self::Rounded => (v / 1000.0).round() * 1000.0,
        }
    }

    /// The quantum, in ms.
    pub fn quantum(self) -> f64 {
        if self == Self::Milliseconds { 1.0 } else { 1000.0 }
    }

    /// How far truncated stamps seem ahead, in ms: rounding equals truncation by a clock half a quantum ahead.
    pub fn shift(self) -> f64 {
        if self == Self::Rounded { 500.0 } else { 0.0 }
    }
}

/// One simulated world.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The name in the report.
    pub name: &'static str,
    /// The description in the report.
    pub description: &'static str,
    /// The set of scenarios that it belongs to: 1 or 2.
    pub set: u8,
    /// Simulated time, in hours.
    pub hours: f64,
    /// Nothing is measured in these first hours.
    pub warm_up_hours: f64,
    /// The vendor's offset at the start, in ms.
    pub offset: f64,
    /// The vendor's drift, in ppm.
    pub drift_ppm: f64,
    /// A slow change of the drift: amplitude in ppm, period in hours.
    pub wander: Option<(f64, f64)>,
    /// A slow oscillation of the offset: amplitude in ms, period in hours.
    pub slew: Option<(f64, f64)>,
    /// A step of the vendor's clock: after this share of the time, by this many ms.
    pub step: Option<(f64, f64)>,
    /// How stamps are reduced.
    pub rounding: Rounding,
    /// Commanded departures per hour.
    pub commanded: f64,
    /// Spontaneous departures per hour.
    pub spontaneous: f64,
    /// Delay from command to departure.
    pub command: Delay,
    /// Delay from departure to notice.
    pub notice: Delay,
    /// `Date` probes per hour.
    pub dates: f64,
    /// Delay of one direction of a `Date` exchange.
    pub way: Delay,
    /// Share of notices that are lost.
    pub loss: f64,
    /// Share of notices that arrive twice.
    pub duplicates: f64,
    /// Share of notices that arrive up to a minute late.
    pub late: f64,
    /// Share of stamps that are of another moment than the departure.
    pub outliers: f64,
    /// Error of our own clock, in ms in either direction.
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

fn first(name: &'static str, description: &'static str) -> Scenario {
    Scenario {
        name,
        description,
        set: 1,
        // A thousand departures, half a minute apart on average.
        hours: 1000.0 / 120.0,
        warm_up_hours: 0.5,
        offset: 1370.0,
        drift_ppm: 0.0,
        wander: None,
        slew: None,
        step: None,
        rounding: Rounding::Milliseconds,
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
        outliers: 0.01,
        own_clock: 0.0,
    }
}

fn second(name: &'static str, description: &'static str) -> Scenario {
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
        outliers: 0.0,
        own_clock: 2.0,
        ..first(name, description)
    }
}

/// All scenarios of docs/timing.md.
pub fn all() -> Vec<Scenario> {
    use Rounding::{Milliseconds, Rounded, Truncated};
    let a2 = || Scenario {
        rounding: Truncated,
        offset: 350.0,
        dates: 12.0,
        ..second("2A", "floor 1 s, +350 ms, Date 12/h")
    };
    vec![
        first("1A", "ms stamps"),
        Scenario {
            rounding: Truncated,
            ..first("1B", "truncated to 1 s")
        },
        Scenario {
            rounding: Rounded,
            ..first("1C", "rounded to 1 s")
        },
        Scenario {
            rounding: Truncated,
            drift_ppm: 50.0,
            ..first("1D", "truncated, 50 ppm drift")
        },
        Scenario {
            rounding: Milliseconds,
            drift_ppm: 50.0,
            notice: Delay {
                floor: 0.0,
                median: 350.0,
                sigma: 1.5,
            },
            ..first("1E", "ms, 50 ppm, heavy tail")
        },
        Scenario {
            rounding: Truncated,
            step: Some((0.5, -1200.0)),
            ..first("1F", "truncated, step of −1.2 s midway")
        },
        a2(),
        Scenario {
            rounding: Truncated,
            offset: -1700.0,
            drift_ppm: 35.0,
            ..second("2B", "−1.7 s, 35 ppm, brackets only")
        },
        Scenario {
            rounding: Milliseconds,
            offset: 750.0,
            drift_ppm: -12.0,
            ..second("2C", "ms stamps, −12 ppm, brackets only")
        },
        Scenario {
            rounding: Rounded,
            drift_ppm: 35.0,
            ..Scenario {
                name: "2D",
                description: "rounded 1 s, 35 ppm, Date 12/h",
                ..a2()
            }
        },
        Scenario {
            name: "2E",
            description: "2A with a step of +0.9 s",
            step: Some((0.5, 900.0)),
            ..a2()
        },
        Scenario {
            name: "2E2",
            description: "2A with a step of −0.25 s",
            step: Some((0.5, -250.0)),
            ..a2()
        },
        Scenario {
            name: "2F",
            description: "2A, wander 2 ppm and 15 ms slew",
            wander: Some((2.0, 12.0)),
            slew: Some((7.5, 6.0)),
            ..a2()
        },
        Scenario {
            name: "2G",
            description: "2A with 30 % of samples lost, 10 % duplicated, 5 % late and 3 % wrong",
            loss: 0.3,
            duplicates: 0.1,
            late: 0.05,
            outliers: 0.03,
            ..a2()
        },
        Scenario {
            rounding: Truncated,
            commanded: 3.0,
            spontaneous: 3.0,
            offset: -1700.0,
            drift_ppm: 35.0,
            ..second("2H", "3 + 3 departures an hour, brackets only")
        },
    ]
}
