//! GetCurrentUserData. AWS does not say how old its answers may be, how long an ended contact stays listed, or whether
//! supervisors' legs and idle users are listed at all, so each of these is a setting.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::contact::{Contact, User};
use super::operations::{Answer, before, epoch_seconds, page_of};
use super::state::{ApiError, InstanceState};
use crate::clock::real_now;

/// `POST /metrics/userdata/{InstanceId}`.
pub(super) fn user_data(state: &mut InstanceState, body: &Value, region: &str) -> Answer {
    let now = real_now();
    let seen_at = match state.settings.poll_staleness_ms {
        0 => now,
        stalest => before(now, state.rng.u64(0..=stalest)),
    };
    let users: Vec<Value> = users_asked_for(state, body)?
        .iter()
        .map(|user| user_entry(state, user, seen_at, region))
        .filter(|entry| !state.settings.omit_idle_users || entry["Contacts"] != json!([]))
        .collect();
    page_of(users, "UserDataList", body, 100)
}

/// The users that the filters select. AWS: "A maximum of one filter can be passed from queues, routing profiles, agents, and user
/// hierarchy groups." What it answers without any is not documented; the fake refuses that.
fn users_asked_for(state: &InstanceState, body: &Value) -> Result<Vec<String>, ApiError> {
    const EXCLUSIVE: [&str; 4] = ["Agents", "RoutingProfiles", "UserHierarchyGroups", "Queues"];
    let bad = |why: &str| ApiError::new(400, "InvalidParameterException", why);
    let ids = |filter: &str| -> Option<Vec<&str>> {
        let listed = body.pointer(&format!("/Filters/{filter}"))?.as_array()?;
        Some(listed.iter().filter_map(Value::as_str).collect())
    };
    let given: Vec<_> = EXCLUSIVE
        .into_iter()
        .filter_map(|name| Some((name, ids(name)?)))
        .collect();
    let [(filter, wanted)] = given.as_slice() else {
        return Err(bad(
            "exactly one of the filters Queues, RoutingProfiles, Agents and UserHierarchyGroups is needed",
        ));
    };
    // "Real-time active user data": users who are not signed in are not found by what they belong to.
    let active = |belongs: &dyn Fn(&User) -> bool| {
        let users = state.users.iter();
        let found = users.filter(|(_, user)| user.status.is_some() && belongs(user));
        found.map(|(id, _)| id.clone()).collect()
    };
    match *filter {
        "Agents" => Ok(wanted.iter().map(|id| (*id).to_owned()).collect()),
        "RoutingProfiles" => Ok(active(&|user| wanted.contains(&user.routing_profile.as_str()))),
        "UserHierarchyGroups" => Ok(active(&|user| {
            user.hierarchy.iter().any(|group| wanted.contains(&group.as_str()))
        })),
        _ => Err(bad("the fake does not support the filter Queues")),
    }
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
    let arn = state.instance_arn();
    let mut entry = json!({"User": {"Id": user, "Arn": format!("{arn}/agent/{user}")}, "Contacts": contacts});
    let Some(known) = state.users.get(user) else {
        return entry;
    };
    let profile = &known.routing_profile;
    entry["RoutingProfile"] = json!({"Id": profile, "Arn": format!("{arn}/routing-profile/{profile}")});
    let levels = ["LevelOne", "LevelTwo", "LevelThree", "LevelFour", "LevelFive"];
    for (level, group) in levels.iter().zip(&known.hierarchy) {
        entry["HierarchyPath"][level] = json!({"Id": group, "Arn": format!("{arn}/agent-group/{group}")});
    }
    if let Some((name, since)) = &known.status {
        let since = epoch_seconds(state.stamp(*since).as_millisecond());
        entry["Status"] = json!({"StatusName": name, "StatusStartTimestamp": since});
    }
    entry
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
