//! Lists of users: GetCurrentUserData with its pages, and all users of an instance by SearchUsers.

use aws_sdk_connect::types::{AgentContactReference, UserData, UserDataFilters};
use sidedoor_domain::contact_event::InitiationMethod;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::user_data::{Directory, UserContact, UserDataSeen, UserState};
use sidedoor_domain::ports::{Endpoint, Operation, Priority, VendorError};

use super::AmazonConnect;
use super::calls::PATIENCE;
use super::contact::moment;
use super::errors::vendor_error;

/// The most users that one SearchUsers returns.
const PAGE_OF_USERS: i32 = 500;

impl AmazonConnect {
    /// Every page of GetCurrentUserData, at most [`UserDataSeen::MAX_PAGES`].
    pub(super) async fn user_data(
        &self,
        endpoint: &Endpoint,
        filters: &UserDataFilters,
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError> {
        let mut seen = UserDataSeen::default();
        let mut next: Option<String> = None;
        for _ in 0..UserDataSeen::MAX_PAGES {
            let client = self
                .client_in_turn(endpoint, Operation::GetCurrentUserData, priority, PATIENCE)
                .await?;
            let answer = client
                .connect
                .get_current_user_data()
                .instance_id(&client.instance_id)
                .filters(filters.clone())
                .set_next_token(next.take())
                .send()
                .await
                .map_err(|e| vendor_error(Operation::GetCurrentUserData, &e))?;
            for data in answer.user_data_list() {
                let user = data.user().and_then(|u| u.id()).unwrap_or_default();
                seen.users.insert(user.to_owned(), state_of(data));
                seen.contacts
                    .extend(data.contacts().iter().map(|contact| contact_of(user, contact)));
            }
            next = answer.next_token().map(ToOwned::to_owned);
            if next.is_none() {
                seen.is_complete = true;
                break;
            }
        }
        Ok(seen)
    }

    /// Every page of SearchUsers, at most [`Directory::MAX_PAGES`].
    pub(super) async fn list_users(&self, instance: &InstanceName) -> Result<Directory, VendorError> {
        const OPERATION: Operation = Operation::SearchUsers;
        let endpoint = Endpoint::from(instance);
        let mut found = Directory::default();
        let mut next: Option<String> = None;
        for _ in 0..Directory::MAX_PAGES {
            let client = self
                .client_in_turn(&endpoint, OPERATION, Priority::UnknownLeg, PATIENCE)
                .await?;
            let answer = client
                .connect
                .search_users()
                .instance_id(&client.instance_id)
                .max_results(PAGE_OF_USERS)
                .set_next_token(next.take())
                .send()
                .await
                .map_err(|e| vendor_error(OPERATION, &e))?;
            for user in answer.users() {
                let id = user.id().and_then(|id| UserId::parse(id).ok());
                if let (Some(id), Some(name)) = (id, user.username()) {
                    found.usernames.insert(id, name.to_owned());
                }
                found
                    .routing_profiles
                    .extend(user.routing_profile_id().map(ToOwned::to_owned));
            }
            next = answer.next_token().map(ToOwned::to_owned);
            if next.is_none() {
                found.is_complete = true;
                break;
            }
        }
        Ok(found)
    }
}

fn state_of(data: &UserData) -> UserState {
    let status = data.status();
    let path = data.hierarchy_path();
    let levels = path.map(|path| {
        [
            path.level_one(),
            path.level_two(),
            path.level_three(),
            path.level_four(),
            path.level_five(),
        ]
    });
    let groups = levels.into_iter().flatten().flatten();
    UserState {
        status: status.and_then(|s| s.status_name()).map(ToOwned::to_owned),
        status_since: status.and_then(|s| s.status_start_timestamp().and_then(moment)),
        routing_profile: data.routing_profile().and_then(|p| p.id()).map(ToOwned::to_owned),
        hierarchy_groups: groups.filter_map(|group| group.id()).map(ToOwned::to_owned).collect(),
    }
}

fn contact_of(user: &str, contact: &AgentContactReference) -> UserContact {
    UserContact {
        user: user.to_owned(),
        contact: contact.contact_id().unwrap_or_default().to_owned(),
        initiation_method: InitiationMethod::parse(contact.initiation_method().map_or("", |m| m.as_str())),
        state: contact
            .agent_contact_state()
            .map(|s| s.as_str().to_ascii_uppercase())
            .unwrap_or_default(),
        channel: contact
            .channel()
            .map(|c| c.as_str().to_ascii_uppercase())
            .unwrap_or_default(),
        state_since: contact.state_start_timestamp().and_then(moment),
        connected_at: contact.connected_to_agent_timestamp().and_then(moment),
        queue: contact.queue().and_then(|q| q.id()).map(ToOwned::to_owned),
    }
}
