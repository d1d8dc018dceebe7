//! Plays the samples of a store through the calibrator again: what it learned, when it doubted an assumption, and which of its claims
//! contradict each other although it announced no doubt.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use clock_calibration::simulator::run::quantile;
use clock_calibration::{Claim, ClockId, ClockSeries, Doubt, Limits, Moment, Revision, Sample, SampleOutcome};
use sidedoor_domain::moment::timestamp;

use super::shown;

/// How many earlier claims each new sample is compared with.
const CLAIMS: usize = 32;
/// The most contradicting claims, and periods of doubt, that are listed for a clock.
const LISTED: usize = 10;

/// A time in which an assumption about a clock was in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DoubtPeriod {
    pub(super) from: Moment,
    /// The last sample while it was in doubt.
    pub(super) until: Moment,
    pub(super) why: Doubt,
}

pub(super) fn reason(why: Doubt) -> &'static str {
    match why {
        Doubt::Step => "its samples looked as if it had been set",
        Doubt::ManyOutliers => "more than 3 % of its samples contradicted the others",
        Doubt::Drift => "it drifted faster than timing.vendors.<name>.max_drift_ppm",
        Doubt::SeveralClocks => "its samples looked as if several machines had answered",
        Doubt::Coupling => "the Date headers contradicted its own stamps",
    }
}

/// Two claims of one offset that do not fit each other, of which none was announced as doubtful: one of them missed the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Contradiction {
    /// The moment at which the offset is claimed.
    at: Moment,
    /// When the later claim was made.
    found_at: Moment,
    earlier: (f64, f64),
    later: (f64, f64),
}

/// One clock while its samples are played again.
struct Playback {
    clock: ClockSeries,
    doubts: Vec<DoubtPeriod>,
    is_doubted: bool,
    /// The last claims that were made without a doubt, by the epoch in which they were made.
    claims: VecDeque<(u32, Moment, (f64, f64))>,
    contradictions: Vec<Contradiction>,
}

impl Playback {
    fn new() -> Self {
        Self {
            clock: ClockSeries::new(Limits::default()),
            doubts: Vec::new(),
            is_doubted: false,
            claims: VecDeque::new(),
            contradictions: Vec::new(),
        }
    }

    fn add(&mut self, sample: Sample) -> SampleOutcome {
        let outcome = self.clock.add(sample);
        let now = sample.not_after;
        let doubt = self.clock.doubt();
        match (doubt, self.doubts.last_mut()) {
            (Some(why), Some(last)) if self.is_doubted && last.why == why => last.until = now,
            (Some(why), _) => self.doubts.push(DoubtPeriod {
                from: now,
                until: now,
                why,
            }),
            (None, _) => {}
        }
        self.is_doubted = doubt.is_some();
        if doubt.is_none() {
            self.compare_claims(now);
        }
        outcome
    }

    /// Compares the present claims about earlier moments with the claims of that time.
    fn compare_claims(&mut self, now: Moment) {
        let epoch = self.clock.version();
        self.claims.retain(|(version, ..)| *version == epoch);
        let clock = &self.clock;
        let mut found = Vec::new();
        self.claims.retain(|(_, at, earlier)| {
            let Some(later) = clock.offset(*at).map(|o| o.guaranteed) else {
                return false;
            };
            let contradicts = matches!(claim(*earlier).revised_by(claim(later)), Revision::Widen(_));
            if contradicts {
                found.push(Contradiction {
                    at: *at,
                    found_at: now,
                    earlier: *earlier,
                    later,
                });
            }
            !contradicts
        });
        self.contradictions.extend(found);
        if let Some(offset) = clock.offset(now) {
            self.claims.push_back((epoch, now, offset.guaranteed));
        }
        while self.claims.len() > CLAIMS {
            self.claims.pop_front();
        }
    }
}

/// An interval of an offset as a claim, in whole microseconds, because only its order matters.
fn claim((low, high): (f64, f64)) -> Claim {
    #[allow(clippy::cast_possible_truncation, reason = "an offset in ms")]
    let moment = |ms: f64| Moment::from_nanos((ms * 1000.0).round() as i64);
    Claim {
        earliest: Some(moment(low)),
        latest: moment(high),
    }
}

/// The times in which a clock with these samples was in doubt, oldest first.
pub(super) fn doubts_of(samples: impl Iterator<Item = Sample>) -> Vec<DoubtPeriod> {
    let mut playback = Playback::new();
    for sample in samples {
        playback.add(sample);
    }
    playback.doubts
}

/// Plays the samples of a store through the calibrator and describes the result for each clock.
pub(super) fn report(samples: Vec<(ClockId, Sample)>) -> String {
    let mut by_clock: BTreeMap<ClockId, Vec<Sample>> = BTreeMap::new();
    for (key, sample) in samples {
        by_clock.entry(key).or_default().push(sample);
    }
    let mut out =
        String::from("In milliseconds unless a unit is given. Each clock starts with its oldest stored sample.\n");
    for (key, samples) in &by_clock {
        report_clock(&mut out, key, samples);
    }
    if by_clock.is_empty() {
        out.push_str("\nThe store has no clock samples yet.\n");
    }
    out
}

