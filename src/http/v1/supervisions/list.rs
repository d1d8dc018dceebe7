//! `GET /v1/supervisions`: a page of supervisions, newest first, with filters.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::Filter;
use sidedoor_domain::supervision::{Origin, State as SupervisionState};

use crate::http::AppState;
use crate::http::extract::Authenticated;
use crate::http::page::{self, Page};
use crate::http::problem::{Problem, json};
use crate::http::query::Query;
use crate::http::views::supervision::SupervisionView;

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let filter = read(query.as_deref())?;
    let to_read = filter.limit;
    let found = app.usecases.reports.list(filter, &by).await?;
    let page = Page::of(
        found,
        to_read,
        |last| last.supervision.id.to_string(),
        |stored| SupervisionView::for_caller(&app.usecases, &stored, &by.caller),
    );
    Ok(json(StatusCode::OK, &page))
}

pub(crate) fn read(raw: Option<&str>) -> Result<Filter, Problem> {
    let mut query = Query::new(raw);
    let states = query.take("state", "must be states, such as MONITORING,LEAVING", |raw| {
        let words: Vec<&str> = raw.split(',').collect();
        let known: Option<Vec<_>> = words.iter().map(|word| SupervisionState::parse(word)).collect();
        known.filter(|_| words.len() <= SupervisionState::ALL.len())
    });
    let user = |raw: &str| UserId::parse(raw).ok();
    let filter = Filter {
        states: states.unwrap_or_default(),
        contact: query.take("contactId", "must be a contact id", |raw| ContactId::parse(raw).ok()),
        supervisor: query.take("connectUserId", "must be a Connect user id", user),
        agent: query.take("agentUserId", "must be a Connect user id", user),
        instance: query.take("instance", "must be the name of an instance", |raw| {
            InstanceName::parse(raw).ok()
        }),
        origin: query.take("origin", "must be API or OBSERVED", |raw| {
            [Origin::Api, Origin::Observed].into_iter().find(|o| o.as_str() == raw)
        }),
        overdue: query.flag("overdue"),
        since: query.moment("begunSince"),
        until: query.moment("begunBefore"),
        before: page::cursor(&mut query, SupervisionId::parse),
        limit: page::items_to_read(&mut query),
    };
    query.finish()?;
    Ok(filter)
}
