//! Estimates from brackets and stamps whose truth is known.

use proptest::prelude::*;

use super::*;

fn ms(t: i64) -> Moment {
    Moment::from_millis(1_790_000_000_000 + t)
}

fn bracket(from: Option<i64>, to: i64) -> Bracket {
    Bracket {
        not_before: from.map(ms),
        asked: None,
        not_after: ms(to),
        commanded: true,
    }
}

fn stamp(at: Moment, learnt_at: Moment) -> Stamp {
    Stamp {
        clock: ClockId::new("v", "i", "s", "f"),
        at,
        learnt_at,
    }
}

fn alone(bracket: Bracket, error: i64) -> Estimate {
    estimate(bracket, &[], |_, _| None, error, &Thresholds::default())
}

fn near(a: Moment, b: Moment) -> bool {
    b.ms_since(a).abs() < 0.01
}

#[test]
fn bracket_alone_gives_middle_and_half_width() {
    let got = alone(bracket(Some(0), 1000), 50);
    assert_eq!(got.point, ms(500));
    assert!(near(got.earliest.expect("bounded"), ms(-50)) && near(got.latest, ms(1050)));
    assert_eq!((got.uncertainty_ms, got.grade), (Some(551), Grade::Uncalibrated));
}

#[test]
fn stamp_of_unknown_clock_is_ignored() {
    let stamps = [stamp(ms(-90_000), ms(1000))];
    let got = estimate(bracket(Some(0), 1000), &stamps, |_, _| None, 50, &Thresholds::default());
    assert_eq!(got, alone(bracket(Some(0), 1000), 50));
}

#[test]
fn no_lower_bound_gives_no_uncertainty() {
    let got = alone(bracket(None, 1000), 50);
    assert_eq!((got.point, got.earliest, got.uncertainty_ms), (ms(1000), None, None));
}

#[test]
fn stamp_contradicting_causality_is_ignored() {
    let (granularity, latency) = (Granularity::new(Some(1)), Latency::guess(300.0));
    let offset = Offset {
        guaranteed: (-10.0, 10.0),
        plain: (-5.0, 5.0),
        best: 0.0,
        sigma: 3.0,
    };
    let reading = ClockReading {
        offset,
        version: 3,
        granularity: &granularity,
        command: &latency,
        notice: &latency,
    };
    let stamps = [stamp(ms(9000), ms(1000))];
    let got = estimate(
        bracket(Some(0), 1000),
        &stamps,
        |_, _| Some(reading),
        0,
        &Thresholds::default(),
    );
    assert!(got.conflicting);
    assert_eq!((got.grade, got.version), (Grade::Uncalibrated, 0));
}

/// Two known clocks: `one` is 1,000 ms ahead ± 100 ms, `other` is 5,000 ms behind ± 50 ms.
fn two_clocks(at_one: i64, at_other: i64) -> Estimate {
    let (fine, latency) = (Granularity::new(Some(1)), Latency::guess(300.0));
    let reading = |low: f64, high: f64, version| ClockReading {
        offset: Offset {
            guaranteed: (low, high),
            plain: (low, high),
            best: f64::midpoint(low, high),
            sigma: 10.0,
        },
        version,
        granularity: &fine,
        command: &latency,
        notice: &latency,
    };
    let (one, other) = (reading(900.0, 1100.0, 4), reading(-5050.0, -4950.0, 7));
    let stamps = [(at_one, "one"), (at_other, "other")].map(|(at, source)| Stamp {
        clock: ClockId::new("v", "i", source, "f"),
        at: ms(at),
        learnt_at: ms(2000),
    });
    let known = |id: &ClockId, _| Some(if id.source == "one" { one } else { other });
    estimate(bracket(Some(0), 2000), &stamps, known, 0, &Thresholds::default())
}

#[test]
fn several_stamps_are_intersected() {
    // According to one clock the event was at 400 to 601, according to the other at 550 to 651.
    let got = two_clocks(1500, -4400);
    assert!(
        near(got.earliest.expect("bounded"), ms(550)) && near(got.latest, ms(601)),
        "{got:?}"
    );
    assert_eq!((got.conflicting, got.version, got.grade), (false, 7, Grade::Exact));
    assert_eq!(
        got.clock.map(|s| s.source).as_deref(),
        Some("other"),
        "the estimate names the clock with the narrower interval"
    );
}

/// A reading of a clock that is `offset` ahead, give or take 10 ms, with stamps of `quantum` ms.
fn reading<'c>(offset: f64, granularity: &'c Granularity, latency: &'c Latency) -> ClockReading<'c> {
    ClockReading {
        offset: Offset {
            guaranteed: (offset - 10.0, offset + 10.0),
            plain: (offset - 5.0, offset + 5.0),
            best: offset,
            sigma: 3.0,
        },
        version: 1,
        granularity,
        command: latency,
        notice: latency,
    }
}