fn report_clock(out: &mut String, key: &ClockId, samples: &[Sample]) {
    let mut playback = Playback::new();
    let (mut against, mut steps, mut plain, mut guaranteed, mut brackets) = (0, 0, Vec::new(), Vec::new(), Vec::new());
    for sample in samples {
        match playback.add(*sample) {
            SampleOutcome::Contradicts => against += 1,
            SampleOutcome::Stepped { .. } => steps += 1,
            SampleOutcome::Agrees | SampleOutcome::Ignored => {}
        }
        if let Some(offset) = playback.clock.offset(sample.not_after) {
            plain.push((offset.plain.1 - offset.plain.0) / 2.0);
            guaranteed.push((offset.guaranteed.1 - offset.guaranteed.0) / 2.0);
        }
        #[allow(clippy::cast_precision_loss, reason = "a bracket in nanoseconds")]
        let width = sample.not_before.map(|t| sample.not_after.nanos_since(t) as f64 / 1e6);
        brackets.extend(width);
    }
    let clock = &playback.clock;
    let _ = writeln!(
        out,
        "\n{key}: {} samples, {against} contradicted the others, {steps} steps",
        samples.len()
    );
    let _ = writeln!(
        out,
        "  stamps are multiples of {}, brackets p50 {:.0}; half-width p50: plain {:.0}, guaranteed {:.0}",
        clock
            .granularity()
            .typical_ms()
            .map_or_else(|| "?".into(), |q| q.to_string()),
        quantile(&mut brackets, 0.5),
        quantile(&mut plain, 0.5),
        quantile(&mut guaranteed, 0.5),
    );
    if let Some(offset) = samples.last().and_then(|s| clock.offset(s.not_after)) {
        let (low, high) = clock.drift_ppm();
        let _ = writeln!(
            out,
            "  offset at the end: {:.0} ({:.0} to {:.0}), drift {low:.1} to {high:.1} ppm",
            offset.best, offset.guaranteed.0, offset.guaranteed.1
        );
    }
    let (command, notice) = clock.latencies();
    let _ = writeln!(
        out,
        "  learned delays, median: command {:.0}, notice {:.0}",
        command.median_ms(),
        notice.median_ms()
    );
    report_doubts(out, &playback);
}

fn report_doubts(out: &mut String, playback: &Playback) {
    let at = |moment| shown(timestamp(moment));
    for period in playback.doubts.iter().take(LISTED) {
        let _ = writeln!(
            out,
            "  doubted from {} to {}: {}",
            at(period.from),
            at(period.until),
            reason(period.why)
        );
    }
    let more = playback.doubts.len().saturating_sub(LISTED);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more such times");
    }
    let _ = writeln!(
        out,
        "  candidates for silent misses (claims without a doubt that do not fit each other): {}",
        playback.contradictions.len()
    );
    for c in playback.contradictions.iter().take(LISTED) {
        let _ = writeln!(
            out,
            "    offset at {}: {:.0} to {:.0} when it was learned, {:.0} to {:.0} at {}",
            at(c.at),
            c.earlier.0,
            c.earlier.1,
            c.later.0,
            c.later.1,
            at(c.found_at)
        );
    }
}

#[cfg(test)]
mod tests {
    use clock_calibration::Cause;

    use super::*;

    /// A departure every minute, on a vendor's clock that is `ahead` ms ahead. The notice takes 50 ms.
    fn sample(minute: i64, ahead: i64) -> Sample {
        let start = 1_790_000_000_000 + minute * 60_000;
        Sample {
            not_before: Some(Moment::from_millis(start)),
            asked: None,
            not_after: Moment::from_millis(start + 100),
            stamp: Moment::from_millis(start + 50 + ahead),
            cause: Cause::Command,
        }
    }

    #[test]
    fn replay_of_a_steady_clock_has_no_doubts() {
        let mut playback = Playback::new();
        for minute in 0..200 {
            playback.add(sample(minute, 7));
        }
        assert_eq!((playback.doubts, playback.contradictions), (Vec::new(), Vec::new()));
    }

    #[test]
    fn replay_says_when_and_why_a_clock_was_doubted() {
        let step = |minute| if minute < 100 { 0 } else { 700 };
        let samples = (0..130).map(|minute| sample(minute, step(minute)));
        let doubts = doubts_of(samples);
        let first = doubts.first().expect("a doubt");
        assert_eq!(first.why, Doubt::Step);
        let minute = |n: i64| sample(n, 0).not_after;
        assert!(first.from >= minute(100) && first.from <= minute(110), "{first:?}");
        let clock = ClockId::new("vendor", "main", "EVENT", "ended");
        let text = report((0..130).map(|n| (clock.clone(), sample(n, step(n)))).collect());
        assert!(text.contains("its samples looked as if it had been set"), "{text}");
        assert!(text.contains("candidates for silent misses"), "{text}");
    }

    #[test]
    fn claims_that_do_not_fit_each_other_are_candidates() {
        let fits = |a, b| !matches!(claim(a).revised_by(claim(b)), Revision::Widen(_));
        assert!(fits((0.0, 10.0), (2.0, 8.0)) && fits((0.0, 10.0), (-3.0, 9.0)));
        assert!(!fits((0.0, 10.0), (11.0, 20.0)));
    }
}
