//! `POST /v1/supervisors/{connectUserId}/tickets`: a ticket with which that supervisor's browser opens its directive stream.
//!
//! A browser's `EventSource` cannot send headers, and a page must not hold a key. So a caller that may act as the supervisor (Apex)
//! fetches a ticket, and the page opens the stream with it. A ticket is valid once, for one minute, for that supervisor's stream
//! only, and neither the ticket nor its stream outlives the token for which it was issued. A supervisor has at most 20. Only its hash is
//! kept, in memory, so a page must fetch another one after a restart.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sidedoor_domain::authority::{Caller, Scope};
use sidedoor_domain::ids::UserId;

use crate::http::extract::{Authenticated, NameInPath};
use crate::http::problem::{Problem, json};
use crate::http::v1::supervisors::supervisor_in_path;
use crate::http::views::Rfc3339;
use crate::http::{AppState, body};
use crate::usecases::error::UseCaseError;

/// How long a ticket is valid.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// The most tickets that are kept.
const KEPT: u64 = 10_000;
/// The most tickets of one supervisor; of more, the oldest are no longer valid.
const OF_ONE: usize = 20;

type Hash = [u8; 32];

/// The tickets that are valid now.
#[derive(Clone)]
pub(crate) struct Tickets {
    holders: Cache<Hash, (Caller, Timestamp)>,
    /// The tickets of each supervisor that may still be valid, oldest first.
    of: Arc<Mutex<HashMap<UserId, VecDeque<Hash>>>>,
}

impl Tickets {
    pub(crate) fn new() -> Self {
        // The oldest are dropped first, so that a flood of tickets mostly drops its own.
        let kept = Cache::builder()
            .max_capacity(KEPT)
            .eviction_policy(EvictionPolicy::lru());
        Self {
            holders: kept.time_to_live(GOOD_FOR).build(),
            of: Arc::default(),
        }
    }

    fn of(&self) -> MutexGuard<'_, HashMap<UserId, VecDeque<Hash>>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn issue(&self, by: &Caller, user: &UserId, expires_at: Timestamp) -> String {
        // 244 random bits from the system's generator.
        let ticket = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let holder = Caller::new(format!("{} (ticket)", by.name), vec![Scope::Supervise])
            .naming(Some(user.clone()))
            .until(by.expires_at);
        let hash: Hash = Sha256::digest(&ticket).into();
        self.holders.insert(hash, (holder, expires_at));
        let mut of = self.of();
        if of.len() as u64 >= KEPT {
            of.retain(|_, own| own.iter().any(|hash| self.holders.contains_key(hash)));
        }
        let own = of.entry(user.clone()).or_default();
        own.push_back(hash);
        if own.len() > OF_ONE
            && let Some(oldest) = own.pop_front()
        {
            self.holders.remove(&oldest);
        }
        ticket
    }

    /// Redeems the ticket of a request, which is then invalid. The caller may act as its supervisor only.
    pub(crate) fn take(&self, request: &Request, now: Timestamp) -> Option<Caller> {
        let query = request.uri().query()?;
        let mut given = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "ticket");
        let (_, ticket) = given.next()?;
        let hash: Hash = Sha256::digest(ticket.as_bytes()).into();
        let (holder, expires_at) = self.holders.remove(&hash)?;
        if let Some(user) = &holder.supervisor {
            let mut of = self.of();
            if let Some(own) = of.get_mut(user) {
                own.retain(|known| *known != hash);
                if own.is_empty() {
                    of.remove(user);
                }
            }
        }
        // The cache evicts lazily, so that an expired ticket may still be in it.
        let is_good = now < expires_at && holder.expires_at.is_none_or(|of_token| now < of_token);
        is_good.then_some(holder)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TicketView {
    ticket: String,
    connect_user_id: String,
    expires_at: Rfc3339,
}

