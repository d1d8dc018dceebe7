//! One test for each kind of failure that an independent simulator found, as small as possible. The numbers are those of
//! the list in `docs/timing.md`. The tests of the kinds 3, 5, 6 and 9 are in `estimate`, `claim`, `simulator::hard_worlds`
//! and `granularity`, and one more of kind 7 in `clock_id`. Each is named after its kind.

use super::{Calibrator, Cause, ClockId, ClockSeries, Coupling, Limits, Moment, Sample, VendorSettings};

const MINUTE: f64 = 60_000.0;

fn at(ms: f64) -> Moment {
    #[allow(clippy::cast_possible_truncation, reason = "days in microseconds")]
    Moment::from_nanos((1_790_000_000_000_000 + (ms * 1000.0).round() as i64) * 1000)
}

/// Delays as commands and notices have them: a floor and a long tail.
struct Delays(fastrand::Rng);

impl Delays {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn normal(&mut self) -> f64 {
        let (a, b) = (1.0 - self.0.f64(), self.0.f64());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    /// Some moment in a minute, so that stamps show their quantum.
    fn minute(&mut self, i: i32) -> f64 {
        f64::from(i) * MINUTE + self.0.f64() * 1000.0
    }

    fn command(&mut self) -> f64 {
        30.0 + 200.0 * (0.5 * self.normal()).exp()
    }

    fn notice(&mut self) -> f64 {
        50.0 + 300.0 * (0.8 * self.normal()).exp()
    }

    /// A commanded departure at `t`, on a clock that is `offset` ahead.
    fn commanded(&mut self, t: f64, offset: f64) -> Sample {
        Sample {
            not_before: Some(at(t - self.command())),
            asked: None,
            not_after: at(t + self.notice()),
            stamp: at((t + offset).floor()),
            cause: Cause::Command,
        }
    }

    /// A departure that nobody commanded: the last poll was up to 5 s before it and may have been 2 s old.
    fn spontaneous(&mut self, t: f64, offset: f64) -> Sample {
        let asked = t - self.0.f64() * 5000.0;
        Sample {
            not_before: Some(at(asked - 2000.0)),
            asked: Some(at(asked)),
            not_after: at(t + self.notice()),
            stamp: at((t + offset).floor()),
            cause: Cause::Spontaneous,
        }
    }

