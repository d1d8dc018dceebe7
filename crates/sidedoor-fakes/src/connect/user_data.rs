//! GetCurrentUserData. AWS does not say how old its answers may be, how long an ended contact stays listed, or whether
//! supervisors' legs and idle users are listed at all, so each of these is a setting.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::contact::Contact;
use super::operations::{Answer, before, epoch_seconds};
use super::state::{ApiError, InstanceState};
use crate::clock::real_now;

/// `POST /metrics/userdata/{InstanceId}`.
pub(super) fn user_data(state: &mut InstanceState, body: &Value, region: &str) -> Answer {
    let bad = |why: &str| ApiError::new(400, "InvalidParameterException", why);
    let agents = body
        .pointer("/Filters/Agents")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if agents.is_empty() {
        return Err(bad("the fake supports only the filter Agents"));
    }
    let most = body.get("MaxResults").and_then(Value::as_u64).unwrap_or(100);
    let begin: usize = body
        .get("NextToken")
        .and_then(Value::as_str)
        .map_or(Some(0), |t| t.parse().ok())
        .ok_or_else(|| bad("Invalid NextToken"))?;
    let most = usize::try_from(most).unwrap_or(100);
    let now = real_now();
    let seen_at = match state.settings.poll_staleness_ms {
        0 => now,
        stalest => before(now, state.rng.u64(0..=stalest)),
    };
    let users = agents.iter().filter_map(Value::as_str);
    let users: Vec<Value> = users
        .map(|user| user_entry(state, user, seen_at, region))
        .filter(|entry| !state.settings.omit_idle_users || entry["Contacts"] != json!([]))
        .collect();
    let page: Vec<&Value> = users.iter().skip(begin).take(most).collect();
    let mut answer = json!({"UserDataList": page, "ApproximateTotalCount": users.len()});
    if begin + most < users.len() {
        answer["NextToken"] = json!((begin + most).to_string());
    }
    Ok(answer)
}

/// One user with their contacts at the real time `seen_at`.
fn user_entry(state: &InstanceState, user: &str, seen_at: Timestamp, region: &str) -> Value {
    let listed_since = before(seen_at, state.settings.ended_lingers_ms);
    let theirs = state.contacts.values().filter(|c| c.user == user);
    let theirs = theirs.filter(|c| state.is_visible(c, region));
    // Before the copy, because a copy of every contact that has ended long ago would cost time.
    let theirs = theirs.filter(|c| c.left_at().is_none_or(|left| left > listed_since));
    let mut then: Vec<Contact> = theirs.filter_map(|c| c.as_of(seen_at)).collect();
    then.retain(|c| state.settings.list_monitor_legs || c.initiation_method != "MONITOR");
    then.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
    let contacts: Vec<Value> = then.iter().map(|c| contact_entry(state, c)).collect();
    json!({"User": {"Id": user, "Arn": format!("{}/agent/{user}", state.instance_arn())}, "Contacts": contacts})
}

fn contact_entry(state: &InstanceState, c: &Contact) -> Value {
    let stamp = |at: Timestamp| epoch_seconds(state.stamp(at).as_millisecond());
    let connected = state.known_connection(c);
    let (name, since) = match (c.left_at(), c.connected_at) {
        (Some(left), _) => ("ENDED", Some(left)),
        // AWS: "StateStartTimestamp is not changed" by a hold.
        (None, Some(_)) if c.on_hold() => ("CONNECTED_ONHOLD", connected),
        (None, Some(_)) => ("CONNECTED", connected),
        (None, None) => ("CONNECTING", Some(c.started_at)),
    };
    let mut entry = json!({"ContactId": c.id, "Channel": c.channel, "AgentContactState": name});
    let optional = [
        ("InitiationMethod", state.shown_method(c).map(|method| json!(method))),
        (
            "Queue",
            c.queue
                .as_ref()
                .map(|id| json!({"Id": id, "Arn": format!("{}/queue/{id}", state.instance_arn())})),
        ),
        ("StateStartTimestamp", since.map(stamp)),
        ("ConnectedToAgentTimestamp", connected.map(stamp)),
    ];
    for (field, value) in optional {
        if let Some(value) = value {
            entry[field] = value;
        }
    }
    entry
}
