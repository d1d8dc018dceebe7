//! `POST /v1/events/connect`: EventBridge delivers a contact event, or a Pipe delivers agent events (an API destination; it
//! times out after 5 s and retries on a 5xx, so the answer is sent only once the event is on disk).

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sidedoor_domain::agent_event;
use sidedoor_domain::contact_event::{self, Envelope};
use sidedoor_domain::supervision::AMAZON_CONNECT;
use sidedoor_domain::unusable_event::UnusableEvent;

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
    let evidence = &app.usecases.evidence;
    let unreadable = |_: &Problem| evidence.note_unusable(UnusableEvent::Unreadable);
    let delivery = body::parse(&bytes).inspect_err(unreadable)?;
    let bad = |bad: contact_event::BadEvent| Problem::invalid_one(bad.pointer, bad.problem);
    if agent_event::is_delivery(&delivery) {
        let agents = agent_event::read(&delivery).map_err(bad).inspect_err(unreadable)?;
        let observed = evidence.observe_agents(&agents, &by).await?;
        return Ok(json(StatusCode::OK, &Receipt::of(observed)));
    }
    let observed = match contact_event::read(&delivery).map_err(bad).inspect_err(unreadable)? {
        Envelope::Contact(event) => evidence.observe(&event, &by).await?,
        Envelope::Unusable(kind) => {
            evidence.note_unusable(kind);
            EventOutcome::Ignored
        }
    };
    Ok(json(StatusCode::OK, &Receipt::of(observed)))
}
