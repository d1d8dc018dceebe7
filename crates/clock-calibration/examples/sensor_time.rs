//! Uses the crate without Sidedoor: a gate controller reports when it closed, by a clock that is wrong by an unknown
//! offset and drifts. We only know when we sent the command and when its report arrived.
//!
//! `cargo run -p clock-calibration --example sensor_time`

use clock_calibration::{Bracket, Calibrator, Cause, Claim, ClockId, Moment, Sample, Stamp, Thresholds, estimate};

const START: i64 = 1_790_000_000_000;
/// The controller's clock: 1,370 ms ahead, 35 ppm fast. The program does not know this.
const OFFSET_MS: i64 = 1370;
const DRIFT_PPM: i64 = 35;

/// What we see of a closing at `t` ms: the command's and the report's time on our clock, and the stamp.
fn observe(t: i64, command_ms: i64, report_ms: i64) -> Sample {
    Sample {
        not_before: Some(Moment::from_millis(START + t - command_ms)),
        asked: None,
        not_after: Moment::from_millis(START + t + report_ms),
        stamp: Moment::from_millis(START + t + OFFSET_MS + t * DRIFT_PPM / 1_000_000),
        cause: Cause::Command,
    }
}

fn main() {
    let clock = ClockId::new("gate", "north", "REPORT", "closed");
    let mut calibrator = Calibrator::default();
    // Every closing teaches the clock. Delays vary from 40 to 740 ms.
    for i in 0..200 {
        calibrator.add(&clock, observe(i * 60_000, 40 + i * 37 % 400, 60 + i * 53 % 680));
    }
    let Some(series) = calibrator.clock(&clock).map(|t| &t.series) else {
        return;
    };
    let (least, most) = series.drift_ppm();
    println!("drift {least:.1} to {most:.1} ppm, epoch {}", series.version());

    // One more closing, whose report came only 20 minutes later.
    let truth = 200 * 60_000;
    let late = observe(truth, 150, 1_200_000);
    let bracket = Bracket {
        not_before: late.not_before,
        asked: None,
        not_after: late.not_after,
        commanded: true,
    };
    let stamps = [Stamp {
        clock,
        at: late.stamp,
        learnt_at: late.not_after,
    }];
    let known = |id: &ClockId, at| calibrator.reading(id, at);
    let got = estimate(bracket, &stamps, known, 5, &Thresholds::default());
    let after = |t: Moment| t.nanos_since(Moment::from_millis(START + truth)) / 1_000_000;
    println!(
        "closed at {} ms after the truth, ± {} ms, {}",
        after(got.point),
        got.uncertainty_ms.unwrap_or_default(),
        got.grade.as_str()
    );

    // Before a later estimate replaces a published one, compare both.
    let published = Claim {
        earliest: got.earliest,
        latest: got.latest,
    };
    println!("the same again: {:?}", published.revised_by(published));
}
