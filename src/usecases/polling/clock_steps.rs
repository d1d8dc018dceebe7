//! What follows when our own clock was set to another time while the process runs, or while it did not run.
//!
//! Due times in memory are monotonic and do not change. Limits of time in the store keep their distance from now, and every next step is
//! due at once, because it is planned on the old scale. Nothing is deleted by age for a day, because the clock may be wrong now.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::Transaction;

use crate::usecases::error::UseCaseError;
use crate::usecases::polling::{PollingError, PollingService};

/// Smaller steps are corrections, and no plan needs to follow them.
const LEAST_STEP: SignedDuration = SignedDuration::from_secs(2);
/// For so long after a step nothing is deleted by its age.
const NO_DELETION: Duration = Duration::from_secs(24 * 3600);
/// While the newest stored moment is further away than this, nothing is deleted by its age.
const FAR_AWAY: SignedDuration = SignedDuration::from_hours(1);
/// If the newest stored moment is further away than this at the start, the clock may have been set while the process did not run.
const FAR_AWAY_AT_START: SignedDuration = SignedDuration::from_hours(24);
/// The most steps that wait. More are not followed one by one.
const MOST: usize = 16;
/// The supervisions that are written at the same time.
const AT_A_TIME: usize = 64;

/// The steps of our own clock that are still to be followed.
#[derive(Default)]
pub(crate) struct ClockSteps(Mutex<Steps>);

#[derive(Default)]
struct Steps {
    /// By how much our clock is later, and when that began.
    waiting: Vec<(SignedDuration, Timestamp)>,
    /// All steps, oldest first.
    all: Vec<(SignedDuration, Timestamp)>,
    /// When rows may be deleted by their age again, by [`Clock::elapsed`](sidedoor_domain::ports::Clock::elapsed).
    deletion_from: Option<Duration>,
}

impl ClockSteps {
    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our own clock was set at `at`, and is later by `step` from then on.
    pub(crate) fn note(&self, step: SignedDuration, at: Timestamp, elapsed: Duration) {
        if step.abs() <= LEAST_STEP {
            return;
        }
        let mut steps = self.steps();
        steps.deletion_from = Some(elapsed + NO_DELETION);
        if steps.waiting.len() < MOST {
            steps.waiting.push((step, at));
        }
        if steps.all.len() >= MOST {
            steps.all.remove(0);
        }
        steps.all.push((step, at));
    }

    /// A moment of the past that was read from our clock, perhaps before a step, on the present scale. It is `now`.
    pub(crate) fn on_present_scale(&self, read: Timestamp, now: Timestamp) -> Timestamp {
        let steps = self.steps();
        steps.all.iter().fold(read, |t, (step, at)| {
            // After a step back our clock shows some moments twice, but none of the future.
            let is_old = if step.is_positive() { t < *at } else { t > now };
            if is_old {
                t.saturating_add(*step).unwrap_or(t)
            } else {
                t
            }
        })
    }

    /// Whether rows may be deleted by their age, as far as the steps of our clock tell.
    fn allow_deletion(&self, elapsed: Duration) -> bool {
        self.steps().deletion_from.is_none_or(|from| from <= elapsed)
    }
}

impl PollingService {
    /// Adapts the plans to the steps of our clock, if there were any.
    pub(super) async fn follow_clock_steps(&self) -> Result<(), PollingError> {
        let steps = std::mem::take(&mut self.ctx.signals.clock_steps.steps().waiting);
        for (done, (step, at)) in steps.iter().enumerate() {
            if let Err(e) = self.follow_clock_step(*step, *at).await {
                let mut waiting = self.ctx.signals.clock_steps.steps();
                waiting.waiting.splice(0..0, steps[done..].iter().copied());
                return Err(e);
            }
        }
        Ok(())
    }

    async fn follow_clock_step(&self, step: SignedDuration, at: Timestamp) -> Result<(), PollingError> {
        let planned = self.ctx.signals.jobs.ids();
        tracing::warn!(
            step_ms = step.as_millis(),
            jobs = planned.len(),
            "this machine's clock was set to another time; adapting the plans of {} supervisions, and deleting nothing by its age for 24 h",
            planned.len()
        );
        stream::iter(planned.into_iter().map(Ok::<_, PollingError>))
            .try_for_each_concurrent(AT_A_TIME, |id| async move {
                self.ctx
                    .update(id, |s| {
                        s.clock_stepped(step, at);
                        Some(Transaction::default())
                    })
                    .await?;
                Ok(())
            })
            .await?;
        if step.is_negative() {
            self.ctx
                .transact(Transaction {
                    due_by: Some(at),
                    ..Transaction::default()
                })
                .await
                .map_err(UseCaseError::from)?;
            self.ctx.signals.jobs.note_unknown_leg(at);
            self.ctx.signals.deliver.notify_one();
        }
        Ok(())
    }

    /// At the start: compares our clock with the newest stored moment. If our clock was set back meanwhile, all plans are too late.
    pub(crate) async fn compare_clock_with_store(&self) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let Some(newest) = self.ctx.store().newest_moment().await? else {
            return Ok(());
        };
        let apart = now.duration_since(newest);
        if apart < -LEAST_STEP {
            self.ctx.signals.clock_steps.note(apart, now, self.ctx.elapsed());
        } else if apart > FAR_AWAY_AT_START {
            tracing::warn!(newest = %newest, "the newest entry of the store is from {newest}; deleting nothing by its age for 24 h, because this machine's clock may be wrong");
            self.ctx.signals.clock_steps.steps().deletion_from = Some(self.ctx.elapsed() + NO_DELETION);
        }
        Ok(())
    }

    /// Whether rows may be deleted by their age now.
    pub(super) async fn may_delete_by_age(&self) -> Result<bool, PollingError> {
        if !self.ctx.signals.clock_steps.allow_deletion(self.ctx.elapsed()) {
            return Ok(false);
        }
        let newest = self.ctx.store().newest_moment().await?;
        Ok(newest.is_none_or(|newest| self.ctx.now().duration_since(newest).abs() <= FAR_AWAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + s).expect("in range")
    }

    fn stepped(steps: &[(i64, i64)]) -> ClockSteps {
        let clock = ClockSteps::default();
        for (step, since) in steps {
            clock.note(SignedDuration::from_secs(*step), at(*since), Duration::ZERO);
        }
        clock
    }

    #[test]
    fn moment_before_a_step_is_converted_to_the_present_scale() {
        let forward = stepped(&[(3600, 3700)]);
        assert_eq!(forward.on_present_scale(at(90), at(3710)), at(3690));
        assert_eq!(forward.on_present_scale(at(3705), at(3710)), at(3705));
        let back = stepped(&[(-3600, 100)]);
        assert_eq!(back.on_present_scale(at(3690), at(110)), at(90));
        assert_eq!(back.on_present_scale(at(105), at(110)), at(105));
        let there_and_back = stepped(&[(3600, 3700), (-3600, 200)]);
        assert_eq!(there_and_back.on_present_scale(at(90), at(210)), at(90));
        assert_eq!(there_and_back.on_present_scale(at(3750), at(210)), at(150));
        assert_eq!(stepped(&[(1, 100)]).on_present_scale(at(90), at(110)), at(90));
    }

    #[test]
    fn nothing_is_deleted_for_a_day_after_a_step() {
        let clock = stepped(&[(3600, 100)]);
        assert!(!clock.allow_deletion(NO_DELETION - Duration::from_secs(1)));
        assert!(clock.allow_deletion(NO_DELETION));
        assert!(stepped(&[(2, 100)]).allow_deletion(Duration::ZERO));
    }
}
