//! What a stream answers: its offset, its doubts, what it holds.

use jiff::Timestamp;

use super::{ClockSeries, MANY_LIES, VERY_MANY_LIES};
use crate::fit::Outlier;
use crate::granularity::Granularity;
use crate::kept::Kept;
use crate::latency::Latency;
use crate::likeliest::likeliest;
use crate::limits::{MS_PER_HOUR_PER_PPM, Offset};
use crate::sample::{Cause, Sample};

impl ClockSeries {
    /// When its newest sample came.
    pub fn newest(&self) -> Option<Timestamp> {
        self.samples.back().map(|k| k.sample().not_after)
    }

    /// Whether it holds samples of another clock.
    pub fn is_coupled(&self) -> bool {
        self.samples.iter().any(|k| k.cause == Cause::Exchange)
    }

    /// When its epoch began; `None` for the first.
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// The offset at `t`, if enough is known to bound it. Nothing is known from before the epoch.
    pub fn offset(&self, t: Timestamp) -> Option<Offset> {
        if self.since.is_some_and(|since| t < since) {
            return None;
        }
        let at = self.hours(t);
        let stray = self.limits.stray(at);
        let (low, high) = self.hull(at)?;
        let plain = self.fit.polygon().range(at);
        let (best, sigma) = self.likeliest(at, plain);
        Some(Offset {
            guaranteed: (low - stray, high + stray),
            plain: (plain.0 - stray, plain.1 + stray),
            best: best.clamp(low, high),
            sigma,
        })
    }

    /// The champion's guaranteed interval at `t`, and whether a challenger reaches notably below it, or above: where a
    /// probe decides.
    pub fn doubts(&self, t: Timestamp) -> Option<((f64, f64), (bool, bool))> {
        const NOTABLY: f64 = 60.0;
        let at = self.hours(t);
        let champion = self.fit.guaranteed(at)?;
        let ranges = || self.challengers.iter().map(|c| c.polygon.range(at));
        let below = ranges().any(|(low, _)| low < champion.0 - NOTABLY);
        let above = ranges().any(|(_, high)| high > champion.1 + NOTABLY);
        Some((champion, (below, above)))
    }

    /// The drift, ppm: least and greatest, of the agreeing samples.
    pub fn drift_ppm(&self) -> (f64, f64) {
        let (low, high) = self.fit.polygon().drift();
        (low / MS_PER_HOUR_PER_PPM, high / MS_PER_HOUR_PER_PPM)
    }

    /// Whether a step is suspected and not decided.
    pub fn is_suspect(&self) -> bool {
        !self.challengers.is_empty()
    }

    /// Grows with every epoch, from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What the stamps are cut to.
    pub fn granularity(&self) -> &Granularity {
        &self.granularity
    }

    /// The learnt delays: of commands, of notices.
    pub fn latencies(&self) -> (&Latency, &Latency) {
        (&self.command, &self.notice)
    }

    /// The samples that do not agree.
    pub fn outliers(&self) -> &[Outlier] {
        self.fit.outliers()
    }

    /// The samples it holds, oldest first, with what was added to their stamps, ms.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = (Sample, f64)> + ExactSizeIterator {
        self.samples.iter().map(|k| (k.sample(), f64::from(k.shift_ms)))
    }

    /// How much memory it holds, bytes.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.samples.capacity() * size_of::<Kept>() + self.granularity.memory() + self.fit.memory()
    }

    fn likeliest(&self, at: f64, plain: (f64, f64)) -> (f64, f64) {
        let exchanges = self.samples.iter().any(|k| k.cause == Cause::Exchange);
        let delays = (self.command.median_ms(), self.notice.median_ms());
        likeliest(
            self.fit.middle(),
            plain,
            self.line.as_ref(),
            at,
            (!exchanges).then_some(delays),
            self.bias(),
        )
    }

    /// The hull of what one lie, or a step that is suspected, could make of the offset.
    fn hull(&self, at: f64) -> Option<(f64, f64)> {
        let one_in = |n: usize| self.fit.outliers().len() * n > self.samples.len();
        // After a step there may be samples from before it, or lies that made it look like one, and the drift is not
        // known well enough to tell them.
        let young = self.version > 1 && self.samples.len() < self.limits.enough_samples;
        let champion = if one_in(MANY_LIES) || young {
            self.fit
                .cautious(&self.scored(0), self.limits.drift(), at, one_in(VERY_MANY_LIES))?
        } else {
            self.fit.guaranteed(at)?
        };
        let challengers = self.challengers.iter().filter(|c| c.polygon.is_bounded());
        Some(
            challengers
                .map(|c| c.polygon.range(at))
                .fold(champion, |(low, high), (l, h)| (low.min(l), high.max(h))),
        )
    }
}