pub(crate) async fn handle(
    State(app): State<AppState>,
    NameInPath(user): NameInPath,
    Authenticated(by): Authenticated,
    request: Request,
) -> Result<Response, Problem> {
    let body = body::read(request, app.settings.max_body_bytes).await?;
    if !body.is_empty() {
        body::Reader::new(&body::parse(&body)?, "")?.finish()?;
    }
    let user = supervisor_in_path(&by.caller, user.as_deref())?;
    if !by.caller.may_act_as(&user) {
        return Err(UseCaseError::Forbidden("this credential may not act as that supervisor").into());
    }
    let good_for = SignedDuration::try_from(GOOD_FOR).unwrap_or(SignedDuration::ZERO);
    // Also if the token ends before, because pages learn the service's time from this.
    let expires_at: Timestamp = app.usecases.now() + good_for;
    app.usecases.reports.note_ticket(&by, &user).await?;
    let view = TicketView {
        ticket: app.tickets.issue(&by.caller, &user, expires_at),
        connect_user_id: user.to_string(),
        expires_at: Rfc3339::of(expires_at),
    };
    Ok(json(StatusCode::CREATED, &view))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(query: &str) -> Request {
        Request::builder()
            .uri(format!("/v1/supervisors/sup-1/directives?{query}"))
            .body(axum::body::Body::empty())
            .expect("a request")
    }

    #[test]
    fn ticket_is_valid_once_and_for_one_supervisor() {
        let tickets = Tickets::new();
        let back_end = Caller::new("back-end", vec![Scope::SuperviseAny]);
        let user = UserId::parse("sup-1").expect("an id");
        let (now, later) = (
            Timestamp::UNIX_EPOCH,
            Timestamp::UNIX_EPOCH + SignedDuration::from_secs(60),
        );
        let ticket = tickets.issue(&back_end, &user, later);
        assert!(tickets.take(&with("ticket=guessed"), now).is_none());
        let holder = tickets
            .take(&with(&format!("after=3&ticket={ticket}")), now)
            .expect("good");
        assert_eq!(
            (holder.supervisor.as_ref(), holder.has(Scope::SuperviseAny)),
            (Some(&user), false)
        );
        assert!(tickets.take(&with(&format!("ticket={ticket}")), now).is_none(), "once");
        let unused = tickets.issue(&back_end, &user, later);
        assert!(
            tickets.take(&with(&format!("ticket={unused}")), later).is_none(),
            "too late"
        );
    }
    #[test]
    fn tickets_of_one_supervisor_are_limited_and_drop_no_others() {
        let tickets = Tickets::new();
        let back_end = Caller::new("back-end", vec![Scope::SuperviseAny]).until(Some(Timestamp::MAX));
        let user = |name: &str| UserId::parse(name).expect("an id");
        let (now, later) = (
            Timestamp::UNIX_EPOCH,
            Timestamp::UNIX_EPOCH + SignedDuration::from_secs(60),
        );
        let other = tickets.issue(&back_end, &user("sup-2"), later);
        let own: Vec<_> = (0..50)
            .map(|_| tickets.issue(&back_end, &user("sup-1"), later))
            .collect();
        let redeemed = |ticket: &String| tickets.take(&with(&format!("ticket={ticket}")), now);
        let valid: Vec<_> = own.iter().filter_map(redeemed).collect();
        assert_eq!(valid.len(), OF_ONE);
        assert_eq!(
            valid[0].expires_at,
            Some(Timestamp::MAX),
            "it ends with the credential that asked for it"
        );
        assert!(redeemed(&own[49]).is_none(), "once");
        assert!(redeemed(&other).is_some());
        let ended = Caller::new("page", vec![Scope::Supervise]).until(Some(now));
        let late = tickets.issue(&ended, &user("sup-1"), later);
        assert!(redeemed(&late).is_none(), "its token has ended");
        assert!(tickets.of().is_empty(), "nothing is kept of redeemed tickets");
    }
}
