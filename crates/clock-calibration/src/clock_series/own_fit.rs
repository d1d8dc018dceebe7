//! What a coupled clock's own samples say, without those of the other clock.

use crate::cautious::{Allowance, Cautious, relaxed};
use crate::fit::{Addition, Fit, Window};
use crate::packed_sample::PackedSample;
use crate::polygon::Label;

/// The fit of the own samples, kept from one question to the next.
///
/// The outliers of the series' fit contradict the coupled samples too, so the own samples have others.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnFit {
    /// `None`: to be computed again.
    fit: Option<Fit>,
    cautious: Cautious,
    /// The outliers of the last time. Others are looked for only if some sample contradicts the rest.
    outliers: Vec<Label>,
    support: Vec<Label>,
}

impl OwnFit {
    /// Least and greatest offset at `at` hours, without the tightest samples. `None` if the others do not bound it, because
    /// one wrong sample would then decide.
    pub(super) fn range<'w>(
        &mut self,
        window: &impl Window<'w>,
        drift: f64,
        max_drift: f64,
        at: f64,
    ) -> Option<(f64, f64)> {
        let fit = self.take_fit(window, drift, max_drift);
        self.cautious = self
            .cautious
            .completed(&fit, window, Allowance::Layers(1), &self.support, max_drift);
        self.support = fit.polygon().support();
        self.support.extend(self.cautious.support());
        self.fit = Some(fit);
        self.cautious.range(at)
    }

    /// Least and greatest offset at `at` hours if every agreeing sample is right. [`OwnFit::range`] is never narrower, and
    /// costs more.
    pub(super) fn least_range<'w>(
        &mut self,
        window: &impl Window<'w>,
        drift: f64,
        max_drift: f64,
        at: f64,
    ) -> (f64, f64) {
        let fit = self.take_fit(window, drift, max_drift);
        let range = fit.polygon().range(at);
        self.fit = Some(fit);
        range
    }

    fn take_fit<'w>(&mut self, window: &impl Window<'w>, drift: f64, max_drift: f64) -> Fit {
        let kept = self.fit.take();
        kept.unwrap_or_else(|| self.fitted(window, drift, max_drift))
    }

    /// The interval of the last fit without the `q` tightest bounds of each side, outliers included.
    pub(super) fn range_without_tightest<'w>(
        &self,
        window: &impl Window<'w>,
        q: usize,
        max_drift: f64,
        at: f64,
    ) -> Option<(f64, f64)> {
        let fit = self.fit.as_ref()?;
        let agree = window.clone().filter(|k| !fit.is_outlier(k.label));
        let q = q.saturating_sub(fit.outliers().len()).max(1);
        let polygon = relaxed(fit.polygon(), &agree, q, max_drift);
        polygon.is_bounded().then(|| polygon.range(at))
    }

    fn fitted<'w>(&mut self, window: &impl Window<'w>, drift: f64, max_drift: f64) -> Fit {
        self.cautious.clear();
        let outliers = std::mem::take(&mut self.outliers);
        let (mut fit, all_agree) = Fit::bounded_by(window, outliers, &self.support, max_drift);
        if !all_agree {
            fit = Fit::of(window, drift, max_drift);
        }
        let contradicts = |k: &&PackedSample| fit.is_outlier(k.label) && k.bounds.contradicts(fit.polygon()).is_some();
        if !fit.outliers().is_empty() {
            self.outliers = window.clone().filter(contradicts).map(|k| k.label).collect();
        }
        fit
    }

    /// Adds an own sample.
    pub(super) fn add(&mut self, packed: &PackedSample) {
        match self.fit.as_mut().map(|fit| fit.add(packed)) {
            Some(Addition::Agrees) => self.cautious.add(packed),
            Some(Addition::Cuts) => self.cautious.clear(),
            Some(Addition::Contradicts(_)) | None => self.clear(),
        }
    }

    /// Drops a sample.
    pub(super) fn forget(&mut self, label: Label) {
        if self.fit.as_mut().is_some_and(|fit| fit.forget(label)) {
            self.clear();
        }
        self.cautious.forget(label);
    }

    /// Lets everything be computed again.
    pub(super) fn clear(&mut self) {
        self.fit = None;
        self.cautious.clear();
    }

    /// Moves the zero of the hours by `by` hours.
    pub(super) fn move_zero(&mut self, by: f64) {
        self.fit.iter_mut().for_each(|fit| fit.move_zero(by));
        self.cautious.move_zero(by);
    }

    /// Heap memory used, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.fit.as_ref().map_or(0, Fit::memory) + self.cautious.memory()
    }
}
