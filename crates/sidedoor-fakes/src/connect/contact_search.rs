//! SearchContacts. Undocumented, and so inferred: a time range includes
//! both its ends, and without `Sort` the newest contact comes first.

use std::cmp::{Ordering, Reverse};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::contact::Contact;
use super::operations::{Answer, before, epoch_seconds, instance, text};
use super::state::{ApiError, InstanceState};
use crate::clock::real_now;

/// The size of a page if the request gives none.
const PAGE: u64 = 100;

fn bad(why: &str) -> ApiError {
    ApiError::new(400, "InvalidParameterException", why)
}

/// Milliseconds of a timestamp: in JSON, seconds since 1970 as a number.
fn milliseconds(value: &Value) -> i64 {
    let seconds = value.as_f64().unwrap_or_default();
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a date outside of i64 is cut to its ends"
    )]
    let ms = (seconds * 1000.0).round() as i64;
    ms
}

/// A list of texts in the criteria; `None` if it is missing or empty, because then it restricts nothing.
fn list<'v>(criteria: &'v Value, name: &str) -> Option<Vec<&'v str>> {
    let texts: Vec<&str> = criteria[name].as_array()?.iter().filter_map(Value::as_str).collect();
    Some(texts).filter(|texts| !texts.is_empty())
}

/// What a contact must have.
struct Criteria<'v> {
    agents: Option<Vec<&'v str>>,
    channels: Option<Vec<&'v str>>,
    methods: Option<Vec<&'v str>>,
    queues: Option<Vec<&'v str>>,
}

impl<'v> Criteria<'v> {
    fn read(criteria: &'v Value) -> Result<Self, ApiError> {
        let supported = ["AgentIds", "Channels", "InitiationMethods", "QueueIds"];
        let members = criteria.as_object().into_iter().flatten();
        if let Some((name, _)) = members
            .into_iter()
            .find(|(name, _)| !supported.contains(&name.as_str()))
        {
            return Err(bad(&format!("the fake does not support the criterion {name}")));
        }
        Ok(Self {
            agents: list(criteria, "AgentIds"),
            channels: list(criteria, "Channels"),
            methods: list(criteria, "InitiationMethods"),
            queues: list(criteria, "QueueIds"),
        })
    }

    fn accept(&self, c: &Contact) -> bool {
        let has = |list: &Option<Vec<&str>>, word: &str| list.as_ref().is_none_or(|list| list.contains(&word));
        self.queues
            .as_ref()
            .is_none_or(|ids| c.queue.as_deref().is_some_and(|queue| ids.contains(&queue)))
            && has(&self.agents, &c.user)
            && has(&self.channels, &c.channel)
            && has(&self.methods, c.initiation_method)
    }
}

impl InstanceState {
    /// The vendor's timestamp of one kind; `None` if the contact has none.
    fn search_time(&self, c: &Contact, kind: &str) -> Option<Timestamp> {
        let at = match kind {
            "INITIATION_TIMESTAMP" => Some(c.started_at),
            "CONNECTED_TO_AGENT_TIMESTAMP" => self.known_connection(c),
            "DISCONNECT_TIMESTAMP" => c.ended.as_ref().map(|(at, _)| *at),
            // The fake has no scheduled, queued or expiring contacts.
            _ => None,
        };
        at.map(|at| self.stamp(at))
    }

    /// How two contacts are ordered by a field. Contacts without the field come last in ascending order.
    fn compare(&self, field: &str, a: &Contact, b: &Contact) -> Ordering {
        match field {
            "INITIATION_METHOD" => a.initiation_method.cmp(b.initiation_method),
            "CHANNEL" => a.channel.cmp(&b.channel),
            time => {
                let key = |c: &Contact| self.search_time(c, time).map_or((true, None), |at| (false, Some(at)));
                key(a).cmp(&key(b))
            }
        }
    }

    /// `ContactSearchSummary`.
    fn search_summary(&self, c: &Contact) -> Value {
        let stamp = |at: Timestamp| epoch_seconds(at.as_millisecond());
        let time = |kind: &str| self.search_time(c, kind).map(stamp);
        let mut summary = json!({"Arn": format!("{}/contact/{}", self.instance_arn(), c.id), "Id": c.id,
            "InitiationMethod": c.initiation_method, "Channel": c.channel, "AgentInfo": {"Id": c.user}});
        let link = self.link(c).filter(|(field, _)| *field != "RelatedContactId");
        if let Some((field, supervised)) = link {
            summary[field] = json!(supervised);
        }
        let optional = [
            ("InitiationTimestamp", time("INITIATION_TIMESTAMP")),
            ("DisconnectTimestamp", time("DISCONNECT_TIMESTAMP")),
            ("PreviousContactId", c.previous.as_ref().map(|id| json!(id))),
            ("InitialContactId", c.initial.as_ref().map(|id| json!(id))),
        ];
        for (field, value) in optional {
            if let Some(value) = value {
                summary[field] = value;
            }
        }
        if let Some(at) = time("CONNECTED_TO_AGENT_TIMESTAMP") {
            summary["AgentInfo"]["ConnectedToAgentTimestamp"] = at;
        }
        summary
    }
}

/// `POST /search-contacts`.
pub(super) fn search(state: &InstanceState, body: &Value, region: &str) -> Answer {
    instance(state, text(body, "InstanceId"))?;
    let range = &body["TimeRange"];
    let kind = text(range, "Type");
    let (from, to) = (milliseconds(&range["StartTime"]), milliseconds(&range["EndTime"]));
    if from > to {
        return Err(bad("TimeRange.StartTime is after TimeRange.EndTime"));
    }
    let criteria = Criteria::read(&body["SearchCriteria"])?;
    let most = usize::try_from(body["MaxResults"].as_u64().unwrap_or(PAGE)).unwrap_or(usize::MAX);
    let begin: usize = match &body["NextToken"] {
        Value::Null => 0,
        _ => text(body, "NextToken").parse().map_err(|_| bad("Invalid NextToken"))?,
    };
    let (field, descending) = match &body["Sort"] {
        Value::Null => ("INITIATION_TIMESTAMP", true),
        sort => (text(sort, "FieldName"), text(sort, "Order") == "DESCENDING"),
    };
    let seen_at = before(real_now(), state.settings.search_lag_ms);
    let in_range = |c: &Contact| {
        let at = state.search_time(c, kind).map(Timestamp::as_millisecond);
        at.is_some_and(|at| (from..=to).contains(&at))
    };
    let visible = state.contacts.values().filter(|c| state.is_visible(c, region));
    let then = visible.filter_map(|c| c.as_of(seen_at));
    let mut found: Vec<Contact> = then.filter(|c| in_range(c) && criteria.accept(c)).collect();
    found.sort_by(|a, b| {
        let order = state.compare(field, a, b);
        let order = if descending { order.reverse() } else { order };
        // Timestamps are coarse, so that several contacts may have the same.
        let newest_first = (Reverse(a.started_at), &a.id).cmp(&(Reverse(b.started_at), &b.id));
        order.then(newest_first)
    });
    let page = found.iter().skip(begin).take(most);
    let page: Vec<Value> = page.map(|c| state.search_summary(c)).collect();
    let mut answer = json!({"Contacts": page, "TotalCount": found.len()});
    if begin.saturating_add(most) < found.len() {
        answer["NextToken"] = json!((begin + most).to_string());
    }
    Ok(answer)
}
