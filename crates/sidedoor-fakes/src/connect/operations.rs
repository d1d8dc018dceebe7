//! Amazon Connect's API operations, as rules on the [`InstanceState`]. Requests and answers have the shapes of botocore's model
//! of `connect` 2017-08-08.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::StopVoiceLeg;
use super::state::{ApiError, InstanceState, UsedToken};
use crate::clock::real_now;

pub(super) type Answer = Result<Value, ApiError>;

pub(super) fn invalid(message: &str) -> ApiError {
    ApiError::new(400, "InvalidRequestException", message)
}

/// A text member. That required ones are there has been checked before.
pub(super) fn text<'v>(body: &'v Value, name: &str) -> &'v str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn instance(state: &InstanceState, id: &str) -> Result<(), ApiError> {
    if id == state.settings.instance_id {
        Ok(())
    } else {
        Err(ApiError::new(404, "ResourceNotFoundException", "Instance not found"))
    }
}

/// `POST /contact/monitor`. The second value is the new leg; `None` if the client token has been used before.
pub(super) fn monitor(state: &mut InstanceState, body: &Value) -> Result<(Value, Option<String>), ApiError> {
    instance(state, text(body, "InstanceId"))?;
    let (contact, user) = (text(body, "ContactId"), text(body, "UserId"));
    let capabilities = body
        .get("AllowedMonitorCapabilities")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let token = body.get("ClientToken").and_then(Value::as_str);
    let used_with = json!([contact, user, capabilities]).to_string();
    let instance_arn = state.instance_arn();
    let answer = |leg: &str| {
        let arn = format!("{instance_arn}/contact/{leg}");
        json!({"ContactId": leg, "ContactArn": arn})
    };
    let now = real_now();
    let ttl = SignedDuration::from_secs(i64::try_from(state.settings.token_ttl_s).unwrap_or(i64::MAX));
    let remembered = |used: &&UsedToken| now.duration_since(used.at) < ttl;
    if let Some(used) = token.and_then(|t| state.tokens.get(t)).filter(remembered) {
        if used.with != used_with {
            let message = "The client token was used with other parameters";
            return Err(ApiError::new(409, "IdempotencyException", message));
        }
        return Ok((answer(&used.leg), None));
    }
    let may_barge = capabilities.iter().any(|c| c == "BARGE");
    let leg = state.begin_leg(contact, user, may_barge)?;
    if let Some(token) = token {
        let used = UsedToken {
            with: used_with,
            leg: leg.clone(),
            at: now,
        };
        state.tokens.insert(token.to_owned(), used);
    }
    Ok((answer(&leg), Some(leg)))
}

/// `POST /contact/stop`. **With a customer's contact it ends the customer's call**, as the real operation does. Sidedoor must
/// never let this happen, so the fake must allow it: otherwise no test could notice it.
pub(super) fn stop(state: &mut InstanceState, body: &Value) -> Answer {
    instance(state, text(body, "InstanceId"))?;
    let id = text(body, "ContactId").to_owned();
    let gone = || {
        ApiError::new(
            410,
            "ContactNotFoundException",
            "The contact with the specified ID is not active",
        )
    };
    let contact = state.contacts.get(&id).ok_or_else(gone)?;
    if contact.ended.is_some() {
        return Err(gone());
    }
    if contact.initiation_method == "MONITOR" && contact.channel == "VOICE" {
        return match state.settings.stop_voice_leg {
            StopVoiceLeg::Refuse400 => Err(invalid("StopContact does not work for contacts initiated by MONITOR")),
            StopVoiceLeg::Gone410 => Err(gone()),
            StopVoiceLeg::AcceptAndIgnore => Ok(json!({})),
        };
    }
    // AWS documents that StopContact does not work for TRANSFER. The fake ends such a call nevertheless, because a test must
    // notice the attempt.
    if contact.initiation_method == "MONITOR" {
        state.leave(&id, "StopContact", "API");
    } else {
        state.end(&id, "StopContact", "API");
    }
    Ok(json!({}))
}

