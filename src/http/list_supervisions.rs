//! `GET /v1/supervisions`: newest first, by state, contact and supervisor, a page at a time.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::Door;
use super::asking::By;
use super::problem::{FieldError, Problem, json};
use super::views::SupervisionView;
use crate::domain::ids::{ContactId, SupervisionId, UserId};
use crate::domain::supervision::State as SupervisionState;
use crate::flows::query::Filter;

const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<SupervisionView>,
    next_cursor: Option<String>,
}

pub(super) async fn handle(
    State(door): State<Door>,
    By(by): By,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut filter = read(query.as_deref().unwrap_or_default())?;
    let page = filter.limit as usize;
    // One more than asked for tells whether there is a next page.
    filter.limit += 1;
    let mut found = door.flows.list(filter, &by).await?;
    let more = found.len() > page;
    found.truncate(page);
    let next_cursor = found
        .last()
        .filter(|_| more)
        .map(|last| last.supervision.id.to_string());
    let items = found.iter().map(SupervisionView::of).collect();
    Ok(json(StatusCode::OK, &Page { items, next_cursor }))
}

fn read(query: &str) -> Result<Filter, Problem> {
    let mut filter = Filter {
        limit: PAGE,
        ..Filter::default()
    };
    let mut errors = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let bad = match &*name {
            "state" => {
                let words: Option<Vec<_>> = value.split(',').map(SupervisionState::parse).collect();
                words
                    .map(|mut states| filter.states.append(&mut states))
                    .ok_or("must be states, such as MONITORING")
            }
            "contactId" => ContactId::parse(&*value)
                .map(|id| filter.contact = Some(id))
                .map_err(|_| "must be a contact id"),
            "connectUserId" => UserId::parse(&*value)
                .map(|id| filter.supervisor = Some(id))
                .map_err(|_| "must be a Connect user id"),
            "cursor" => SupervisionId::parse(&value)
                .map(|id| filter.before = Some(id))
                .ok_or("must be the nextCursor of an earlier page"),
            "pageSize" => value
                .parse()
                .ok()
                .filter(|size| (1..=LARGEST_PAGE).contains(size))
                .map(|size| filter.limit = size)
                .ok_or("must be a number from 1 to 200"),
            _ => Err("is not known here; known are state, contactId, connectUserId, cursor, pageSize"),
        };
        if let Err(detail) = bad {
            let pointer: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            errors.push(FieldError {
                pointer,
                detail: detail.into(),
            });
        }
    }
    filter.states.dedup();
    if filter.states.len() > SupervisionState::ALL.len() {
        errors.push(FieldError {
            pointer: "state".into(),
            detail: "names too many states".into(),
        });
    }
    if errors.is_empty() {
        Ok(filter)
    } else {
        Err(Problem::invalid(errors))
    }
}
