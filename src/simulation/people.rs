//! What people do through the API: a client sends a command with one idempotency key until it has an answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{KeyUse, SupervisionStore as _};
use sidedoor_domain::supervision::Mode;

use super::world::{World, contact, lock, main_instance, supervisor};
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::{IdempotencyError, KeyReplay};
use crate::usecases::identity::supervisors::SupervisorRef;
use crate::usecases::leaving::LeavingError;
use crate::usecases::leaving::disconnect::{DisconnectOutcome, DisconnectRequest};
use crate::usecases::monitoring::MonitoringError;
use crate::usecases::monitoring::start::{StartOutcome, StartRequest, StartTarget};
use crate::usecases::{RequestContext, UseCases};

/// How often a client repeats a command that had no answer.
const CLIENT_ATTEMPTS: u64 = 6;

impl World {
    /// A client sends a command with one idempotency key until it has an answer. Returns the supervision of a 2xx answer.
    async fn command<F>(&self, send: impl Fn(UseCases, RequestContext) -> F) -> Option<SupervisionId>
    where
        F: Future<Output = Answer>,
    {
        let number = self.keys.fetch_add(1, Ordering::Relaxed);
        for attempt in 0..CLIENT_ATTEMPTS {
            let key = KeyUse {
                caller: "back-end".into(),
                key: format!("key-{number}"),
                fingerprint: "same".into(),
                claim: format!("{number}/{attempt}"),
            };
            let caller = Self::caller("back-end", &[Scope::SuperviseAny]);
            let request = Self::request(caller, Some(key));
            let answer = self.on_process(|usecases| send(usecases, request)).await;
            match answer {
                Some(Answer::Accepted(id)) => return Some(id),
                Some(Answer::Refused(why)) => {
                    self.note(|| format!("refused: {why}"));
                    return None;
                }
                Some(Answer::Again) | None => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
        None
    }

    pub(super) async fn start(&self, i: usize, on: usize, leave_current: bool) {
        let ask = StartRequest {
            target: StartTarget::Contact(contact(on), None),
            supervisor: SupervisorRef::Id(supervisor(i)),
            salesforce_user_id: None,
            voice_call_id: None,
            mode: Mode::Silent,
            instance: None,
            leave_current,
            reason: None,
            jurisdiction: None,
        };
        self.note(|| format!("supervisor {i} asks to listen to contact {on}"));
        let accepted = self
            .command(|usecases, request| {
                let ask = ask.clone();
                async move { Answer::of_start(usecases.monitoring.start(ask, &request).await) }
            })
            .await;
        if let Some(id) = accepted {
            self.note(|| format!("accepted as {id}"));
            lock(&self.promises).starts.push(id);
        }
    }

    pub(super) async fn disconnect(&self, i: usize, on: usize) {
        // The caller knows the supervision from the answer to its start, or from a list.
        let process = self.process().await;
        let Ok(active) = process.store.active_of(&main_instance(), &supervisor(i)).await else {
            return;
        };
        let on_it = active
            .into_iter()
            .map(|s| s.supervision)
            .rfind(|s| s.contact.as_ref() == Some(&contact(on)));
        let Some(id) = on_it.map(|s| s.id) else { return };
        self.note(|| format!("supervisor {i} asks to leave contact {on} ({id})"));
        let accepted = self
            .command(|usecases, request| async move {
                Answer::of_disconnect(
                    usecases
                        .leaving
                        .disconnect(id, &DisconnectRequest::default(), &request)
                        .await,
                )
            })
            .await;
        self.promise_disconnect(accepted);
    }

    pub(super) async fn disconnect_all(&self, i: usize) {
        self.note(|| format!("supervisor {i} asks to leave everything"));
        let accepted = self
            .command(|usecases, request| async move {
                let ask = DisconnectRequest::default();
                let user = supervisor(i);
                Answer::of_disconnect(
                    usecases
                        .leaving
                        .disconnect_supervisor(&user, None, &ask, &request)
                        .await,
                )
            })
            .await;
        self.promise_disconnect(accepted);
    }

    fn promise_disconnect(&self, accepted: Option<SupervisionId>) {
        if let Some(id) = accepted {
            self.note(|| format!("the disconnect of {id} is accepted"));
            lock(&self.promises).disconnects.push(id);
        }
    }
}

/// What a client sees of an answer.
enum Answer {
    Accepted(SupervisionId),
    Refused(String),
    /// 5xx, or the first request with this key still runs.
    Again,
}

impl Answer {
    fn of_start(outcome: Result<StartOutcome, MonitoringError>) -> Self {
        match outcome {
            Ok(StartOutcome::New(s) | StartOutcome::Already(s) | StartOutcome::Waiting(s, _)) => {
                Self::Accepted(s.supervision.id)
            }
            Ok(StartOutcome::Replay(replay)) => Self::of_replay(&replay),
            Err(MonitoringError::Common(UseCaseError::Store(_) | UseCaseError::Panicked | UseCaseError::Conflict))
            | Err(MonitoringError::Idempotency(IdempotencyError::KeyRunning | IdempotencyError::Common(_))) => {
                Self::Again
            }
            Err(e) => Self::Refused(e.to_string()),
        }
    }

    fn of_disconnect(outcome: Result<DisconnectOutcome, LeavingError>) -> Self {
        match outcome {
            Ok(DisconnectOutcome::Current(s)) => Self::Accepted(s.supervision.id),
            Ok(DisconnectOutcome::AlreadyOver(s)) => Self::Refused(format!("{} is over already", s.supervision.id)),
            Ok(DisconnectOutcome::Replay(replay)) => Self::of_replay(&replay),
            Err(LeavingError::Common(UseCaseError::Store(_) | UseCaseError::Panicked | UseCaseError::Conflict))
            | Err(LeavingError::Idempotency(IdempotencyError::KeyRunning | IdempotencyError::Common(_))) => Self::Again,
            Err(e) => Self::Refused(e.to_string()),
        }
    }

    fn of_replay(replay: &KeyReplay) -> Self {
        match replay {
            KeyReplay::State(id) => Self::Accepted(*id),
            KeyReplay::Answer(status, _) => Self::Refused(format!("replayed {status}")),
        }
    }
}
