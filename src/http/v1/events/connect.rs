//! `POST /v1/events/connect`: EventBridge delivers a contact event, or a Pipe delivers agent events (an API destination; it
//! times out after 5 s and retries on a 5xx, so the answer is sent only once the event is on disk).

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sidedoor_domain::agent_event;
use sidedoor_domain::contact_event::{self, Envelope};
use sidedoor_domain::supervision::AMAZON_CONNECT;

use crate::http::extract::Authenticated;
use crate::http::problem::{Problem, json};
use crate::http::v1::events::Receipt;
use crate::http::{AppState, body};
use crate::usecases::evidence::contact_events::EventOutcome;
use crate::usecases::evidence::event_rights;

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    request: Request,
) -> Result<Response, Problem> {
    event_rights::check_vendor(&by.caller, AMAZON_CONNECT)?;
    let bytes = body::read(request, app.settings.max_body_bytes).await?;
    let delivery = body::parse(&bytes)?;
    let bad = |bad: contact_event::BadEvent| Problem::invalid_one(bad.pointer, bad.problem);
    if agent_event::is_delivery(&delivery) {
        let events = agent_event::read(&delivery).map_err(bad)?;
        let observed = app.usecases.evidence.observe_agents(&events, &by).await?;
        return Ok(json(StatusCode::OK, &Receipt::of(observed)));
    }
    let observed = match contact_event::read(&delivery).map_err(bad)? {
        Envelope::Contact(event) => app.usecases.evidence.observe(&event, &by).await?,
        Envelope::Other => EventOutcome::Ignored,
    };
    Ok(json(StatusCode::OK, &Receipt::of(observed)))
}
