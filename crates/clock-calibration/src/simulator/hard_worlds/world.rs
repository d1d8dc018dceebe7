//! The properties of a hard world, and which declared assumptions it breaks.

use super::clock::VendorClock;
use super::our_clock::{HostClock, Scale};
use crate::{Limits, Rounding};

/// An hour in ms.
pub(crate) const HOUR: f64 = 3_600_000.0;

/// An assumption that the operator declares by configuring the service, or that the documentation states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assumption {
    /// The clock drifts by at most [`Limits::max_drift_ppm`].
    DriftBound,
    /// Within the window the clock deviates from a straight line by at most [`Limits::model_error_ms`].
    StraightLine,
    /// The clock of the `Date` headers is within the declared distance of the clock of the event stamps.
    CouplingBound,
    /// One name of a clock stands for one clock.
    OneClock,
    /// At most 3 % of the stamps are of another moment, and no adversary chooses them.
    FewWrongStamps,
    /// Our own clock is wrong by at most the declared error.
    OurClock,
    /// The leg was alive at the lower end of its bracket.
    Causality,
}

impl Assumption {
    /// All assumptions.
    pub const ALL: [Self; 7] = [
        Self::DriftBound,
        Self::StraightLine,
        Self::CouplingBound,
        Self::OneClock,
        Self::FewWrongStamps,
        Self::OurClock,
        Self::Causality,
    ];

    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DriftBound => "drift bound",
            Self::StraightLine => "straight line",
            Self::CouplingBound => "coupling bound",
            Self::OneClock => "one clock",
            Self::FewWrongStamps => "few wrong stamps",
            Self::OurClock => "our clock",
            Self::Causality => "causality",
        }
    }
}

/// The shape of a delay above its floor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tail {
    /// Median in ms, and standard deviation of the logarithm.
    Lognormal(f64, f64),
    /// Scale in ms and exponent: rare delays are very long.
    Pareto(f64, f64),
    /// Two typical delays in ms, and the share of the second.
    TwoPaths(f64, f64, f64),
}

/// A delay: its least value in ms, and the distribution of the rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RandomDelay {
    /// The least delay, in ms.
    pub floor: f64,
    /// The distribution above the least delay.
    pub tail: Tail,
}

/// How many departures there are, by the hour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    /// Departures that a command of ours causes.
    pub commanded: f64,
    /// Departures without a command, for example legs left in the CCP.
    pub unprompted: f64,
    /// Whether there is little traffic at night.
    pub office_hours: bool,
    /// Share of unprompted departures without any proof that the leg was alive.
    pub first_heard_late: f64,
    /// Share of departures that several others accompany within two seconds, and how many at most.
    pub bursts: (f64, usize),
}

/// How the service polls legs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Polling {
    /// Time between two polls of a leg, in ms.
    pub every: f64,
    /// Greatest true age of an answer's data, in ms.
    pub age: f64,
    /// The declared bound of this age, in ms.
    pub declared_age: f64,
    /// Share of commanded departures that had happened shortly before the command was sent.
    pub left_before_command: f64,
}

/// How notices reach us.
#[derive(Debug, Clone)]
pub(crate) struct Notices {
    /// The usual delay from departure to notice.
    pub delay: RandomDelay,
    /// Share that is lost.
    pub lost: f64,
    /// Share that arrives twice.
    pub twice: f64,
    /// Share that is late, and by at most how many ms.
    pub late: (f64, f64),
    /// Intervals in ms after the start in which nothing is delivered; all of it arrives at their end.
    pub backlogs: Vec<(f64, f64)>,
    /// Slow hours: from, until, and how many times longer each notice takes then.
    pub slow: Vec<(f64, f64, f64)>,
    /// Share of departures that a poll has confirmed before a late notice arrives.
    pub polled_first: f64,
}

/// One of the vendor's machines.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Its clock.
    pub clock: VendorClock,
    /// Share of the departures that it stamps.
    pub share: f64,
}

/// How the vendor writes stamps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StampFormat {
    /// The quantum, in ms.
    pub quantum: f64,
    /// Whether stamps are truncated or rounded.
    pub rounding: Rounding,
    /// Share of stamps that are cut to whole seconds although the others have fractions.
    pub cut_to_seconds: f64,
}

/// Stamps that are of another moment than the departure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WrongStamps {
    /// None.
    None,
    /// A share of the stamps, each by a random distance between the two values in ms. The last number is the share that
    /// is earlier than the departure.
    Random(f64, (f64, f64), f64),
    /// A share of the stamps is wrong by exactly this many ms, as with a time zone.
    Constant(f64, f64),
    /// From the first to the second time, in ms after the start, an adversary confirms real departures with stamps that are
    /// wrong by the third number of ms. The fourth is the share of departures.
    Adversary(f64, f64, f64, f64),
}

/// The `Date` headers of the vendor's API.
#[derive(Debug, Clone)]
pub(crate) struct Dates {
    /// Probes in an hour.
    pub per_hour: f64,
    /// Delay of one direction.
    pub way: RandomDelay,
    /// Their clock.
    pub clock: VendorClock,
    /// The declared distance between this clock and the clock of the event stamps, in ms; `None`: not coupled.
    pub declared_bound: Option<f64>,
}

/// What the operator declares.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    /// Bounds of the clock.
    pub limits: Limits,
    /// Whether stamps are truncated or rounded; `None`: learn it.
    pub rounding: Option<Rounding>,
    /// Greatest error of our own clock, in ms.
    pub clock_error_ms: i64,
}

