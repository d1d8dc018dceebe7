//! What a clock's samples say: offset, drift, suspected steps and memory use.

use super::{ClockSeries, most_wrong};
use crate::cautious::{Allowance, Cautious};
use crate::fit::Outlier;
use crate::granularity::Granularity;
use crate::latency::Latency;
use crate::limits::{Doubt, MS_PER_HOUR_PER_PPM, Offset};
use crate::moment::Moment;
use crate::packed_sample::PackedSample;
use crate::point_estimate::point_estimate;
use crate::polygon::Polygon;
use crate::probing::ProbeTarget;
use crate::sample::{Cause, Sample};

/// In smaller windows than this, each sample of the support is left out in turn; in larger ones, the whole support.
const LAYERED: usize = 64;
/// A window of this many samples gets one layer more, for the few wrong samples that every vendor sends.
const SAMPLES_A_LAYER: f64 = 1000.0;
/// An outlier that misses by little stands for this many wrong samples that agree, on each side.
const HIDDEN_BY_NEAR: f64 = 2.0;
/// The same for a sample that misses by much.
const HIDDEN_BY_FAR: f64 = 0.05;
/// A layer of the support holds about this many samples of each side.
const LAYER: f64 = 3.0;
/// More layers than this are left out at once.
const MOST_LAYERS: usize = 3;
/// So many commands bound the polygon above.
const ENOUGH_COMMANDS: usize = 10;
/// Offsets beyond this, in ms, mean that a side is not bounded.
const FAR: f64 = 50.0 * 86_400_000.0;

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
        // The samples bound a straight line; the clock itself may deviate from it.
        let stray = self.limits.model_error_ms + self.limits.stray(at);
        let (low, high) = self.hull(at)?;
        let plain = self.fit.polygon().range(at);
        let (best, sigma) = self.point_estimate(at, self.fit.likely_polygon().range(at));
        Some(Offset {
            guaranteed: (low - stray, high + stray),
            plain: (plain.0 - stray, plain.1 + stray),
            best: best.clamp(low, high),
            sigma,
        })
    }

    /// An interval that the guaranteed one of [`ClockSeries::offset`] contains, and that costs less. `None` if `t` is before
    /// the current epoch.
    pub(crate) fn least_range(&self, t: Moment) -> Option<(f64, f64)> {
        let is_known = self.since.is_none_or(|since| since <= t);
        is_known.then(|| self.fit.polygon().range(self.hours(t)))
    }

    /// The middle of the offsets that the agreeing samples allow; `None` if they bound only one side.
    pub(crate) fn middle(&self, t: Moment) -> Option<f64> {
        let (o, d) = self.fit.polygon().is_bounded().then(|| self.fit.middle())?;
        Some(d.mul_add(self.hours(t), o))
    }

    /// What the next probe should find out: the guaranteed interval without a step, and whether a step hypothesis
    /// reaches notably below or above it.
    pub fn probe_target(&self, t: Moment) -> Option<ProbeTarget> {
        const NOTABLY: f64 = 60.0;
        let at = self.hours(t);
        let current = self.guaranteed(at)?;
        let low = |p: &Polygon| p.range(at).0 < current.0 - NOTABLY;
        let high = |p: &Polygon| p.range(at).1 > current.1 + NOTABLY;
        let below = self.shift.back.is_active() && low(&self.shift.back.polygon);
        let above = self.shift.forward.is_active() && high(&self.shift.forward.polygon);
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

    /// Whether any assumption is in doubt; see [`ClockSeries::doubt`].
    pub fn suspects_step(&self) -> bool {
        self.doubt().is_some()
    }

    /// The assumption that the samples put in doubt now, the most likely first.
    pub fn doubt(&self) -> Option<Doubt> {
        let uncoupled = self.uncoupled.zip(self.newest());
        let contradicted = || uncoupled.is_some_and(|(then, newest)| newest.hours_since(then) < 1.0);
        match () {
            () if self.shift.active().next().is_some() => Some(Doubt::Step),
            () if self.has_many_outliers() => Some(Doubt::ManyOutliers),
            () if self.exceeds_drift() => Some(Doubt::Drift),
            () if self.mixed => Some(Doubt::SeveralClocks),
            () if contradicted() => Some(Doubt::Coupling),
            () => None,
        }
    }

    /// Whether more samples contradict the rest than the declared share of wrong ones explains: the mean and three standard
    /// deviations.
    fn has_many_outliers(&self) -> bool {
        self.fit.outliers().len() > most_wrong(self.samples.len())
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
            + self.own.memory()
            + self.cautious.get().map_or(0, Cautious::memory)
            + self.still_cautious.memory()
    }

    fn point_estimate(&self, at: f64, plain: (f64, f64)) -> (f64, f64) {
        let exchanges = self.samples.iter().any(|k| k.cause == Cause::Exchange);
        let commands = self.samples.iter().filter(|k| k.cause == Cause::Command).count();
        let delays = (self.command.median_ms(), self.notice.median_ms());
        point_estimate(
            self.fit.middle(),
            plain,
            self.line.as_ref(),
            at,
            (!exchanges).then_some(delays),
            self.bias(),
            !exchanges && commands >= ENOUGH_COMMANDS,
        )
    }

    /// The union of all offsets that are possible if some agreeing samples are outliers or a suspected step is real.
    fn hull(&self, at: f64) -> Option<(f64, f64)> {
        let (mut low, mut high) = self.guaranteed(at)?;
        // After a step forward the lower bounds before it still hold, so only the upper end is in doubt.
        if self.shift.forward.is_active() {
            high = high.max(self.shift.forward.polygon.range(at).1);
        }
        if self.shift.back.is_active() {
            low = low.min(self.shift.back.polygon.range(at).0);
        }
        (low.abs().max(high.abs()) < FAR).then_some((low, high))
    }

    /// The interval without a step.
    fn guaranteed(&self, at: f64) -> Option<(f64, f64)> {
        let cautious = self.cautious.get_or_init(|| {
            let mut likely = self.still_cautious.support().to_vec();
            likely.extend(self.fit.polygon().support());
            let allowance = self.allowance();
            self.still_cautious
                .completed(&self.fit, &self.samples.iter(), allowance, &likely, self.max_drift)
        });
        let (low, high) = cautious.range(at)?;
        let (plain_low, plain_high) = self.fit.polygon().range(at);
        Some((low.min(plain_low), high.max(plain_high)))
    }

    /// How many agreeing samples may be wrong. Outliers that miss the rest by little are few of many, because the delays
    /// hide the others; those that miss it by much are nearly all found.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a window"
    )]
    fn allowance(&self) -> Allowance {
        let n = self.samples.len();
        if n < LAYERED {
            return Allowance::One;
        }
        if self.mixed {
            // Up to half of the samples are of the other clock, and some of them show it.
            return Allowance::Tightest(n / 2);
        }
        let hidden = n as f64 * (HIDDEN_BY_NEAR * self.near_share + HIDDEN_BY_FAR * self.far_share);
        let layers = 1.0 + n as f64 / SAMPLES_A_LAYER + hidden / LAYER;
        if layers < MOST_LAYERS as f64 + 1.0 {
            Allowance::Layers(layers as usize)
        } else {
            Allowance::Tightest(((layers * LAYER) as usize).min(n / 2))
        }
    }
}
