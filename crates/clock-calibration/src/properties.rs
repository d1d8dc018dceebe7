//! What the estimator promises for any delays, offset, drift and granularity of the stamps, tested on random
//! histories.

use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOutcome};
use proptest::prelude::*;

use super::clock_series::ClockSeries;
use super::limits::{Limits, SampleOutcome};
use super::moment::Moment;
use super::sample::{Cause, Sample};

/// A random causal history: its true offset and drift, and the samples that it produced.
#[derive(Debug, Clone)]
struct History {
    offset: f64,
    drift_ppm: f64,
    samples: Vec<Sample>,
}

const START: i64 = 1_790_000_000_000_000;

fn micros(ms: f64) -> Moment {
    #[allow(clippy::cast_possible_truncation, reason = "a day in microseconds")]
    Moment::from_nanos((START + (ms * 1000.0).round() as i64) * 1000)
}

impl History {
    fn offset_at(&self, t: Moment) -> f64 {
        let ms = t.ms_since(Moment::from_nanos(START * 1000));
        self.offset + self.drift_ppm * 1e-6 * ms
    }
}

/// Delays up to ten seconds, some samples without a lower bound, departures up to five minutes apart.
fn history(most: usize) -> impl Strategy<Value = History> {
    let event = (1.0_f64..300_000.0, 0.0_f64..10_000.0, 0.0_f64..10_000.0, 0_u8..10);
    let quantum = prop::sample::select(vec![1.0_f64, 10.0, 100.0, 1000.0]);
    (
        -20_000.0_f64..20_000.0,
        -200.0_f64..200.0,
        quantum,
        prop::collection::vec(event, 2..most),
    )
        .prop_map(|(offset, drift_ppm, quantum, events)| {
            let mut history = History {
                offset,
                drift_ppm,
                samples: Vec::new(),
            };
            let mut t = 0.0;
            for (gap, command, notice, kind) in events {
                t += gap;
                let vendor = t + offset + drift_ppm * 1e-6 * t;
                // START is a whole number of seconds, so stamps can be reduced relative to it.
                let stamp = (vendor / quantum).floor() * quantum;
                let cause = if kind < 5 { Cause::Command } else { Cause::Spontaneous };
                let not_before = (kind != 9).then(|| micros(t - command));
                history.samples.push(Sample {
                    not_before,
                    asked: None,
                    not_after: micros(t + notice),
                    stamp: micros(stamp),
                    cause,
                });
            }
            history
        })
}

