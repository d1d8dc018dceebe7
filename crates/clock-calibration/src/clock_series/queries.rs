//! What a clock's samples say: offset, drift, suspected steps and memory use.

use super::{ClockSeries, MANY_OUTLIERS, VERY_MANY_OUTLIERS};
use crate::fit::Outlier;
use crate::granularity::Granularity;
use crate::latency::Latency;
use crate::limits::{MS_PER_HOUR_PER_PPM, Offset};
use crate::moment::Moment;
use crate::packed_sample::PackedSample;
use crate::point_estimate::point_estimate;
use crate::probing::ProbeTarget;
use crate::sample::{Cause, Sample};

impl ClockSeries {
    /// When the newest sample was received.
    pub fn newest(&self) -> Option<Moment> {
        self.samples.back().map(|k| k.sample().not_after)
    }

    /// Whether the window holds samples of another clock (`Date` headers).
    pub fn is_coupled(&self) -> bool {
        self.samples.iter().any(|k| k.cause == Cause::Exchange)
    }

    /// When the current epoch began; `None` for the first epoch.
    pub fn since(&self) -> Option<Moment> {
        self.since
    }

    /// The offset at `t`; `None` if the samples do not bound it or `t` is before the current epoch.
    pub fn offset(&self, t: Moment) -> Option<Offset> {
        if self.since.is_some_and(|since| t < since) {
            return None;
        }
        let at = self.hours(t);
        let stray = self.limits.stray(at);
        let (low, high) = self.hull(at)?;
        let plain = self.fit.polygon().range(at);
        let (best, sigma) = self.point_estimate(at, plain);
        Some(Offset {
            guaranteed: (low - stray, high + stray),
            plain: (plain.0 - stray, plain.1 + stray),
            best: best.clamp(low, high),
            sigma,
        })
    }

    /// What the next probe should find out: the guaranteed interval without a step, and whether a step hypothesis
    /// reaches notably below or above it.
    pub fn probe_target(&self, t: Moment) -> Option<ProbeTarget> {
        const NOTABLY: f64 = 60.0;
        let at = self.hours(t);
        let current = self.fit.guaranteed(at)?;
        let ranges = || self.step_hypotheses.iter().map(|c| c.polygon.range(at));
        let below = ranges().any(|(low, _)| low < current.0 - NOTABLY);
        let above = ranges().any(|(_, high)| high > current.1 + NOTABLY);
        Some(ProbeTarget {
            guaranteed: current,
            suspected_below: below,
            suspected_above: above,
        })
    }

    /// Least and greatest drift that the agreeing samples allow, in ppm.
    pub fn drift_ppm(&self) -> (f64, f64) {
        let (low, high) = self.fit.polygon().drift();
        (low / MS_PER_HOUR_PER_PPM, high / MS_PER_HOUR_PER_PPM)
    }

    /// Whether a step of the clock is suspected but not yet decided.
    pub fn suspects_step(&self) -> bool {
        !self.step_hypotheses.is_empty()
    }

    /// The epoch's number: 1 at first, one more after each step.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The quantum of the clock's stamps, as learned or configured.
    pub fn granularity(&self) -> &Granularity {
        &self.granularity
    }

    /// The learned delays: from command to event, and from event to notice.
    pub fn latencies(&self) -> (&Latency, &Latency) {
        (&self.command, &self.notice)
    }

    /// The samples that contradict the agreeing ones.
    pub fn outliers(&self) -> &[Outlier] {
        self.fit.outliers()
    }

    /// The samples in the window, oldest first, each with the shift that was added to its stamp, in ms.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = (Sample, f64)> + ExactSizeIterator {
        self.samples.iter().map(|k| (k.sample(), f64::from(k.shift_ms)))
    }

    /// Memory used, in bytes.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.samples.capacity() * size_of::<PackedSample>()
            + self.granularity.memory()
            + self.fit.memory()
    }

    fn point_estimate(&self, at: f64, plain: (f64, f64)) -> (f64, f64) {
        let exchanges = self.samples.iter().any(|k| k.cause == Cause::Exchange);
        let delays = (self.command.median_ms(), self.notice.median_ms());
        point_estimate(
            self.fit.middle(),
            plain,
            self.line.as_ref(),
            at,
            (!exchanges).then_some(delays),
            self.bias(),
        )
    }

    /// The union of all offsets that are possible if one agreeing sample is an outlier or a suspected step is real.
    fn hull(&self, at: f64) -> Option<(f64, f64)> {
        let one_in = |n: usize| self.fit.outliers().len() * n > self.samples.len();
        // After a step the window may hold samples from before it, or outliers that imitated it. The drift is not
        // known well enough yet to tell them apart.
        let young = self.version > 1 && self.samples.len() < self.limits.enough_samples;
        let current = if one_in(MANY_OUTLIERS) || young {
            self.fit
                .cautious(&self.scored(0), self.limits.drift(), at, one_in(VERY_MANY_OUTLIERS))?
        } else {
            self.fit.guaranteed(at)?
        };
        let step_hypotheses = self.step_hypotheses.iter().filter(|c| c.polygon.is_bounded());
        Some(
            step_hypotheses
                .map(|c| c.polygon.range(at))
                .fold(current, |(low, high), (l, h)| (low.min(l), high.max(h))),
        )
    }
}
