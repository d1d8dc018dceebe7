//! `GET /v1/agents`: the board; as server-sent events (`Accept: text/event-stream`), otherwise a page as JSON.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use serde::Serialize;
use sidedoor_domain::ids::{InstanceName, UserId};

use crate::http::extract::Authenticated;
use crate::http::page::{self, Page};
use crate::http::problem::{Problem, json};
use crate::http::query::Query;
use crate::http::views::Rfc3339;
use crate::http::{AppState, stream_life};
use crate::usecases::board::agents::{AgentOnBoard, BoardFilter, ContactOnBoard, SupervisionOnBoard};
use crate::usecases::board::follow::{BoardChanges, BoardStream};

/// The interval of heartbeats, because proxies close silent connections.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The longest id of a queue, routing profile or hierarchy group in Connect.
const LONGEST_ID: usize = 256;
/// The longest part of a user name that is searched for.
const LONGEST_NAME: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BoardPage {
    #[serde(flatten)]
    page: Page<AgentView>,
    as_of: Option<Rfc3339>,
    is_complete: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangesView {
    changed: Vec<AgentView>,
    gone: Vec<String>,
    as_of: Option<Rfc3339>,
    is_complete: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentView {
    instance: String,
    agent_user_id: String,
    username: Option<String>,
    status: Option<String>,
    status_since: Option<Rfc3339>,
    routing_profile_id: Option<String>,
    hierarchy_group_ids: Vec<String>,
    contacts: Vec<ContactView>,
    is_you: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContactView {
    contact_id: String,
    channel: String,
    queue_id: Option<String>,
    queue: Option<String>,
    state: String,
    state_since: Option<Rfc3339>,
    connected_at: Option<Rfc3339>,
    supervisions: Vec<ContactSupervisionView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContactSupervisionView {
    mode: &'static str,
    state: &'static str,
    is_yours: bool,
    supervision_id: Option<String>,
    connect_user_id: Option<String>,
    username: Option<String>,
}

/// The filter, and the page that is asked for.
struct Asked {
    filter: BoardFilter,
    after: Option<UserId>,
    items_to_read: u32,
}

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = read(query.as_deref())?;
    let accepted = headers.get(ACCEPT).and_then(|v| v.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("text/event-stream")) {
        let stream = app.usecases.board.follow(&asked.filter, &by)?;
        let beat = KeepAlive::new().interval(HEARTBEAT).text("alive");
        let end = stream_life::end(&by.caller, app.usecases.now());
        return Ok(Sse::new(events(stream, end)).keep_alive(beat).into_response());
    }
    let board = app.usecases.board.agents(&asked.filter, &by).await?;
    // Agents are sorted by their ids, so the last id of a page is a cursor.
    let agents = board.agents.into_iter();
    let rest = agents.skip_while(|agent| asked.after.as_ref().is_some_and(|after| agent.user <= *after));
    let read = rest.take(asked.items_to_read as usize).collect();
    let page = Page::of(
        read,
        asked.items_to_read,
        |last: &AgentOnBoard| last.user.to_string(),
        agent_view,
    );
    let view = BoardPage {
        page,
        as_of: board.as_of.map(Rfc3339::of),
        is_complete: board.is_complete,
    };
    Ok(json(StatusCode::OK, &view))
}

fn read(raw: Option<&str>) -> Result<Asked, Problem> {
    let mut query = Query::new(raw);
    let text = |longest: usize| {
        move |raw: &str| {
            let is_plain = (1..=longest).contains(&raw.chars().count()) && !raw.chars().any(char::is_control);
            is_plain.then(|| raw.to_owned())
        }
    };
    let (id, name) = (text(LONGEST_ID), text(LONGEST_NAME));
    const BAD_ID: &str = "must be 1 to 256 characters";
    let filter = BoardFilter {
        instance: query.take("instance", "must be the name of an instance", |raw| {
            InstanceName::parse(raw).ok()
        }),
        queue: query.take("queueId", BAD_ID, id),
        routing_profile: query.take("routingProfileId", BAD_ID, id),
        hierarchy_group: query.take("hierarchyGroupId", BAD_ID, id),
        name: query.take("name", "must be 1 to 100 characters", name),
        with_contacts: query.flag("withContacts").unwrap_or(false),
    };
    let asked = Asked {
        filter,
        after: page::cursor(&mut query, |raw| UserId::parse(raw).ok()),
        items_to_read: page::items_to_read(&mut query),
    };
    query.finish()?;
    Ok(asked)
}

/// The stream: event `agents` for each change; the first has all agents.
fn events(stream: BoardStream, end: tokio::time::Instant) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(Some(stream), move |state| async move {
        let mut stream = state?;
        match tokio::time::timeout_at(end, stream.next()).await {
            Ok(Ok(Some(changes))) => Some((Ok(event(changes)), Some(stream))),
            // The process stops, or the credential or the hour is over: the client reconnects.
            Ok(Ok(None)) | Err(_) => None,
            Ok(Err(e)) => {
                tracing::warn!(error = %e, "a stream of the board ended with an error: {e}; the client reconnects");
                None
            }
        }
    })
}

fn event(changes: BoardChanges) -> Event {
    let view = ChangesView {
        changed: changes.changed.into_iter().map(agent_view).collect(),
        gone: changes.gone.iter().map(ToString::to_string).collect(),
        as_of: changes.as_of.map(Rfc3339::of),
        is_complete: changes.is_complete,
    };
    Event::default()
        .event("agents")
        .data(serde_json::to_string(&view).unwrap_or_default())
}

fn agent_view(agent: AgentOnBoard) -> AgentView {
    AgentView {
        instance: agent.instance.to_string(),
        agent_user_id: agent.user.to_string(),
        username: agent.username,
        status: agent.state.status,
        status_since: agent.state.status_since.map(Rfc3339::of),
        routing_profile_id: agent.state.routing_profile,
        hierarchy_group_ids: agent.state.hierarchy_groups,
        contacts: agent.contacts.into_iter().map(contact_view).collect(),
        is_you: agent.is_caller,
    }
}

fn contact_view(on_board: ContactOnBoard) -> ContactView {
    let contact = on_board.contact;
    ContactView {
        contact_id: contact.contact,
        channel: contact.channel,
        queue_id: contact.queue,
        queue: on_board.queue,
        state: contact.state,
        state_since: contact.state_since.map(Rfc3339::of),
        connected_at: contact.connected_at.map(Rfc3339::of),
        supervisions: on_board.supervisions.into_iter().map(supervision_view).collect(),
    }
}

fn supervision_view(s: SupervisionOnBoard) -> ContactSupervisionView {
    let (id, supervisor) = s.shown.unzip();
    let (user, username) = supervisor.map(|s| (s.connect_user_id, s.username)).unzip();
    ContactSupervisionView {
        mode: s.mode.as_str(),
        state: s.state.as_str(),
        is_yours: s.is_callers,
        supervision_id: id.map(|id| id.to_string()),
        connect_user_id: user.flatten().map(|user| user.to_string()),
        username: username.flatten(),
    }
}
