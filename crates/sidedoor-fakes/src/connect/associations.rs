//! ListAssociatedContacts: the contact tree. A call and those to which it was transferred are one tree. AWS does not say whether the legs
//! of supervisors are in it, so that is a setting.

use serde_json::{Value, json};

use super::contact::Contact;
use super::operations::{Answer, epoch_seconds};
use super::state::{ApiError, InstanceState};

impl InstanceState {
    /// The first contact of the tree of a contact or leg.
    fn root<'c>(&'c self, c: &'c Contact) -> &'c str {
        let supervised = c.supervised.as_ref().and_then(|id| self.contacts.get(id));
        let is_apart = c.supervised.is_some() && !self.settings.legs_in_tree;
        let c = supervised.filter(|_| !is_apart).unwrap_or(c);
        c.initial.as_deref().unwrap_or(&c.id)
    }
}

/// `GET /contact/associated/{InstanceId}?contactId=`.
pub(super) fn list(state: &InstanceState, query: &str) -> Answer {
    let parameter = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.into_owned())
    };
    let bad = || ApiError::new(400, "InvalidParameterException", "Invalid NextToken");
    let most = parameter("maxResults")
        .and_then(|most| most.parse().ok())
        .unwrap_or(100);
    let begin: usize = match parameter("nextToken") {
        Some(token) => token.parse().map_err(|_| bad())?,
        None => 0,
    };
    let id = parameter("contactId").unwrap_or_default();
    let not_found = || ApiError::new(404, "ResourceNotFoundException", "Contact not found");
    let root = state.root(state.contacts.get(&id).ok_or_else(not_found)?);
    let mut tree: Vec<&Contact> = state.contacts.values().filter(|c| state.root(c) == root).collect();
    tree.sort_by_key(|c| (c.started_at, &c.id));
    let page = tree.iter().skip(begin).take(most);
    let page: Vec<Value> = page.map(|c| summary(state, c)).collect();
    let mut answer = json!({"ContactSummaryList": page});
    if begin.saturating_add(most) < tree.len() {
        answer["NextToken"] = json!((begin + most).to_string());
    }
    Ok(answer)
}

/// `AssociatedContactSummary`.
fn summary(state: &InstanceState, c: &Contact) -> Value {
    let stamp = |at: jiff::Timestamp| epoch_seconds(state.stamp(at).as_millisecond());
    let mut summary = json!({"ContactId": c.id, "ContactArn": format!("{}/contact/{}", state.arn_in(&c.region), c.id),
        "InitiationTimestamp": stamp(c.started_at), "InitiationMethod": c.initiation_method, "Channel": c.channel});
    let optional = [
        ("DisconnectTimestamp", c.ended.as_ref().map(|(at, _)| stamp(*at))),
        ("PreviousContactId", c.previous.as_ref().map(|id| json!(id))),
        ("InitialContactId", c.initial.as_ref().map(|id| json!(id))),
    ];
    for (field, value) in optional {
        if let Some(value) = value {
            summary[field] = value;
        }
    }
    if let Some((field, supervised)) = state.link(c) {
        summary[field] = json!(supervised);
    }
    summary
}
