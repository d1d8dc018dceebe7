//! `GET /v1/supervisors/{connectUserId}/directives`: the directives for that supervisor's browser; as server-sent
//! events (`Accept: text/event-stream`), otherwise as JSON.

use std::sync::Arc;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use serde::Serialize;
use sidedoor_domain::directive::DirectiveStatus;
use sidedoor_domain::ids::{InstanceName, UserId};

use crate::http::extract::{Authenticated, NameInPath};
use crate::http::problem::{Problem, json};
use crate::http::query::Query;
use crate::http::v1::supervisors::supervisor_in_path;
use crate::http::views::directive::DirectiveEventView;
use crate::http::{AppState, stream_life};
use crate::usecases::UseCases;
use crate::usecases::directives::DirectiveError;
use crate::usecases::directives::feed::{DirectiveEvent, DirectiveListener, DirectiveStream};
use crate::usecases::error::UseCaseError;

/// The interval of heartbeats. Browsers and proxies close silent connections, and a heartbeat that cannot be delivered shows
/// that the browser is gone.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The longest `tab`.
const LONGEST_TAB: usize = 64;
/// How soon a browser reconnects.
const COME_BACK: Duration = Duration::from_secs(2);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<DirectiveEventView>,
    next_after: String,
    /// The key that Platform Events carry for this supervisor.
    channel_key: String,
}

pub(crate) async fn handle(
    State(app): State<AppState>,
    NameInPath(user): NameInPath,
    Authenticated(by): Authenticated,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let streams = headers
        .get(ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|accepts| accepts.contains("text/event-stream"));
    let user = supervisor_in_path(&by.caller, user.as_deref())?;
    let listener = read(query.as_deref(), &headers, user, streams)?;
    if !streams {
        let (changes, next) = app.usecases.directives.poll_directives(&listener, &by).await?;
        let page = Page {
            items: changes
                .iter()
                .map(|c| DirectiveEventView::of(&app.usecases, c))
                .collect(),
            next_after: next.to_string(),
            channel_key: app.usecases.directives.channel_key(&listener.user),
        };
        return Ok(json(StatusCode::OK, &page));
    }
    // A browser does not let a page of another origin read the stream. Such a stream must not count as a browser that acts, because
    // the other tabs would wait for it.
    if headers
        .get(ORIGIN)
        .is_some_and(|from| !app.settings.cors_allowed_origins.contains(from))
    {
        return Err(UseCaseError::Forbidden(
            "pages of this origin may not open a stream; see http.cors_allowed_origins",
        )
        .into());
    }
    let following = app.usecases.directives.follow_directives(&listener, &by)?;
    let end = stream_life::end(&by.caller, app.usecases.now());
    let events = Sse::new(events(app.usecases.clone(), following, end));
    let beat = KeepAlive::new().interval(HEARTBEAT).text("alive");
    Ok(events.keep_alive(beat).into_response())
}

pub(crate) fn read(
    raw: Option<&str>,
    headers: &HeaderMap,
    user: UserId,
    streams: bool,
) -> Result<DirectiveListener, Problem> {
    let mut query = Query::new(raw);
    let instance = query.take("instance", "must be the name of an instance", |raw| {
        InstanceName::parse(raw).ok()
    });
    let number = |raw: &str| raw.parse::<i64>().ok().filter(|n| *n >= 0);
    let after = query.take(
        "after",
        "must be the eventId of the last directive event received",
        number,
    );
    // Only browsers open streams, so a stream acts by default; a poller may be any program and must send `acts`.
    let acts = query.flag("acts").unwrap_or(streams);
    let tab = query.take("tab", "must be 1 to 64 letters, digits, '_' or '-'", |raw| {
        let plain = raw
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        (plain && (1..=LONGEST_TAB).contains(&raw.len())).then(|| raw.to_owned())
    });
    let _spent = query.take("ticket", "must be a ticket", |_| Some(()));
    query.finish()?;
    let last = headers.get("last-event-id").map(|v| v.to_str().ok().and_then(number));
    let last = match last {
        Some(None) => {
            return Err(Problem::invalid_one(
                "Last-Event-ID",
                "must be the eventId of the last directive event received",
            ));
        }
        known => known.flatten(),
    };
    Ok(DirectiveListener {
        user,
        instance,
        after: last.or(after),
        acts,
        tab,
    })
}

/// The stream: event `directive` for an open directive, `settled` when it is acknowledged or withdrawn.
fn events(
    usecases: Arc<UseCases>,
    following: DirectiveStream,
    end: tokio::time::Instant,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let begin = Event::default()
        .retry(COME_BACK)
        .comment("directives of one supervisor");
    let changes = stream::unfold(Some((usecases, following)), move |state| async move {
        let (usecases, mut following) = state?;
        let next = tokio::time::timeout_at(end, following.next()).await;
        match next {
            Ok(Ok(Some(changes))) => {
                let events: Vec<_> = changes.iter().map(|c| Ok(event(&usecases, c))).collect();
                Some((stream::iter(events), Some((usecases, following))))
            }
            // The process stops, or the credential or the hour is over: the browser reconnects with `Last-Event-ID`.
            Ok(Ok(None)) | Err(_) => None,
            Ok(Err(e)) => {
                say_why(&e);
                None
            }
        }
    });
    use futures::StreamExt;
    stream::iter([Ok(begin)]).chain(changes.flatten())
}

fn event(usecases: &UseCases, change: &DirectiveEvent) -> Event {
    let name = match change.directive.status() {
        DirectiveStatus::Open => "directive",
        DirectiveStatus::Answered(_) | DirectiveStatus::Withdrawn => "settled",
    };
    let data = serde_json::to_string(&DirectiveEventView::of(usecases, change)).unwrap_or_default();
    Event::default().id(change.seq.to_string()).event(name).data(data)
}

fn say_why(e: &DirectiveError) {
    tracing::warn!(error = %e, "a directive stream ended with an error: {e}; the browser reconnects");
}
