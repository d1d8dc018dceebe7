//! One attempt of each operation, within its rate budget. **This is the only file that calls StopContact**, and only for a
//! leg that the interlock cleared.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_connect::primitives::DateTime;
use aws_sdk_connect::types::{
    ContactInitiationMethod, MonitorCapability, SearchContactsTimeRange, SearchContactsTimeRangeType, SearchCriteria,
    StringComparisonType, StringCondition, UserDataFilters, UserSearchCriteria,
};
use sidedoor_domain::contact_event::InitiationMethod;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::interlock::{ClearedLeg, ContactSeen};
use sidedoor_domain::ports::associated_contacts::AssociatedContacts;
use sidedoor_domain::ports::telephony::{ConnectUser, LegsFound, UserContact, UserDataSeen};
use sidedoor_domain::ports::{
    Admission, DateSeen, Endpoint, MonitorCall, Operation, Priority, Telephony, VendorError, VendorErrorCode, Verdict,
};
use sidedoor_domain::supervision::Mode;

use super::errors::{request_not_built, vendor_error};
use super::{AmazonConnect, contact, dates};

/// How long a call other than a join waits for the rate budget.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most users in one GetCurrentUserData call.
const MAX_USERS: usize = 100;
/// The most contacts that one SearchContacts or ListAssociatedContacts returns.
const PAGE_OF_FOUND: i32 = 100;
/// The most pages of contacts that are read for one list of users.
const MAX_PAGES: usize = 20;

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
        let mut seen = UserDataSeen::default();
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let client = self
                .client_in_turn(endpoint, Operation::GetCurrentUserData, priority, PATIENCE)
                .await?;
            let answer = client
                .connect
                .get_current_user_data()
                .instance_id(&client.instance_id)
                .filters(UserDataFilters::builder().set_agents(Some(ids.clone())).build())
                .set_next_token(next.take())
                .send()
                .await
                .map_err(|e| vendor_error(Operation::GetCurrentUserData, &e))?;
            for data in answer.user_data_list() {
                let user = data.user().and_then(|u| u.id()).unwrap_or_default();
                seen.users.insert(user.to_owned());
                seen.contacts.extend(data.contacts().iter().map(|contact| {
                    UserContact {
                        user: user.to_owned(),
                        contact: contact.contact_id().unwrap_or_default().to_owned(),
                        initiation_method: InitiationMethod::parse(
                            contact.initiation_method().map_or("", |m| m.as_str()),
                        ),
                        state: contact
                            .agent_contact_state()
                            .map(|s| s.as_str().to_ascii_uppercase())
                            .unwrap_or_default(),
                    }
                }));
            }
            next = answer.next_token().map(ToOwned::to_owned);
            if next.is_none() {
                seen.is_complete = true;
                break;
            }
        }
        Ok(seen)
    }

    async fn legs_begun(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        (from, until): (jiff::Timestamp, jiff::Timestamp),
        priority: Priority,
    ) -> Result<LegsFound, VendorError> {
        let moment = |at: jiff::Timestamp| DateTime::from_millis(at.as_millisecond());
        let range = SearchContactsTimeRange::builder()
            .r#type(SearchContactsTimeRangeType::InitiationTimestamp)
            .start_time(moment(from))
            .end_time(moment(until))
            .build();
        let range = range.map_err(|_| request_not_built(Operation::SearchContacts))?;
        let ids: Vec<String> = users.iter().take(MAX_USERS).map(ToString::to_string).collect();
        let criteria = SearchCriteria::builder()
            .set_agent_ids(Some(ids))
            .initiation_methods(ContactInitiationMethod::Monitor)
            .build();
        let mut found = LegsFound::default();
        let mut next: Option<String> = None;
        for _ in 0..LegsFound::MAX_PAGES {
            let client = self
                .client_in_turn(endpoint, Operation::SearchContacts, priority, PATIENCE)
                .await?;
            let answer = client
                .connect
                .search_contacts()
                .instance_id(&client.instance_id)
                .time_range(range.clone())
                .search_criteria(criteria.clone())
                .max_results(PAGE_OF_FOUND)
                .set_next_token(next.take())
                .send()
                .await
                .map_err(|e| vendor_error(Operation::SearchContacts, &e))?;
            let ids = answer.contacts().iter().filter_map(|c| c.id().map(ToOwned::to_owned));
            found.legs.extend(ids);
            next = answer.next_token().map(ToOwned::to_owned);
            if next.is_none() {
                found.is_complete = true;
                break;
            }
        }
        Ok(found)
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

    async fn user(&self, instance: &InstanceName, user: &UserId) -> Result<Option<ConnectUser>, VendorError> {
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
        match answer.map_err(|e| vendor_error(Operation::DescribeUser, &e)) {
            Ok(answer) => Ok(answer.user().map(|seen| ConnectUser {
                id: user.clone(),
                username: seen.username().filter(|name| !name.is_empty()).map(ToOwned::to_owned),
            })),
            // Connect checks the form of the id before it looks, so an id that it calls invalid names no user.
            Err(e) => match e.code {
                VendorErrorCode::ResourceNotFound
                | VendorErrorCode::RequestInvalid
                | VendorErrorCode::ParameterInvalid => Ok(None),
                _ => Err(e),
            },
        }
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
