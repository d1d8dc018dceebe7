//! `GET /v1/supervisors/{connectUserId}/directives`: what that supervisor's browser is to do; as server-sent events
//! (`Accept: text/event-stream`), else as JSON.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use serde::Serialize;

use crate::http::AppState;
use crate::http::extract::Authenticated;
use crate::http::extract::NameInPath;
use crate::http::problem::{Problem, json};
use crate::http::query::Query;
use crate::http::v1::supervisors::supervisor_in_path;
use crate::http::views::directive::ToldView;
use crate::usecases::UseCases;
use crate::usecases::directives::DirectiveError;
use crate::usecases::directives::feed::{Following, Listener, Told};
use crate::usecases::error::UseCaseError;
use sidedoor_domain::directive::DirectiveStatus;
use sidedoor_domain::ids::{InstanceName, UserId};

/// How often a silent stream says that it lives. Browsers and proxies give up on silent connections, and ours finds out that
/// nobody is there any more.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The longest name of a tab.
const LONGEST_TAB: usize = 64;
/// How soon a browser is to come back.
const COME_BACK: Duration = Duration::from_secs(2);
/// A stream ends after this long, and the browser comes back: credentials do not live for ever in an open connection.
const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<ToldView>,
    next_after: String,
    /// What Platform Events call this stream.
    channel_key: String,
}

pub(crate) async fn handle(
    State(door): State<AppState>,
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
        let (told, next) = door.usecases.directives.poll_directives(&listener, &by).await?;
        let page = Page {
            items: told.iter().map(|t| ToldView::of(&door.usecases, t)).collect(),
            next_after: next.to_string(),
            channel_key: door.usecases.directives.channel_key(&listener.user),
        };
        return Ok(json(StatusCode::OK, &page));
    }
    // A page that the browser will not let read the stream must not sit in it: others would wait for it to act.
    if headers
        .get(ORIGIN)
        .is_some_and(|from| !door.settings.cors_allowed_origins.contains(from))
    {
        return Err(
            UseCaseError::Forbidden("pages of that origin may not open a stream (http.cors_allowed_origins)").into(),
        );
    }
    let following = door.usecases.directives.follow_directives(&listener, &by)?;
    let events = Sse::new(events(door.usecases.clone(), following));
    let beat = KeepAlive::new().interval(HEARTBEAT).text("alive");
    Ok(events.keep_alive(beat).into_response())
}

pub(crate) fn read(raw: Option<&str>, headers: &HeaderMap, user: UserId, streams: bool) -> Result<Listener, Problem> {
    let mut query = Query::new(raw);
    let instance = query.take("instance", "must be the name of an instance", |raw| {
        InstanceName::parse(raw).ok()
    });
    let number = |raw: &str| raw.parse::<i64>().ok().filter(|n| *n >= 0);
    let after = query.take("after", "must be the eventId heard last", number);
    // A stream is a browser's; a poller may be anybody's, and must say that it will act.
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
        Some(None) => return Err(Problem::invalid_one("Last-Event-ID", "must be the eventId heard last")),
        known => known.flatten(),
    };
    Ok(Listener {
        user,
        instance,
        after: last.or(after),
        acts,
        tab,
    })
}

/// The stream: `directive` for one that is open, `settled` for one that is answered or withdrawn.
fn events(usecases: UseCases, following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    let begin = Event::default()
        .retry(COME_BACK)
        .comment("directives of one supervisor");
    #[allow(
        clippy::disallowed_methods,
        reason = "how long a connection lives is nobody's evidence"
    )]
    let until = tokio::time::Instant::now() + LONGEST;
    let told = stream::unfold(Some((usecases, following)), move |state| async move {
        let (usecases, mut following) = state?;
        let next = tokio::time::timeout_at(until, following.next()).await;
        match next {
            Ok(Ok(Some(told))) => {
                let events: Vec<_> = told.iter().map(|t| Ok(event(&usecases, t))).collect();
                Some((stream::iter(events), Some((usecases, following))))
            }
            // The process stops, or the hour is over: the browser comes back and says what it heard last.
            Ok(Ok(None)) | Err(_) => None,
            Ok(Err(e)) => {
                say_why(&e);
                None
            }
        }
    });
    use futures::StreamExt;
    stream::iter([Ok(begin)]).chain(told.flatten())
}

fn event(usecases: &UseCases, told: &Told) -> Event {
    let name = match told.directive.status() {
        DirectiveStatus::Open => "directive",
        DirectiveStatus::Answered(_) | DirectiveStatus::Withdrawn => "settled",
    };
    let data = serde_json::to_string(&ToldView::of(usecases, told)).unwrap_or_default();
    Event::default().id(told.seq.to_string()).event(name).data(data)
}

fn say_why(e: &DirectiveError) {
    tracing::warn!(error = %e, "a stream of directives broke off: {e}");
}