/// A world with all its troubles. Times are in ms after the start unless said otherwise.
#[derive(Debug, Clone)]
pub struct HardWorld {
    /// The seed that chose it.
    pub seed: u64,
    /// The simulated days.
    pub days: f64,
    /// The troubles in a few words.
    pub description: String,
    pub(crate) traffic: Traffic,
    pub(crate) polling: Polling,
    pub(crate) command: RandomDelay,
    pub(crate) notices: Notices,
    pub(crate) machines: Vec<Machine>,
    /// Whether the evidence names the machine.
    pub(crate) names_machines: bool,
    pub(crate) stamps: StampFormat,
    pub(crate) wrong: WrongStamps,
    pub(crate) dates: Option<Dates>,
    pub(crate) hosts: Vec<HostClock>,
    /// When the service starts again.
    pub(crate) restarts: Vec<f64>,
    pub(crate) declared: Declared,
}

impl HardWorld {
    /// The end of the world, in ms after the start.
    pub(crate) fn end(&self) -> f64 {
        self.days * 24.0 * HOUR
    }

    /// Whether every declared assumption holds.
    pub fn keeps_assumptions(&self) -> bool {
        self.broken().is_empty()
    }

    /// The declared assumptions that do not hold.
    pub fn broken(&self) -> Vec<Assumption> {
        let polling = &self.polling;
        let checks = [
            (Assumption::DriftBound, self.drifts_too_fast()),
            (Assumption::StraightLine, self.bends()),
            (Assumption::CouplingBound, self.coupling_is_wrong()),
            (Assumption::OneClock, self.machines_look_like_one()),
            (Assumption::FewWrongStamps, self.has_many_wrong_stamps()),
            (Assumption::OurClock, self.our_clock_is_worse()),
            (
                Assumption::Causality,
                polling.age > polling.declared_age || polling.left_before_command > 0.0,
            ),
        ];
        checks.into_iter().filter(|(_, is)| *is).map(|(a, _)| a).collect()
    }

    /// The service's time scale on each host.
    pub(crate) fn scales(&self) -> Vec<Scale> {
        let error = self.declared.clock_error_ms as f64;
        self.hosts
            .iter()
            .map(|h| Scale::new(h, &self.restarts, error))
            .collect()
    }

    fn clocks(&self) -> impl Iterator<Item = &VendorClock> {
        let dates = self.dates.iter().filter(|d| d.declared_bound.is_some());
        self.machines.iter().map(|m| &m.clock).chain(dates.map(|d| &d.clock))
    }

    fn drifts_too_fast(&self) -> bool {
        let most = self.declared.limits.max_drift_ppm;
        self.clocks().any(|c| c.max_rate_ppm() > most)
    }

    fn bends(&self) -> bool {
        let limits = &self.declared.limits;
        let hourly = self.traffic.commanded + self.traffic.unprompted;
        let is_sparse = hourly * limits.window.as_secs_f64() / 3600.0 < limits.enough_samples as f64;
        let window = if is_sparse { limits.sparse_window } else { limits.window };
        let window = window.as_secs_f64() * 1000.0;
        self.clocks()
            .any(|c| c.deviation_from_line(window, self.end()) > limits.model_error_ms)
    }

    fn coupling_is_wrong(&self) -> bool {
        let dates = self.dates.as_ref();
        dates.is_some_and(|dates| {
            let apart = greatest_distance(&self.machines, &dates.clock, self.end());
            dates.declared_bound.is_some_and(|bound| apart > bound + 1e-6)
        })
    }

    fn machines_look_like_one(&self) -> bool {
        let (first, others) = (&self.machines[0], &self.machines[1..]);
        let apart = others.iter().any(|m| {
            let differ = |t: f64| (m.clock.offset_at(t) - first.clock.offset_at(t)).abs();
            (0..200).any(|i| differ(self.end() * f64::from(i) / 200.0) > self.declared.limits.model_error_ms)
        });
        apart && !self.names_machines
    }

    fn has_many_wrong_stamps(&self) -> bool {
        match self.wrong {
            WrongStamps::None => false,
            WrongStamps::Random(share, ..) | WrongStamps::Constant(share, _) => share > 0.03,
            WrongStamps::Adversary(..) => true,
        }
    }

    fn our_clock_is_worse(&self) -> bool {
        let most = self.declared.clock_error_ms as f64;
        self.scales().iter().any(|s| s.greatest_error(self.end()) > most)
    }
}

/// The greatest distance between a clock and those of the machines up to `end`, in ms.
pub(crate) fn greatest_distance(machines: &[Machine], clock: &VendorClock, end: f64) -> f64 {
    let apart = |t: f64| {
        let each = machines
            .iter()
            .map(|m| (m.clock.offset_at(t) - clock.offset_at(t)).abs());
        each.fold(0.0, f64::max)
    };
    let clocks = machines.iter().map(|m| &m.clock).chain([clock]);
    let around = clocks
        .flat_map(|c| &c.changes)
        .flat_map(|c| [c.at - 1.0, c.at + c.over + 1.0]);
    let regular = (0..=2000).map(|i| end * f64::from(i) / 2000.0);
    let moments = regular.chain(around).filter(|t| (0.0..=end).contains(t));
    moments.map(apart).fold(0.0, f64::max)
}