#[test]
fn kind_03_late_notice_reads_the_offset_at_the_event() {
    // The clock drifts by 200 ppm and is right at time zero; the notice comes half an hour after the event.
    let (granularity, latency) = (Granularity::new(Some(1)), Latency::guess(300.0));
    let half_hour = 1_800_000;
    let known = |_: &ClockId, at: Moment| Some(reading(at.ms_since(ms(0)) * 2e-4, &granularity, &latency));
    let stamps = [stamp(ms(0), ms(half_hour))];
    let got = estimate(
        bracket(Some(-5000), half_hour),
        &stamps,
        known,
        0,
        &Thresholds::default(),
    );
    assert!(
        got.earliest.is_some_and(|t| t <= ms(0)) && ms(0) <= got.latest,
        "{got:?}"
    );
    assert!(got.uncertainty_ms.is_some_and(|ms| ms <= 12), "{got:?}");
}

#[test]
fn point_uses_the_request_and_bound_allows_for_old_answers() {
    let (granularity, latency) = (Granularity::new(Some(1000)), Latency::guess(100.0));
    let known = |_: &ClockId, _| Some(reading(0.0, &granularity, &latency));
    let asked = Bracket {
        asked: Some(ms(900)),
        commanded: false,
        ..bracket(Some(-1100), 2000)
    };
    let stamps = [stamp(ms(0), ms(2000))];
    let got = estimate(asked, &stamps, known, 0, &Thresholds::default());
    assert!(near(got.earliest.expect("bounded"), ms(-10)), "{got:?}");
    assert!(ms(900) <= got.point && got.point <= got.latest, "{got:?}");
}

/// The event is bounded to 480 ms, and the delay of notices is `notice_ms`.
fn with_notice_delay(notice_ms: f64) -> Estimate {
    let (granularity, latency) = (Granularity::new(Some(1000)), Latency::exact(notice_ms, 1.0));
    let known = |_: &ClockId, _| Some(reading(0.0, &granularity, &latency));
    let spontaneous = Bracket {
        commanded: false,
        ..bracket(Some(100), 580)
    };
    estimate(spontaneous, &[stamp(ms(0), ms(580))], known, 0, &Thresholds::default())
}

#[test]
fn point_moves_between_the_quartiles_for_a_better_grade() {
    let got = with_notice_delay(250.0);
    assert_eq!((got.grade, got.uncertainty_ms), (Grade::Calibrated, Some(250)));
    assert!(near(got.point, ms(350)), "{got:?}");
    // Here the middle lies outside the quartiles, so the point stays where it is likely.
    let got = with_notice_delay(30.0);
    assert_eq!(got.grade, Grade::Bounded);
    assert!(got.point > ms(450), "{got:?}");
}

#[test]
fn disjoint_stamps_leave_the_bracket() {
    let got = two_clocks(1500, -3400);
    assert!(got.conflicting);
    assert!(
        near(got.earliest.expect("bounded"), ms(0)) && near(got.latest, ms(2000)),
        "{got:?}"
    );
    assert_eq!((got.grade, got.offset_ms), (Grade::Uncalibrated, None));
}

proptest! {
    /// The interval contains the truth for any delays, offset, quantum and error of our own clock.
    #[test]
    fn interval_contains_the_truth(
        before in 0_i64..60_000, after in 0_i64..60_000, offset in -5_000_i64..5_000,
        slack_low in 0_i64..2_000, slack_high in 0_i64..2_000,
        quantum in prop::sample::select(vec![1_i64, 1000]), truth in 0_i64..100_000,
        error in 0_i64..200, e0 in -1.0_f64..1.0, e1 in -1.0_f64..1.0, calibrated: bool, commanded: bool,
    ) {
        // Our clock is wrong by at most `error` at each end.
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a few hundred ms")]
        let off = |share: f64| (share * error as f64) as i64;
        let not_after = ms(truth + after + off(e1));
        let bracket = Bracket { not_before: Some(ms(truth - before + off(e0))), asked: None, not_after, commanded };
        prop_assume!(bracket.not_before.expect("set") <= bracket.not_after);
        let vendor = ms(truth + offset).as_nanos();
        let at = Moment::from_nanos(vendor - vendor.rem_euclid(quantum * 1_000_000));
        let (granularity, latency) = (Granularity::new(Some(quantum)), Latency::guess(300.0));
        #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
        let offset = Offset {
            guaranteed: ((offset - slack_low) as f64, (offset + slack_high) as f64),
            plain: (offset as f64, offset as f64),
            best: offset as f64,
            sigma: 1.0,
        };
        let reading =
            ClockReading { offset, version: 1, granularity: &granularity, command: &latency, notice: &latency };
        let stamps = [stamp(at, not_after)];
        let known = |_: &ClockId, _| calibrated.then_some(reading);
        let got = estimate(bracket, &stamps, known, error, &Thresholds::default());
        prop_assert!(got.earliest.expect("bounded") <= ms(truth) && ms(truth) <= got.latest);
        let claimed = got.uncertainty_ms.expect("bounded");
        prop_assert!(ms(truth).nanos_since(got.point).abs() <= claimed * 1_000_000);
        // A stamp never makes the interval wider than the bracket.
        prop_assert!(got.latest.ms_since(ms(truth + after + off(e1) + error)) < 0.01);
    }
}