    /// A `Date` exchange of about 40 ms.
    fn exchange(&mut self, t: f64, offset: f64) -> Sample {
        Sample {
            not_before: Some(at(t - 15.0 - self.0.f64() * 10.0)),
            asked: None,
            not_after: at(t + 15.0 + self.0.f64() * 10.0),
            stamp: at(((t + offset) / 1000.0).floor() * 1000.0),
            cause: Cause::Exchange,
        }
    }
}

fn events() -> ClockId {
    ClockId::new("v", "i", "CONTACT_EVENT", "disconnected")
}

/// The interval at `t` misses `truth` and no doubt is announced.
fn is_silent_miss(clock: &ClockSeries, t: f64, truth: f64) -> bool {
    let missed = |(low, high): (f64, f64)| truth < low || high < truth;
    clock.offset(at(t)).is_some_and(|o| missed(o.guaranteed)) && !clock.suspects_step()
}

#[test]
fn kind_01_point_is_near_when_nobody_commands() {
    let (mut delays, mut clock) = (Delays::new(1), ClockSeries::new(Limits::default()));
    for i in 0..200 {
        let t = delays.minute(i);
        clock.add(delays.spontaneous(t, 500.0));
    }
    let offset = clock.offset(at(200.0 * MINUTE)).expect("bounded");
    assert!((offset.best - 500.0).abs() < 150.0, "{offset:?}");
    assert!(offset.guaranteed.0 <= 500.0 && 500.0 <= offset.guaranteed.1);
}

#[test]
fn kind_02_dates_couple_with_stamps_of_milliseconds() {
    let settings = VendorSettings {
        date_bound_ms: Some(0.0),
        ..VendorSettings::default()
    };
    let mut calibrator = Calibrator::new([("v".to_owned(), settings)].into());
    let mut delays = Delays::new(2);
    for i in 0..120 {
        let t = delays.minute(2 * i);
        calibrator.add(&events(), delays.spontaneous(t, 500.0));
        calibrator.add(
            &ClockId::http_date("v", "i"),
            delays.exchange(t + f64::from(i * 377 % 1000), 500.0),
        );
    }
    let clock = calibrator.clock(&events()).expect("known");
    assert_ne!(clock.coupling, Coupling::None);
    let (low, high) = clock.series.offset(at(240.0 * MINUTE)).expect("bounded").guaranteed;
    assert!(low <= 500.0 && 500.0 <= high && high - low < 300.0, "{low} {high}");
}

#[test]
fn kind_04_small_steps_leave_few_departures_uncovered() {
    for size in [-500.0, -250.0, -150.0, 150.0, 250.0, 500.0] {
        for seed in 0..4 {
            let (mut delays, mut clock) = (Delays::new(seed), ClockSeries::new(Limits::default()));
            let mut uncovered = 0;
            for i in 0..700 {
                let t = delays.minute(i);
                let offset = if i < 400 { 500.0 } else { 500.0 + size };
                clock.add(delays.commanded(t, offset));
                uncovered += u32::from(i >= 400 && is_silent_miss(&clock, t, offset));
            }
            assert!(uncovered <= 10, "{size} {seed}: {uncovered}");
        }
    }
}

#[test]
fn kind_07_two_machines_behind_one_name_are_covered_or_announced() {
    let (mut delays, mut clock) = (Delays::new(7), ClockSeries::new(Limits::default()));
    let mut silent = 0;
    for i in 0..900 {
        let t = delays.minute(i);
        let offset = if i % 2 == 0 { 500.0 } else { 800.0 };
        clock.add(delays.commanded(t, offset));
        silent += u32::from(i >= 500 && is_silent_miss(&clock, t, offset));
    }
    assert!(silent <= 10, "{silent} of 400");
}

#[test]
fn kind_08_step_of_one_coupled_clock_ends_the_coupling() {
    let settings = VendorSettings {
        date_bound_ms: Some(0.0),
        ..VendorSettings::default()
    };
    let mut calibrator = Calibrator::new([("v".to_owned(), settings)].into());
    let mut delays = Delays::new(8);
    let mut silent = 0;
    for i in 0..600 {
        let t = delays.minute(i);
        let offset = if i < 300 { 500.0 } else { 1400.0 };
        calibrator.add(&events(), delays.commanded(t, offset));
        if i % 5 == 0 {
            calibrator.add(
                &ClockId::http_date("v", "i"),
                delays.exchange(t + f64::from(i * 377 % 1000), 500.0),
            );
        }
        let clock = &calibrator.clock(&events()).expect("known").series;
        silent += u32::from(is_silent_miss(clock, t, offset));
    }
    assert!(silent <= 10, "{silent}");
    assert_eq!(calibrator.clock(&events()).expect("known").coupling, Coupling::Broken);
}

/// A departure and two `Date`s a minute. After four hours the event clock is set by `events` ms and the clock of the `Date`s
/// by `dates` ms. Returns the calibrator and the number of departures until the coupling was given up.
fn coupled_clocks_set_by(events_by: f64, dates_by: f64) -> (Calibrator, Option<i32>) {
    let settings = VendorSettings {
        date_bound_ms: Some(0.0),
        ..VendorSettings::default()
    };
    let mut calibrator = Calibrator::new([("v".to_owned(), settings)].into());
    let (mut delays, mut uncoupled) = (Delays::new(9), None);
    for i in 0..300 {
        let (t, since) = (delays.minute(i), i - 240);
        let by = |step: f64| 500.0 + if since >= 0 { step } else { 0.0 };
        calibrator.add(&events(), delays.commanded(t, by(events_by)));
        for later in [15_000.0, 35_000.0] {
            let t = t + later + f64::from(i * 377 % 1000);
            calibrator.add(&ClockId::http_date("v", "i"), delays.exchange(t, by(dates_by)));
        }
        if uncoupled.is_none() && calibrator.clock(&events()).expect("known").coupling == Coupling::Broken {
            uncoupled = Some(since);
        }
    }
    (calibrator, uncoupled)
}

/// The `Date`s are more than the departures, so the largest agreement is theirs, and only the comparison of the two kinds
/// shows that the event clock was set.
#[test]
fn kind_08_coupling_ends_soon_after_one_clock_was_set() {
    for by in [-1400.0, 1400.0] {
        let (_, uncoupled) = coupled_clocks_set_by(by, 0.0);
        assert!(
            uncoupled.is_some_and(|since| (0..=12).contains(&since)),
            "{by}: {uncoupled:?}"
        );
    }
}

#[test]
fn kind_08_coupling_stays_when_both_clocks_were_set() {
    for by in [-900.0, 900.0] {
        let (calibrator, uncoupled) = coupled_clocks_set_by(by, by);
        let version = calibrator.clock(&events()).expect("known").series.version();
        assert_eq!((uncoupled, version), (None, 2), "{by}");
    }
}

/// The service follows its machine's clock when that is corrected, by however little.
#[test]
fn kind_10_corrected_own_clock_starts_an_epoch() {
    let (mut delays, mut calibrator) = (Delays::new(10), Calibrator::default());
    for i in 0..200 {
        let t = delays.minute(i);
        // Our clock is set back by 200 ms, so the vendor's is ahead by as much more.
        let offset = if i < 100 { 500.0 } else { 700.0 };
        if i == 100 {
            calibrator.own_clock_stepped(at(t - 30_000.0));
            let old = calibrator.clock(&events()).expect("known").series.offset(at(t));
            assert_eq!(old, None);
        }
        calibrator.add(&events(), delays.commanded(t, offset));
        let clock = &calibrator.clock(&events()).expect("known").series;
        assert!(!is_silent_miss(clock, t, offset), "{i}");
        assert_eq!(clock.version(), if i < 100 { 1 } else { 2 });
    }
}

#[test]
fn kind_11_drift_beyond_its_bound_is_announced() {
    let (mut delays, mut clock) = (Delays::new(11), ClockSeries::new(Limits::default()));
    let mut silent = 0;
    for i in 0..720 {
        let t = delays.minute(i);
        let offset = 500.0 + 240e-6 * t;
        clock.add(delays.commanded(t, offset));
        silent += u32::from(is_silent_miss(&clock, t, offset));
    }
    assert!(clock.suspects_step());
    assert!(silent <= 10, "{silent}");
}

#[test]
fn kind_11_wrong_events_cause_no_step() {
    let (mut delays, mut clock) = (Delays::new(12), ClockSeries::new(Limits::default()));
    let mut missed = 0;
    for i in 0..3000 {
        let t = delays.minute(i);
        let mut sample = delays.commanded(t, 500.0);
        if delays.0.f64() < 0.2 {
            let by = (1000.0 + delays.0.f64() * 20_000.0) * if delays.0.bool() { 1.0 } else { -1.0 };
            #[allow(clippy::cast_possible_truncation, reason = "seconds")]
            let by = by as i64 * 1_000_000;
            sample.stamp = sample.stamp.plus_nanos(by);
        }
        clock.add(sample);
        missed += u32::from(i > 60 && is_silent_miss(&clock, t, 500.0));
    }
    assert_eq!((clock.version(), missed), (1, 0));
}

#[test]
fn kind_12_answer_allows_for_the_model_error() {
    let width = |model_error_ms: f64| {
        let limits = Limits {
            model_error_ms,
            ..Limits::default()
        };
        let (mut delays, mut clock) = (Delays::new(13), ClockSeries::new(limits));
        for i in 0..100 {
            let t = delays.minute(i);
            clock.add(delays.commanded(t, 500.0));
        }
        let (low, high) = clock.offset(at(100.0 * MINUTE)).expect("bounded").plain;
        high - low
    };
    // Each bound is widened once for the sample and once for the answer.
    assert!(width(54.0) - width(4.0) > 199.0);
}

/// Kind 4 with few samples: the newer ones soon outnumber the older ones, which then count as the outliers.
#[test]
fn step_after_few_samples_starts_an_epoch() {
    let mut delays = Delays::new(5);
    let mut clock = ClockSeries::new(Limits::default());
    for i in 0..6 {
        let t = delays.minute(i);
        clock.add(delays.commanded(t, 800.0));
    }
    for i in 6..14 {
        let t = delays.minute(i);
        clock.add(delays.commanded(t, 3800.0));
    }
    assert_eq!((clock.version(), clock.outliers().len()), (2, 0));
    let offset = clock.offset(at(14.0 * MINUTE)).expect("bounded").guaranteed;
    assert!(
        offset.0 <= 3800.0 && 3800.0 <= offset.1 && offset.0 > 3000.0,
        "{offset:?}"
    );
}

#[test]
fn few_wrong_samples_start_no_epoch() {
    let mut delays = Delays::new(6);
    let mut clock = ClockSeries::new(Limits::default());
    for i in 0..14 {
        let t = delays.minute(i);
        let wrong = if i % 4 == 3 { 2000.0 + f64::from(i) * 300.0 } else { 0.0 };
        clock.add(delays.commanded(t, 800.0 + wrong));
    }
    assert_eq!(clock.version(), 1);
}