/// `GET /contacts/{InstanceId}/{ContactId}`.
pub(super) fn describe(state: &InstanceState, id: &str) -> Answer {
    let not_found = || ApiError::new(404, "ResourceNotFoundException", "Contact not found");
    let seen_at = before(real_now(), state.settings.describe_lag_ms);
    let c = &state
        .contacts
        .get(id)
        .and_then(|c| c.as_of(seen_at))
        .ok_or_else(not_found)?;
    let stamp = |at| epoch_seconds(state.describe_stamp(at).as_millisecond());
    let mut contact = json!({
        "Arn": format!("{}/contact/{}", state.instance_arn(), c.id),
        "Id": c.id,
        "InitiationMethod": c.initiation_method,
        "Channel": c.channel,
        "InitiationTimestamp": stamp(c.started_at),
        "LastUpdateTimestamp": stamp(c.ended.as_ref().map_or(c.started_at, |(at, _)| *at)),
    });
    if let Some((field, supervised)) = state.link(c) {
        contact[field] = json!(supervised);
    }
    let mut agent = json!({"Id": c.user});
    if let Some(at) = state.known_connection(c) {
        agent["ConnectedToAgentTimestamp"] = stamp(at);
        if c.initiation_method == "MONITOR" {
            let ends = c.modes.iter().skip(1).map(|(_, since)| Some(*since));
            let ends = ends.chain([c.ended.as_ref().map(|(at, _)| *at)]);
            let states = c.modes.iter().zip(ends).map(|((mode, since), end)| {
                let mut state = json!({"State": mode, "StateStartTimestamp": stamp(*since)});
                if let Some(end) = end {
                    state["StateEndTimestamp"] = stamp(end);
                }
                state
            });
            agent["StateTransitions"] = states.collect();
        }
    }
    contact["AgentInfo"] = agent;
    if let Some(queue) = &c.queue {
        contact["QueueInfo"] = json!({"Id": queue, "EnqueueTimestamp": stamp(c.started_at)});
    }
    for (field, id) in [("PreviousContactId", &c.previous), ("InitialContactId", &c.initial)] {
        if let Some(id) = id {
            contact[field] = json!(id);
        }
    }
    if let Some(next) = state.next_contacts(c) {
        contact["NextContacts"] = next;
    }
    if let Some((at, reason)) = &c.ended {
        contact["DisconnectTimestamp"] = stamp(*at);
        contact["DisconnectReason"] = json!(reason);
    }
    Ok(json!({"Contact": contact}))
}

/// `GET /users/{InstanceId}/{UserId}`.
pub(super) fn describe_user(state: &InstanceState, id: &str) -> Answer {
    let user = state
        .users
        .get(id)
        .ok_or_else(|| ApiError::new(404, "ResourceNotFoundException", "User not found"))?;
    let arn = format!("{}/agent/{id}", state.instance_arn());
    Ok(json!({"User": {"Id": id, "Arn": arn, "Username": user.username}}))
}

/// `GET /queues/{InstanceId}/{QueueId}`. A queue exists if a contact came through it.
pub(super) fn describe_queue(state: &InstanceState, id: &str) -> Answer {
    if !state.contacts.values().any(|c| c.queue.as_deref() == Some(id)) {
        return Err(ApiError::new(404, "ResourceNotFoundException", "Queue not found"));
    }
    let arn = format!("{}/queue/{id}", state.instance_arn());
    Ok(json!({"Queue": {"QueueId": id, "QueueArn": arn, "Name": format!("Queue {id}"), "Status": "ENABLED"}}))
}