fn all_of(samples: &[Sample]) -> ClockSeries {
    let mut clock = ClockSeries::new(Limits {
        model_error_ms: 0.1,
        ..Limits::default()
    });
    for sample in samples {
        clock.add(*sample);
    }
    clock
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// While causality holds and the drift is within its bound, the interval contains the truth at any moment, after
    /// any sample; and no honest sample is rejected.
    #[test]
    fn interval_contains_the_true_offset(history in history(60)) {
        let mut clock = ClockSeries::new(Limits { model_error_ms: 0.1, ..Limits::default() });
        for sample in &history.samples {
            let taken = clock.add(*sample);
            prop_assert!(matches!(taken, SampleOutcome::Agrees | SampleOutcome::Ignored), "{taken:?}");
            for at in [sample.not_after, history.samples[0].not_after, sample.not_after.plus_nanos(3 * 3_600_000_000_000)] {
                if let Some(offset) = clock.offset(at) {
                    let truth = history.offset_at(at);
                    prop_assert!(offset.plain.0 <= truth && truth <= offset.plain.1, "{offset:?} {truth}");
                    prop_assert!(offset.guaranteed.0 <= offset.plain.0 && offset.plain.1 <= offset.guaranteed.1);
                    prop_assert!(offset.guaranteed.0 <= offset.best && offset.best <= offset.guaranteed.1);
                }
            }
        }
        prop_assert_eq!(clock.version(), 1);
    }

    /// The interval is not wider than the samples require: a clock at either end of the plain interval (right if
    /// every agreeing sample is right), with some drift within the bound, contradicts no sample.
    #[test]
    fn interval_is_not_narrower_than_data_allow(history in history(30)) {
        let clock = all_of(&history.samples);
        let at = history.samples.iter().map(|s| s.not_after).max().expect("some");
        let Some(offset) = clock.offset(at) else { return Ok(()) };
        let granularity = clock.granularity();
        let allowed = |value: f64, ppm: f64| clock.samples().all(|(s, _)| {
            let offset_at = |t: Moment| value + ppm * 1e-6 * t.ms_since(at);
            let ms = |a: Moment, b: Moment| b.ms_since(a);
            let (below, above) = granularity.read_within(s.stamp);
            let slack = 0.1 + 1e-3;
            ms(s.not_after, s.stamp) + below - slack <= offset_at(s.not_after)
                && s.not_before.is_none_or(|t| offset_at(t) <= ms(t, s.stamp) + above + slack)
        });
        // The drift that belongs to an end is somewhere in the drift's range.
        let (low, high) = clock.drift_ppm();
        // The answer allows for the model error once more, because the clock may deviate from the line.
        for (end, inward) in [(offset.plain.0 + 0.1, 1.0), (offset.plain.1 - 0.1, -1.0)] {
            let some = (0..=400).any(|i| allowed(end, low + (high - low) * f64::from(i) / 400.0));
            // The exact drift may lie between two tested ones, so where the polygon ends in a sharp corner test a
            // point slightly inside too.
            let inward = inward * (0.02 * (offset.plain.1 - offset.plain.0) + 0.05);
            let near = some || (0..=400).any(|i| allowed(end + inward, low + (high - low) * f64::from(i) / 400.0));
            prop_assert!(near, "{end} of {offset:?}");
        }
    }

    /// A linear program, which uses no polygons, finds the same ends.
    #[test]
    fn linear_program_finds_the_same_ends(history in history(40)) {
        let quantum_ms = Some(1000);
        let mut clock = ClockSeries::new(Limits { model_error_ms: 0.1, quantum_ms, ..Limits::default() });
        for sample in &history.samples {
            clock.add(*sample);
        }
        let at = history.samples.iter().map(|s| s.not_after).max().expect("some");
        let Some(offset) = clock.offset(at) else { return Ok(()) };
        for (direction, end) in [
            (OptimizationDirection::Minimize, offset.plain.0 + 0.1),
            (OptimizationDirection::Maximize, offset.plain.1 - 0.1),
        ] {
            let mut problem = Problem::new(direction);
            let value = problem.add_var(1.0, (-1e8, 1e8));
            // 200 ppm, in ms per hour.
            let drift = problem.add_var(0.0, (-720.0, 720.0));
            let hours = |t: Moment| t.hours_since(at);
            let ms = |a: Moment, b: Moment| b.ms_since(a);
            for (s, _) in clock.samples() {
                let least = ms(s.not_after, s.stamp) - 0.1;
                problem.add_constraint([(value, 1.0), (drift, hours(s.not_after))], ComparisonOp::Ge, least);
                if let Some(t) = s.not_before {
                    problem.add_constraint([(value, 1.0), (drift, hours(t))], ComparisonOp::Le, ms(t, s.stamp) + 1000.1);
                }
            }
            let Ok(SolveOutcome::Solution(solution)) = problem.solve() else {
                panic!("honest samples must leave a solution");
            };
            let found = solution.objective();
            prop_assert!((found - end).abs() < 0.01, "{found} {end}");
        }
    }

    /// The order of the samples does not change the interval, as long as they fit into the window and no step is suspected.
    #[test]
    fn sample_order_does_not_matter(history in history(40), seed: u64) {
        let mut shuffled = history.samples.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        let at = history.samples.iter().map(|s| s.not_after).max().expect("some");
        let (one, other) = (all_of(&history.samples), all_of(&shuffled));
        // In another order the samples may look like those after a step. Then the interval is wider, and the doubt is announced.
        prop_assume!(!one.suspects_step() && !other.suspects_step());
        match (one.offset(at), other.offset(at)) {
            (Some(a), Some(b)) => {
                for (x, y) in [(a.plain.0, b.plain.0), (a.plain.1, b.plain.1), (a.guaranteed.0, b.guaranteed.0), (a.guaranteed.1, b.guaranteed.1)] {
                    prop_assert!((x - y).abs() < 1e-3, "{a:?} {b:?}");
                }
            }
            (a, b) => prop_assert_eq!(a.is_some(), b.is_some()),
        }
    }

    /// Another sample never widens the interval at a fixed moment, except while a step is suspected.
    #[test]
    fn another_sample_never_widens_the_interval(history in history(40)) {
        // The granularity is configured; otherwise learning it would narrow or widen what earlier samples say.
        let quantum_ms = Some(1000);
        let mut clock = ClockSeries::new(Limits { model_error_ms: 0.1, quantum_ms, ..Limits::default() });
        let at = history.samples.last().expect("some").not_after;
        let mut before: Option<(f64, f64)> = None;
        for sample in &history.samples {
            clock.add(*sample);
            let now = clock.offset(at).map(|o| o.guaranteed).filter(|_| !clock.suspects_step());
            if let (Some(b), Some(n)) = (before, now) {
                prop_assert!(b.0 <= n.0 + 1e-3 && n.1 <= b.1 + 1e-3, "{b:?} {n:?}");
            }
            before = now.or(before);
        }
    }

    /// One outlier among honest samples, however small, leaves the truth inside the guaranteed interval.
    #[test]
    fn one_outlier_leaves_the_truth_inside(history in history(60), which: prop::sample::Index, shift_ms in -30_000_i64..30_000) {
        let mut samples = history.samples.clone();
        let outlier = &mut samples[which.index(history.samples.len())];
        outlier.stamp = outlier.stamp.plus_nanos(shift_ms / 10 * 10_000_000);
        let mut clock = ClockSeries::new(Limits { model_error_ms: 0.1, quantum_ms: Some(1000), ..Limits::default() });
        for sample in &samples {
            clock.add(*sample);
            if let (Some(offset), 1) = (clock.offset(sample.not_after), clock.version()) {
                let truth = history.offset_at(sample.not_after);
                prop_assert!(offset.guaranteed.0 <= truth && truth <= offset.guaranteed.1, "{offset:?} {truth}");
            }
        }
    }

    /// For any input, honest or not and in any order, memory is bounded, the ends stay in order and nothing panics.
    #[test]
    fn memory_is_bounded_for_any_input(
        raw in prop::collection::vec((any::<Option<i32>>(), any::<i32>(), any::<i32>()), 1..200),
    ) {
        let mut clock = ClockSeries::new(Limits { max_samples: 64, ..Limits::default() });
        let moment = |x: i32| Moment::from_millis(1_790_000_000_000 + i64::from(x));
        for (before, after, stamp) in raw {
            let sample = Sample {
                not_before: before.map(moment),
                asked: None,
                not_after: moment(after),
                stamp: moment(stamp),
                cause: Cause::Command,
            };
            clock.add(sample);
            prop_assert!(clock.samples().len() <= 64);
            prop_assert!(clock.memory() <= 64 * 1024);
            if let Some(offset) = clock.offset(moment(after)) {
                prop_assert!(offset.guaranteed.0 <= offset.guaranteed.1 && offset.best.is_finite());
            }
        }
    }
}

