//! `GET /v1/reports/coverage`: how many of the contacts that agents had were supervised, by week, against a goal. JSON or CSV
//! (`Accept: text/csv`).

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sidedoor_domain::ports::store::CoverageQuestion;

use crate::http::AppState;
use crate::http::extract::Authenticated;
use crate::http::problem::{Problem, json};
use crate::http::query::Query;
use crate::http::v1::reports::csv;
use crate::usecases::reports::coverage::{CoverageRow, MOST_ROWS};

/// How far the report goes back without `since`.
const WEEKS: SignedDuration = SignedDuration::from_hours(12 * 7 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CoverageView {
    since: String,
    until: String,
    goal_percent: Option<u8>,
    items: Vec<RowView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowView {
    week: String,
    instance: String,
    channel: &'static str,
    queue_id: Option<String>,
    queue: Option<String>,
    agent_user_id: Option<String>,
    agent_username: Option<String>,
    contacts: u64,
    supervised: u64,
    percent: f64,
    meets_goal: Option<bool>,
}

const COLUMNS: [&str; 11] = [
    "week",
    "instance",
    "channel",
    "queueId",
    "queue",
    "agentUserId",
    "agentUsername",
    "contacts",
    "supervised",
    "percent",
    "meetsGoal",
];

impl RowView {
    fn of(row: CoverageRow, goal: Option<u8>) -> Self {
        let CoverageRow {
            count,
            agent_username,
            queue_name,
        } = row;
        let thousandths = count
            .supervised
            .saturating_mul(1000)
            .checked_div(count.contacts)
            .unwrap_or(0);
        Self {
            week: date_of(count.since).to_string(),
            instance: count.instance.to_string(),
            channel: count.key.channel.as_str(),
            queue_id: count.key.queue,
            queue: queue_name,
            agent_user_id: count.key.agent.map(|agent| agent.to_string()),
            agent_username,
            contacts: count.contacts,
            supervised: count.supervised,
            // At most 1000, so that it is exact.
            percent: f64::from(u16::try_from(thousandths).unwrap_or(1000)) / 10.0,
            // Not by the rounded share.
            meets_goal: goal.map(|goal| count.supervised * 100 >= count.contacts * u64::from(goal)),
        }
    }
}

fn date_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// When a day begins; the last moment there is for days after that.
fn midnight(date: Date) -> Timestamp {
    let begins = date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    begins.unwrap_or(Timestamp::MAX)
}

/// What is asked, with its dates and its goal.
struct Asked {
    question: CoverageQuestion,
    since: Date,
    until: Date,
    goal: Option<u8>,
}

fn read(raw: Option<&str>, now: Timestamp, goal: Option<u8>) -> Result<Asked, Problem> {
    let mut query = Query::new(raw);
    let a_date = "must be a date, such as 2026-11-02";
    let date = |raw: &str| raw.parse::<Date>().ok().filter(|_| raw.len() == 10);
    let first_day = query.take("since", a_date, date);
    let until = query.take("until", a_date, date);
    let by_queue = query.flag("byQueue").unwrap_or(false);
    let by_agent = query.flag("byAgent").unwrap_or(false);
    let percent = |raw: &str| raw.parse().ok().filter(|n| (1..=100).contains(n));
    let goal = query
        .take("goalPercent", "must be a whole number from 1 to 100", percent)
        .or(goal);
    query.finish()?;
    let until = until.unwrap_or_else(|| date_of(now + DAY));
    // A Monday, so that the first week is whole.
    let first_day = first_day.unwrap_or_else(|| {
        let some_day = date_of(now - WEEKS);
        let after_monday = i64::from(some_day.weekday().to_monday_zero_offset());
        some_day.saturating_sub(jiff::Span::new().days(after_monday))
    });
    let question = CoverageQuestion {
        since: midnight(first_day),
        until: midnight(until),
        by_queue,
        by_agent,
    };
    Ok(Asked {
        question,
        since: first_day,
        until,
        goal,
    })
}

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = read(
        query.as_deref(),
        app.usecases.now(),
        app.usecases.coverage_goal_percent(),
    )?;
    let Some(rows) = app.usecases.reports.coverage(&asked.question, &by).await? else {
        let problem =
            format!("leads to more than {MOST_ROWS} rows; ask for a shorter time, or without byAgent or byQueue");
        return Err(Problem::invalid_one("until", problem));
    };
    let rows = rows.into_iter().map(|row| RowView::of(row, asked.goal));
    if csv::is_accepted(&headers) {
        app.usecases.reports.note_report_export(&by)?;
        let head = COLUMNS.map(str::to_owned).to_vec();
        let rows = rows.map(|row| csv::cells(&row, &COLUMNS));
        let text = csv::text(std::iter::once(head).chain(rows))?;
        return Ok(csv::answer(Body::from(text)));
    }
    let view = CoverageView {
        since: asked.since.to_string(),
        until: asked.until.to_string(),
        goal_percent: asked.goal,
        items: rows.collect(),
    };
    Ok(json(StatusCode::OK, &view))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<(String, String, Option<u8>), ()> {
        // A Sunday.
        let now = "2026-11-29T10:00:00Z".parse().expect("a time");
        let asked = read(Some(query), now, Some(5)).map_err(|_| ())?;
        Ok((asked.since.to_string(), asked.until.to_string(), asked.goal))
    }

    #[test]
    fn coverage_dates_have_defaults_and_bounds() {
        let of = |since: &str, until: &str, goal| Ok((since.to_owned(), until.to_owned(), Some(goal)));
        assert_eq!(
            asked(""),
            of("2026-08-31", "2026-11-30", 5),
            "twelve weeks, from a Monday on"
        );
        assert_eq!(
            asked("since=2026-11-02&until=2026-11-03&goalPercent=18"),
            of("2026-11-02", "2026-11-03", 18)
        );
        assert_eq!(
            asked("since=0001-01-01&until=9999-12-31"),
            of("0001-01-01", "9999-12-31", 5),
            "a time without contacts is no error"
        );
        for wrong in [
            "since=2026-13-01",
            "since=2026-11-01T00:00:00Z",
            "until=-009999-01-01",
            "goalPercent=0",
            "byQueue=1",
            "week=1",
        ] {
            assert_eq!(asked(wrong), Err(()), "{wrong}");
        }
    }
}
