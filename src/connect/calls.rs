//! One attempt of each operation, within its rate budget. **This is the only file that calls StopContact**, and only for a
//! leg that the interlock cleared.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_connect::types::{
    MonitorCapability, StringComparisonType, StringCondition, UserDataFilters, UserSearchCriteria,
};
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::interlock::{ClearedLeg, ContactSeen};
use sidedoor_domain::ports::associated_contacts::AssociatedContacts;
use sidedoor_domain::ports::telephony::{EndedLegs, LegsFound};
use sidedoor_domain::ports::user_data::{Directory, UserDataSeen};
use sidedoor_domain::ports::{
    Admission, DateSeen, Endpoint, MonitorCall, Operation, Priority, Telephony, VendorError, VendorErrorCode, Verdict,
};
use sidedoor_domain::supervision::Mode;

use super::errors::vendor_error;
use super::{AmazonConnect, contact, dates};

/// How long a call other than a join waits for the rate budget.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// The most users in one GetCurrentUserData call.
const MAX_USERS: usize = 100;
/// The most contacts that one ListAssociatedContacts returns.
const PAGE_OF_FOUND: i32 = 100;
/// The most routing profiles in one GetCurrentUserData call.
const MAX_PROFILES: usize = 100;

#[async_trait]
impl Telephony for AmazonConnect {
    fn try_admit_monitor(&self, endpoint: &Endpoint) -> Option<Admission> {
        let client = self.client(endpoint, Operation::MonitorContact).ok()?;
        client
            .budget(Operation::MonitorContact)?
            .try_take(Priority::Join)
            .then(Admission::granted)
    }

    async fn admit_monitor(&self, endpoint: &Endpoint, patience: Duration) -> Result<Admission, VendorError> {
        self.client_in_turn(endpoint, Operation::MonitorContact, Priority::Join, patience)
            .await?;
        Ok(Admission::granted())
    }

    async fn monitor(&self, call: &MonitorCall, _admission: Admission) -> Result<String, VendorError> {
        let client = self.client(&call.endpoint, Operation::MonitorContact)?;
        let mut request = client
            .connect
            .monitor_contact()
            .instance_id(&client.instance_id)
            .contact_id(call.contact.as_str())
            .user_id(call.user.as_str())
            .client_token(call.client_token.as_str())
            .allowed_monitor_capabilities(MonitorCapability::SilentMonitor);
        if call.allowed == Mode::Barge {
            request = request.allowed_monitor_capabilities(MonitorCapability::Barge);
        }
        let answer = request
            .send()
            .await
            .map_err(|e| vendor_error(Operation::MonitorContact, &e))?;
        answer.contact_id().map(ToOwned::to_owned).ok_or_else(|| VendorError {
            operation: Operation::MonitorContact,
            code: VendorErrorCode::ResponseInvalid,
            message: "Connect's answer has no leg.".into(),
            operator_note: None,
            verdict: Verdict::Retry,
            may_have_happened: true,
        })
    }

    async fn describe(&self, endpoint: &Endpoint, id: &str, priority: Priority) -> Result<ContactSeen, VendorError> {
        let client = self
            .client_in_turn(endpoint, Operation::DescribeContact, priority, PATIENCE)
            .await?;
        let request = client
            .connect
            .describe_contact()
            .instance_id(&client.instance_id)
            .contact_id(id);
        let answer = request
            .send()
            .await
            .map_err(|e| vendor_error(Operation::DescribeContact, &e))?;
        answer.contact().map(contact::seen).ok_or_else(|| VendorError {
            operation: Operation::DescribeContact,
            code: VendorErrorCode::ResourceNotFound,
            message: "Connect's answer has no contact.".into(),
            operator_note: None,
            verdict: Verdict::Never,
            may_have_happened: false,
        })
    }

    async fn end_leg(&self, endpoint: &Endpoint, leg: &ClearedLeg) -> Result<(), VendorError> {
        let client = self
            .client_in_turn(endpoint, Operation::StopContact, Priority::Claim, PATIENCE)
            .await?;
        let request = client
            .connect
            .stop_contact()
            .instance_id(&client.instance_id)
            .contact_id(leg.id().as_str());
        request
            .send()
            .await
            .map(|_| ())
            .map_err(|e| vendor_error(Operation::StopContact, &e))
    }

    fn free_calls(&self, endpoint: &Endpoint, operation: Operation, priority: Priority) -> usize {
        let client = self.client(endpoint, operation).ok();
        let budget = client.and_then(|client| client.budget(operation));
        budget.map_or(0, |budget| budget.free(priority))
    }

