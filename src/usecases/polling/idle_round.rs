//! The polling round: all idle supervisions are asked about together, up to a hundred users in one GetCurrentUserData call.
//!
//! A round begins at each multiple of `supervision.idle_poll_s`, and a round that takes longer delays the next. Idle supervisions have no
//! job, so that a round writes nothing for the legs that it lists. The absence of a leg shows its end only if an earlier answer listed it;
//! otherwise the leg is described by itself. An unknown MONITOR contact is looked into, so that a leg whose events were lost is found here
//! too.
//!
//! The free places of a round's last call are given in turn to supervisors who listened recently and have no idle supervision. So an
//! unknown leg whose events were lost is found within some rounds, without further calls (or with one call a round for an instance
//! without idle supervisions).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::confirmation::{Finding, LegAnswer};
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::{InstanceName, RegionName, SupervisionId, UserId};
use sidedoor_domain::ports::store::{IdleLeg, PollStaleness, UnknownLeg};
use sidedoor_domain::ports::user_data::{UserContact, UserDataSeen};
use sidedoor_domain::ports::{Endpoint, MetricEvent, Priority, Transaction, VendorError, VendorErrorCode};
use sidedoor_domain::supervision::{State, Supervision};

use crate::usecases::evidence::observation::Observation;
use crate::usecases::polling::dispatch::BATCH;
use crate::usecases::polling::{PollingError, PollingService};

/// Supervisors who listened within this time fill the free places of a batch poll.
const RECENTLY: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The progress of the rounds, by instance.
#[derive(Default)]
pub(crate) struct PollRounds(Mutex<BTreeMap<InstanceName, PollRound>>);

/// The progress in one instance.
#[derive(Default)]
struct PollRound {
    /// When the next round begins, by [`Clock::elapsed`](sidedoor_domain::ports::Clock::elapsed).
    next: Option<Duration>,
    /// When the next round begins that asks for the agents of the board only, if it is viewed.
    next_board: Option<Duration>,
    is_running: bool,
    /// The last recent supervisor that was included, by Region.
    after: BTreeMap<Option<RegionName>, UserId>,
}

/// Whether a refusal may be about one of the users, so that the others can be asked about without them.
fn may_be_about_one_user(code: VendorErrorCode) -> bool {
    use VendorErrorCode::{ClockInvalid, CredentialsInvalid, RegionInvalid};
    !matches!(code, ClockInvalid | CredentialsInvalid | RegionInvalid)
}

