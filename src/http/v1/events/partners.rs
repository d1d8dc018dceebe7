//! `POST /v1/events/partners/{vendor}`: a partner carrier's event about a leg.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;
use sidedoor_domain::evidence::Sighting;
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::unusable_event::UnusableEvent;

use crate::http::AppState;
use crate::http::body::{self, Reader, name, text};
use crate::http::extract::{Authenticated, NameInPath};
use crate::http::problem::{Problem, json};
use crate::http::v1::events::Receipt;
use crate::http::v1::vendors::undecodable_vendor;
use crate::usecases::evidence::carrier_events::{PartnerEvent, PartnerLeg};
use crate::usecases::evidence::event_rights;

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    NameInPath(vendor): NameInPath,
    request: Request,
) -> Result<Response, Problem> {
    event_rights::check_vendor(&by.caller, vendor.as_deref().unwrap_or_default())?;
    let vendor = vendor.ok_or_else(undecodable_vendor)?;
    let bytes = body::read(request, app.settings.max_body_bytes).await?;
    let read = body::parse(&bytes).and_then(|body| read(&body));
    let event = read.inspect_err(|_| app.usecases.evidence.note_unusable(UnusableEvent::Unreadable))?;
    let observed = app.usecases.evidence.observe_partner(&vendor, &event, &by).await?;
    Ok(json(StatusCode::OK, &Receipt::of(observed)))
}

pub(crate) fn read(body: &Value) -> Result<PartnerEvent, Problem> {
    let mut reader = Reader::new(body, "")?;
    let contact = |raw: &str| name(ContactId::parse(raw));
    let id = reader.optional("eventId", text(128));
    let of_connect = reader.optional("legContactId", contact);
    let own = reader.optional("legId", text(128));
    let instance = reader.optional("instance", |raw| name(InstanceName::parse(raw)));
    let sighting = reader.required("event", |raw| match raw {
        "CONNECTED" => Ok(Sighting::Joined),
        "DISCONNECTED" => Ok(Sighting::Dropped),
        _ => Err("must be CONNECTED or DISCONNECTED".into()),
    });
    let moment = |raw: &str| {
        raw.parse::<Timestamp>()
            .map_err(|_| "must be an RFC 3339 time".to_owned())
    };
    let stamp = reader.optional("at", moment);
    let reason = reader.optional("reason", text(64));
    let contact = reader.optional("contactId", contact);
    let supervisor = reader.optional("connectUserId", |raw| name(UserId::parse(raw)));
    reader.finish()?;
    let leg = match (of_connect, own) {
        (Some(leg), None) => PartnerLeg::Connect(leg),
        (None, Some(name)) => match supervisor {
            Some(supervisor) => PartnerLeg::Own { name, supervisor },
            None => return Err(Problem::invalid_one("/connectUserId", "is required with legId")),
        },
        (Some(_), Some(_)) => return Err(Problem::invalid_one("/legId", "cannot be given with legContactId")),
        (None, None) => return Err(Problem::invalid_one("/legId", "is required, or legContactId is")),
    };
    let Some(sighting) = sighting else {
        return Err(Problem::invalid_one("/event", "is required"));
    };
    Ok(PartnerEvent {
        id,
        leg,
        instance,
        sighting,
        stamp,
        reason,
        contact,
    })
}