    async fn current_contacts(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError> {
        let ids: Vec<String> = users.iter().take(MAX_USERS).map(ToString::to_string).collect();
        let filters = UserDataFilters::builder().set_agents(Some(ids)).build();
        self.user_data(endpoint, &filters, priority).await
    }

    async fn current_contacts_of_profiles(
        &self,
        endpoint: &Endpoint,
        profiles: &[String],
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError> {
        let ids = profiles.iter().take(MAX_PROFILES).cloned().collect();
        let filters = UserDataFilters::builder().set_routing_profiles(Some(ids)).build();
        self.user_data(endpoint, &filters, priority).await
    }

    async fn directory(&self, instance: &InstanceName) -> Result<Directory, VendorError> {
        self.list_users(instance).await
    }

    async fn legs_begun(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        range: (jiff::Timestamp, jiff::Timestamp),
        priority: Priority,
    ) -> Result<LegsFound, VendorError> {
        let users = users.get(..MAX_USERS).unwrap_or(users);
        self.search_legs_begun(endpoint, users, range, priority).await
    }

    async fn legs_ended(
        &self,
        endpoint: &Endpoint,
        range: (jiff::Timestamp, jiff::Timestamp),
        priority: Priority,
    ) -> Result<EndedLegs, VendorError> {
        self.search_legs_ended(endpoint, range, priority).await
    }

    async fn ask_date(&self, instance: &InstanceName) -> Result<DateSeen, VendorError> {
        let client = self.client(&Endpoint::from(instance), Operation::Date)?;
        dates::ask(&self.http, &client.endpoint, instance, self.clock.as_ref()).await
    }

    async fn users_named(&self, instance: &InstanceName, name: &str) -> Result<Vec<UserId>, VendorError> {
        let client = self
            .client_in_turn(
                &Endpoint::from(instance),
                Operation::SearchUsers,
                Priority::Join,
                PATIENCE,
            )
            .await?;
        let condition = StringCondition::builder()
            .field_name("Username")
            .value(name)
            .comparison_type(StringComparisonType::Exact)
            .build();
        let answer = client
            .connect
            .search_users()
            .instance_id(&client.instance_id)
            .search_criteria(UserSearchCriteria::builder().string_condition(condition).build())
            .max_results(10)
            .send()
            .await
            .map_err(|e| vendor_error(Operation::SearchUsers, &e))?;
        let same = |found: Option<&str>| found.is_some_and(|n| n.to_lowercase() == name.to_lowercase());
        let users = answer.users().iter().filter(|u| same(u.username()));
        Ok(users.filter_map(|u| UserId::parse(u.id()?).ok()).collect())
    }

    async fn username_of(&self, instance: &InstanceName, user: &UserId) -> Result<Option<String>, VendorError> {
        let client = self
            .client_in_turn(
                &Endpoint::from(instance),
                Operation::DescribeUser,
                Priority::UnknownLeg,
                PATIENCE,
            )
            .await?;
        let request = client
            .connect
            .describe_user()
            .instance_id(&client.instance_id)
            .user_id(user.as_str());
        let answer = request.send().await;
        let answer = answer.map_err(|e| vendor_error(Operation::DescribeUser, &e));
        let user = none_if_unknown(answer)?.and_then(|answer| answer.user);
        Ok(user.map(|user| user.username.unwrap_or_default()))
    }

    async fn queue_name(&self, instance: &InstanceName, queue: &str) -> Result<Option<String>, VendorError> {
        let client = self
            .client_in_turn(
                &Endpoint::from(instance),
                Operation::DescribeQueue,
                Priority::UnknownLeg,
                PATIENCE,
            )
            .await?;
        let request = client
            .connect
            .describe_queue()
            .instance_id(&client.instance_id)
            .queue_id(queue);
        let answer = request.send().await;
        let answer = answer.map_err(|e| vendor_error(Operation::DescribeQueue, &e));
        Ok(none_if_unknown(answer)?.and_then(|answer| answer.queue?.name))
    }

    async fn associated_contacts(&self, endpoint: &Endpoint, id: &str) -> Result<AssociatedContacts, VendorError> {
        const OPERATION: Operation = Operation::ListAssociatedContacts;
        let mut found = AssociatedContacts::default();
        let mut next: Option<String> = None;
        for _ in 0..AssociatedContacts::MAX_PAGES {
            let client = self
                .client_in_turn(endpoint, OPERATION, Priority::UnknownLeg, PATIENCE)
                .await?;
            let answer = client
                .connect
                .list_associated_contacts()
                .instance_id(&client.instance_id)
                .contact_id(id)
                .max_results(PAGE_OF_FOUND)
                .set_next_token(next.take())
                .send()
                .await
                .map_err(|e| vendor_error(OPERATION, &e))?;
            found
                .contacts
                .extend(answer.contact_summary_list().iter().map(contact::associated));
            next = answer.next_token().map(ToOwned::to_owned);
            if next.is_none() {
                found.is_complete = true;
                break;
            }
        }
        Ok(found)
    }
}

/// Connect checks the form of an id before it looks, so an id that it calls invalid names nothing.
fn none_if_unknown<T>(answer: Result<T, VendorError>) -> Result<Option<T>, VendorError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(e) => match e.code {
            VendorErrorCode::ResourceNotFound | VendorErrorCode::RequestInvalid | VendorErrorCode::ParameterInvalid => {
                Ok(None)
            }
            _ => Err(e),
        },
    }
}