/// `POST /search-users`: all users, or those with an exact user name. Sidedoor uses nothing else of it.
pub(super) fn search_users(state: &InstanceState, body: &Value) -> Answer {
    let bad = |why: &str| ApiError::new(400, "InvalidParameterException", why);
    let wanted = match body.get("SearchCriteria") {
        None => None,
        Some(criteria) => {
            let condition = criteria
                .get("StringCondition")
                .ok_or_else(|| bad("the fake supports only a StringCondition"))?;
            let text = |name: &str| condition.get(name).and_then(Value::as_str).unwrap_or_default();
            if !text("FieldName").eq_ignore_ascii_case("username") || text("ComparisonType") != "EXACT" {
                return Err(bad("the fake supports only an exact match of Username"));
            }
            Some(text("Value").to_lowercase())
        }
    };
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| name.to_lowercase() == *wanted);
    let users = state.users.iter().filter(|(_, user)| is_wanted(&user.username));
    let users: Vec<Value> = users
        .map(|(id, user)| {
            json!({"Id": id, "Arn": format!("{}/agent/{id}", state.instance_arn()), "Username": user.username,
                "RoutingProfileId": user.routing_profile, "HierarchyGroupId": user.hierarchy.last()})
        })
        .collect();
    page_of(users, "Users", body, 100)
}

/// One page of a list under the member `name`, as `MaxResults` and `NextToken` of the request choose it.
pub(super) fn page_of(all: Vec<Value>, name: &str, body: &Value, default_size: usize) -> Answer {
    let bad = || ApiError::new(400, "InvalidParameterException", "Invalid NextToken");
    let size = body.get("MaxResults").and_then(Value::as_u64);
    let size = size.and_then(|n| usize::try_from(n).ok()).unwrap_or(default_size);
    let token = body.get("NextToken").and_then(Value::as_str);
    let begin: usize = token.map_or(Some(0), |t| t.parse().ok()).ok_or_else(bad)?;
    let total = all.len();
    let page: Vec<Value> = all.into_iter().skip(begin).take(size).collect();
    let mut answer = json!({"ApproximateTotalCount": total, name: page});
    if begin + size < total {
        answer["NextToken"] = json!((begin + size).to_string());
    }
    Ok(answer)
}

/// `GET /instance/{InstanceId}`.
pub(super) fn describe_instance(state: &InstanceState) -> Value {
    json!({"Instance": {"Id": state.settings.instance_id, "Arn": state.instance_arn(),
        "InstanceStatus": "ACTIVE", "InstanceAlias": "fake"}})
}

/// Rejects an operation that the caller's policy denies, with the text that AWS uses.
pub(super) fn allowed(state: &InstanceState, operation: &str) -> Result<(), ApiError> {
    if !state
        .settings
        .denied_operations
        .iter()
        .any(|denied| denied == operation)
    {
        return Ok(());
    }
    let caller = super::sts::arn();
    let message = format!(
        "User: {caller} is not authorized to perform: connect:{operation} because no identity-based policy allows the \
         connect:{operation} action"
    );
    Err(ApiError::new(403, "AccessDeniedException", message))
}

/// `GET /security-profiles-summary/{InstanceId}`.
pub(super) fn security_profiles() -> Value {
    json!({"SecurityProfileSummaryList": [{"Id": "profile-1", "Name": "Admin"}]})
}

/// `GET /instance/{InstanceId}/attribute/{Type}`.
pub(super) fn describe_attribute(state: &InstanceState, kind: &str) -> Value {
    let on = !state.settings.attributes_off.iter().any(|off| off == kind);
    json!({"Attribute": {"AttributeType": kind, "Value": on.to_string()}})
}

/// The moment `ms` milliseconds before `at`.
pub(super) fn before(at: Timestamp, ms: u64) -> Timestamp {
    let ago = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
    at.saturating_sub(ago).unwrap_or(at)
}

/// A timestamp in rest-json: seconds since 1970 as a number, with a fraction if it is not a whole second.
pub(super) fn epoch_seconds(ms: i64) -> Value {
    #[allow(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 are exact in a double"
    )]
    if ms % 1000 == 0 {
        json!(ms / 1000)
    } else {
        json!(ms as f64 / 1000.0)
    }
}