impl PollRounds {
    fn rounds(&self) -> MutexGuard<'_, BTreeMap<InstanceName, PollRound>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a round when it drops.
struct RunningRound(PollingService, InstanceName);

impl Drop for RunningRound {
    fn drop(&mut self) {
        let mut rounds = self.0.ctx.signals.poll_rounds.rounds();
        if let Some(round) = rounds.get_mut(&self.1) {
            round.is_running = false;
        }
        drop(rounds);
        self.0.ctx.signals.jobs.wake();
    }
}

impl PollingService {
    /// How long until the next round begins: at the next multiple of the interval that is at least half an interval away.
    fn round_after(&self, now: Timestamp) -> Duration {
        let every = i64::try_from(self.ctx.settings.idle_poll.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let earliest = now.as_millisecond().saturating_add(every / 2);
        let next = earliest.div_euclid(every).saturating_add(1).saturating_mul(every);
        let wait = next.saturating_sub(now.as_millisecond());
        Duration::from_millis(u64::try_from(wait).unwrap_or(0))
    }

    /// How long until a round begins.
    pub(super) fn next_round_in(&self) -> Option<Duration> {
        let now = self.ctx.elapsed();
        let rounds = self.ctx.signals.poll_rounds.rounds();
        let waiting = rounds.iter().filter(|(_, round)| !round.is_running);
        let next = waiting.filter_map(|(instance, round)| {
            let is_viewed = self.ctx.signals.boards.is_viewed(instance, now);
            let board = is_viewed.then(|| round.next_board.unwrap_or_default());
            round.next.into_iter().chain(board).min()
        });
        next.min().map(|at| at.saturating_sub(now))
    }

    /// Starts the rounds that are due.
    pub(super) fn start_due_rounds(&self) {
        let now = self.ctx.elapsed();
        let mut due = Vec::new();
        let mut rounds = self.ctx.signals.poll_rounds.rounds();
        for instance in self.ctx.settings.instances.keys() {
            let round = rounds.entry(instance.clone()).or_default();
            let is_due = round.next.is_none_or(|next| next <= now);
            let is_viewed = self.ctx.signals.boards.is_viewed(instance, now);
            let board_is_due = is_viewed && round.next_board.is_none_or(|next| next <= now);
            if round.is_running || !(is_due || board_is_due) {
                continue;
            }
            round.is_running = true;
            // While the board is not viewed, the first view begins a round at once.
            round.next_board = is_viewed.then(|| now + self.ctx.settings.board_poll);
            if is_due {
                // After a start the first round is soon, because events may have been lost meanwhile.
                round.next = Some(now + self.round_after(self.ctx.now()));
            }
            due.push((instance.clone(), is_due));
        }
        drop(rounds);
        for (instance, idle_legs_too) in due {
            let running = RunningRound(self.clone(), instance.clone());
            let this = self.clone();
            self.ctx.spawn(async move {
                let begun = this.ctx.elapsed();
                if let Err(e) = this.poll_idle(&instance, idle_legs_too).await {
                    tracing::error!(%instance, error = %e, "could not finish the polling round of {instance}; the next round asks again: {e}");
                }
                let took = this.ctx.elapsed().saturating_sub(begun);
                this.ctx.count(&MetricEvent::PollRound(took.as_secs_f64()));
                drop(running);
            });
        }
    }

    /// Asks for the agents of the board if it is viewed, and about all idle supervisions of an instance (`idle_legs_too`), in the
    /// Regions of their legs. The other Region of a replicated instance is asked even if no leg is there, because unknown legs may be.
    async fn poll_idle(&self, instance: &InstanceName, idle_legs_too: bool) -> Result<(), PollingError> {
        let first = Endpoint::from(instance);
        let mut idle = self.ctx.signals.jobs.idle_legs(instance);
        if let Some(other) = self.ctx.other_endpoint(&first) {
            idle.entry(other.region).or_default();
        }
        idle.entry(None).or_default();
        let mut board = self.begin_board_round(instance).await;
        for (region, mut legs) in idle {
            let endpoint = Endpoint {
                region,
                ..first.clone()
            };
            if let Some(round) = &mut board {
                legs = self.poll_board(round, &endpoint, legs).await?;
            }
            if !idle_legs_too {
                continue;
            }
            if legs.is_empty() {
                self.poll_together(&endpoint, &[]).await?;
            }
            for legs in legs.chunks(BATCH) {
                self.poll_together(&endpoint, legs).await?;
            }
        }
        if let Some(round) = board {
            self.finish_board_round(instance, round);
        }
        Ok(())
    }

    /// Asks about these legs, at most a hundred, in one call.
    async fn poll_together(&self, endpoint: &Endpoint, legs: &[IdleLeg]) -> Result<(), PollingError> {
        let instance = &endpoint.instance;
        let mut users: Vec<UserId> = legs.iter().map(|leg| leg.user.clone()).collect();
        users.sort();
        users.dedup();
        let mut filler = self
            .recent_supervisors(endpoint, BATCH - users.len().min(BATCH))
            .await?;
        filler.retain(|user| users.binary_search(user).is_err());
        let idle = users.len();
        users.extend(filler);
        if users.is_empty() {
            return Ok(());
        }
        let asked_at = self.ctx.now();
        let seen = match self.user_data_of(endpoint, &users, idle, Priority::IdlePoll).await {
            Ok(seen) => seen,
            // Nothing is expected in a Region that is not active.
            Err(e) if legs.is_empty() && e.code == VendorErrorCode::RegionInvalid => return Ok(()),
            Err(e) => {
                tracing::warn!(%instance, code = %e.code, users = users.len(), "the batch poll of {instance} failed; polling again at the next interval: {}", e.for_operators());
                return Ok(());
            }
        };
        let received_at = self.ctx.now();
        self.apply_poll(endpoint, legs, &seen, (asked_at, received_at)).await
    }

    /// Evaluates what an answer of GetCurrentUserData shows of these idle legs, and looks into the legs in it that are unknown.
    pub(super) async fn apply_poll(
        &self,
        endpoint: &Endpoint,
        legs: &[IdleLeg],
        seen: &UserDataSeen,
        (asked_at, received_at): (Timestamp, Timestamp),
    ) -> Result<(), PollingError> {
        let (mut lost, mut listed) = (Vec::new(), Vec::new());
        for leg in legs {
            match seen.finding(&leg.user, &leg.leg) {
                Finding::Alive => {
                    let answer = LegAnswer {
                        source: Source::UserData,
                        sent_at: asked_at,
                        received_at,
                        finding: Finding::Alive,
                    };
                    if let Some(found) = &seen.answered_elsewhere {
                        self.ctx.note_region(leg.supervision, found.region.as_ref()).await;
                    }
                    listed.push(self.note_alive(leg, answer));
                }
                finding => lost.push((leg, finding)),
            }
        }
        // Together, so that their writes are one group.
        for noted in join_all(listed).await {
            noted?;
        }
        for (leg, finding) in lost {
            self.look_into_unlisted(endpoint, leg, finding, (asked_at, received_at))
                .await?;
        }
        let known = |c: &UserContact| legs.iter().any(|leg| leg.leg.eq_ignore_ascii_case(&c.contact));
        for unknown in seen.contacts.iter().filter(|c| c.may_be_live_leg() && !known(c)) {
            self.note_unknown_leg(&endpoint.instance, unknown, asked_at).await?;
        }
        Ok(())
    }

    /// The poll listed the leg. Only the first such answer is written at once, because the absence of the leg shows its end from then on.
    async fn note_alive(&self, leg: &IdleLeg, answer: LegAnswer) -> Result<(), PollingError> {
        if !self.ctx.signals.jobs.note_polled(leg.supervision, answer) {
            return Ok(());
        }
        let stored = self.ctx.store().supervision(leg.supervision).await?;
        if stored.is_some_and(|stored| stored.supervision.watch.listed_at.is_none()) {
            let alone = || Transaction {
                rides_along: true,
                ..Transaction::default()
            };
            self.ctx.update(leg.supervision, |_| Some(alone())).await?;
        }
        Ok(())
    }

    /// The poll did not list the leg, or listed it as ended.
    async fn look_into_unlisted(
        &self,
        endpoint: &Endpoint,
        leg: &IdleLeg,
        finding: Finding,
        (asked_at, received_at): (Timestamp, Timestamp),
    ) -> Result<(), PollingError> {
        let Some(stored) = self.ctx.store().supervision(leg.supervision).await? else {
            return Ok(());
        };
        let s = self.ctx.with_newest_poll(stored).supervision;
        // A claim or a request came meanwhile, and has a job of its own.
        if !s.is_idle() {
            return Ok(());
        }
        if s.region == endpoint.region {
            self.evaluate_finding(&s, finding, asked_at, received_at).await?;
        } else {
            // After a restart the Regions of idle legs are not known yet, so another one than the leg's was asked.
            self.ctx.signals.jobs.note_region(s.id, s.region.as_ref());
        }
        if !self.has_left(s.id).await? {
            self.poll_leg(&s, Priority::IdlePoll).await?;
        }
        Ok(())
    }

    /// What an answer of GetCurrentUserData shows of a supervision's leg.
    pub(super) fn finding_of(&self, s: &Supervision, seen: &UserDataSeen) -> Finding {
        match (&s.supervisor.connect_user_id, &s.leg) {
            (Some(user), Some(leg)) => seen.finding(user, leg.as_str()),
            _ => Finding::Unknown,
        }
    }

    /// Evaluates what an answer of GetCurrentUserData shows of a supervision's leg.
    pub(super) async fn evaluate_finding(
        &self,
        s: &Supervision,
        finding: Finding,
        sent_at: Timestamp,
        received_at: Timestamp,
    ) -> Result<(), PollingError> {
        let Some(leg) = &s.leg else { return Ok(()) };
        let observation = Observation::of_finding(Source::UserData, finding, sent_at, received_at);
        self.evidence
            .evaluate(&s.instance, leg.as_str(), observation, None)
            .await?;
        Ok(())
    }

    pub(super) async fn has_left(&self, id: SupervisionId) -> Result<bool, PollingError> {
        let stored = self.ctx.store().supervision(id).await?;
        Ok(stored.is_none_or(|s| s.supervision.state.is_final()))
    }

    /// The current contacts of these users; the first `wanted` of them are needed. What GetCurrentUserData answers for a deleted user
    /// is not documented. If it refuses the call, the call is repeated without the others and then in halves, so that one bad user
    /// does not hide the contacts of the others.
    pub(super) async fn user_data_of(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        wanted: usize,
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError> {
        let refused = match self.ctx.current_contacts_anywhere(endpoint, users, priority).await {
            Err(e) if !e.is_retryable() && may_be_about_one_user(e.code) && users.len() > 1 => e,
            other => return other,
        };
        tracing::warn!(instance = %endpoint.instance, code = %refused.code, users = users.len(), "GetCurrentUserData refused a call for {} users; retrying with fewer: {}", users.len(), refused.for_operators());
        let parts: Vec<&[UserId]> = if wanted < users.len() {
            vec![&users[..wanted]]
        } else {
            users.chunks(users.len().div_ceil(2)).collect()
        };
        let mut found = UserDataSeen {
            is_complete: true,
            ..UserDataSeen::default()
        };
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            // A single user that Connect refuses is not in the answer, which then shows nothing of their legs.
            match Box::pin(self.user_data_of(endpoint, part, part.len(), priority)).await {
                Err(e) if !e.is_retryable() => {}
                other => {
                    let more = other?;
                    found.contacts.extend(more.contacts);
                    found.users.extend(more.users);
                    found.is_complete &= more.is_complete;
                    found.answered_elsewhere = found.answered_elsewhere.or(more.answered_elsewhere);
                }
            }
        }
        Ok(found)
    }

    /// The next supervisors who listened recently, at most `free_places`: the users that the request can still name.
    async fn recent_supervisors(&self, endpoint: &Endpoint, free_places: usize) -> Result<Vec<UserId>, PollingError> {
        let now = self.ctx.now();
        let after = self
            .ctx
            .signals
            .poll_rounds
            .rounds()
            .get(&endpoint.instance)
            .and_then(|round| round.after.get(&endpoint.region).cloned());
        if free_places == 0 {
            // The calls of this instance are full, and recent supervisors must not cause another one.
            return Ok(Vec::new());
        }
        let most = u32::try_from(free_places).unwrap_or(u32::MAX);
        let since = now - RECENTLY;
        let found = self
            .ctx
            .store()
            .supervisors_since(&endpoint.instance, since, after.as_ref(), most)
            .await?;
        let mut rounds = self.ctx.signals.poll_rounds.rounds();
        // At the end of the list, the next call starts from the beginning.
        let after = &mut rounds.entry(endpoint.instance.clone()).or_default().after;
        match found.last().filter(|_| found.len() == free_places) {
            Some(last) => after.insert(endpoint.region.clone(), last.clone()),
            None => after.remove(&endpoint.region),
        };
        drop(rounds);
        Ok(found)
    }

    async fn note_unknown_leg(
        &self,
        instance: &InstanceName,
        unknown: &UserContact,
        asked_at: Timestamp,
    ) -> Result<(), PollingError> {
        if let Some(known) = self.ctx.store().by_leg(instance, &unknown.contact).await? {
            self.measure_staleness(&known.supervision, asked_at);
            return Ok(());
        }
        let leg = UnknownLeg {
            instance: instance.clone(),
            leg: unknown.contact.clone(),
            due_at: self.ctx.now() + self.ctx.settings.intervals.unknown_leg,
            looks: 0,
        };
        self.ctx
            .transact(Transaction {
                unknown_legs: vec![leg],
                ..Transaction::default()
            })
            .await?;
        Ok(())
    }

    /// A poll that was sent at `asked_at` lists a leg. If its end is confirmed, the answer is that old.
    pub(super) fn measure_staleness(&self, s: &Supervision, asked_at: Timestamp) {
        let ended = s
            .departure
            .as_ref()
            .filter(|_| s.state == State::Left)
            .map(|d| d.latest);
        if let Some(stale) = ended
            .map(|ended| asked_at.duration_since(ended))
            .filter(|stale| stale.is_positive())
        {
            self.ctx.count(&MetricEvent::PollStaleness(stale.as_secs_f64()));
            if stale > self.ctx.settings.poll_staleness {
                let measured = PollStaleness {
                    instance: s.instance.clone(),
                    measured_at: self.ctx.now(),
                    age: stale,
                };
                self.ctx.store().transact_later(Transaction {
                    poll_staleness: Some(measured),
                    ..Transaction::default()
                });
            }
        }
    }
}