#[test]
fn granularity_is_learnt_from_stamps() {
    for (quantum, expected) in [(1_i64, 1_i64), (10, 10), (100, 100), (1000, 1000)] {
        let mut clock = ClockSeries::new(Limits::default());
        let mut random = fastrand::Rng::with_seed(7);
        for i in 0..300 {
            let ms = 1_790_000_000_000 + i * 30_000 + random.i64(0..1000);
            let stamp = Moment::from_millis(ms - ms.rem_euclid(quantum));
            let sample = Sample {
                not_before: Some(Moment::from_millis(ms - 200)),
                asked: None,
                not_after: Moment::from_millis(ms + 200),
                stamp,
                cause: Cause::Command,
            };
            clock.add(sample);
        }
        assert_eq!(clock.granularity().typical_ms(), Some(expected));
    }
}

#[test]
fn witness_of_three_samples_proves_rejection() {
    let mut clock = ClockSeries::new(Limits::default());
    let at = |ms: i64| Moment::from_millis(1_790_000_000_000 + ms);
    let sample = |t: i64, off: i64| Sample {
        not_before: Some(at(t - 100)),
        asked: None,
        not_after: at(t + 100),
        stamp: at(t + off + 1),
        cause: Cause::Command,
    };
    for i in 0..20 {
        assert_eq!(clock.add(sample(i * 60_000, 500)), SampleOutcome::Agrees);
    }
    assert_eq!(clock.add(sample(21 * 60_000, 5_000)), SampleOutcome::Contradicts);
    assert!(clock.suspects_step());
    let [outlier] = clock.outliers() else {
        panic!("one outlier")
    };
    assert!(outlier.witness.iter().all(|label| *label != outlier.label));
}
