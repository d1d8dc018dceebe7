//! One attempt of each operation, in its turn. **The only file that calls StopContact**, and only on a leg the interlock
//! cleared.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_connect::types::{
    MonitorCapability, StringComparisonType, StringCondition, UserDataFilters, UserSearchCriteria,
};

use super::budget::Budget;
use super::errors::{no_place, unknown_instance, vendor_error};
use super::{AmazonConnect, Line, dates, describe};
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::interlock::{ClearedLeg, ContactSeen};
use sidedoor_domain::ports::telephony::UserContact;
use sidedoor_domain::ports::{Admission, DateSeen, MonitorCall, Priority, Telephony, VendorError, Verdict};
use sidedoor_domain::supervision::Mode;

pub(super) const MONITOR_CONTACT: &str = "MonitorContact";
pub(super) const STOP_CONTACT: &str = "StopContact";
pub(super) const DESCRIBE_CONTACT: &str = "DescribeContact";
pub(super) const GET_CURRENT_USER_DATA: &str = "GetCurrentUserData";
pub(super) const SEARCH_USERS: &str = "SearchUsers";

/// How long a call other than a join waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most users GetCurrentUserData takes in one call, and the most contacts pages read for them.
const USERS: usize = 100;
const PAGES: usize = 20;

impl AmazonConnect {
    pub(super) fn line(&self, instance: &InstanceName, operation: &'static str) -> Result<&Line, VendorError> {
        self.lines.get(instance).ok_or_else(|| unknown_instance(operation))
    }

    /// The line and its turn.
    async fn turn(
        &self,
        instance: &InstanceName,
        operation: &'static str,
        priority: Priority,
        patience: Duration,
    ) -> Result<&Line, VendorError> {
        let line = self.line(instance, operation)?;
        if let Some(budget) = line.budget(operation) {
            budget
                .take(priority, patience)
                .await
                .map_err(|why| no_place(operation, why))?;
        }
        Ok(line)
    }
}

impl Line {
    fn budget(&self, operation: &'static str) -> Option<&Arc<Budget>> {
        self.budgets.get(operation)
    }
}

#[async_trait]
impl Telephony for AmazonConnect {
    fn try_admit_monitor(&self, instance: &InstanceName) -> Option<Admission> {
        let budget = self.lines.get(instance)?.budget(MONITOR_CONTACT)?;
        budget.try_take().then(Admission::granted)
    }

    async fn admit_monitor(&self, instance: &InstanceName, patience: Duration) -> Result<Admission, VendorError> {
        self.turn(instance, MONITOR_CONTACT, Priority::Monitor, patience)
            .await?;
        Ok(Admission::granted())
    }

    async fn monitor(&self, call: &MonitorCall, _admission: Admission) -> Result<String, VendorError> {
        let line = self.line(&call.instance, MONITOR_CONTACT)?;
        let mut request = line
            .client
            .monitor_contact()
            .instance_id(&line.instance_id)
            .contact_id(call.contact.as_str())
            .user_id(call.user.as_str())
            .client_token(call.client_token.as_str())
            .allowed_monitor_capabilities(MonitorCapability::SilentMonitor);
        if call.allowed == Mode::Barge {
            request = request.allowed_monitor_capabilities(MonitorCapability::Barge);
        }
        let answer = request.send().await.map_err(|e| vendor_error(MONITOR_CONTACT, &e))?;
        answer.contact_id().map(ToOwned::to_owned).ok_or_else(|| VendorError {
            operation: MONITOR_CONTACT,
            code: "connect_response_invalid",
            message: "Connect's answer names no leg.".into(),
            verdict: Verdict::Retry,
            may_have_happened: true,
        })
    }

    async fn describe(
        &self,
        instance: &InstanceName,
        id: &str,
        priority: Priority,
    ) -> Result<ContactSeen, VendorError> {
        let line = self.turn(instance, DESCRIBE_CONTACT, priority, PATIENCE).await?;
        let request = line
            .client
            .describe_contact()
            .instance_id(&line.instance_id)
            .contact_id(id);
        let answer = request.send().await.map_err(|e| vendor_error(DESCRIBE_CONTACT, &e))?;
        answer.contact().map(describe::seen).ok_or_else(|| VendorError {
            operation: DESCRIBE_CONTACT,
            code: VendorError::NOT_FOUND,
            message: "Connect's answer describes no contact.".into(),
            verdict: Verdict::Never,
            may_have_happened: false,
        })
    }

    async fn end_leg(&self, instance: &InstanceName, leg: &ClearedLeg) -> Result<(), VendorError> {
        let line = self
            .turn(instance, STOP_CONTACT, Priority::Disconnect, PATIENCE)
            .await?;
        let request = line
            .client
            .stop_contact()
            .instance_id(&line.instance_id)
            .contact_id(leg.id().as_str());
        request
            .send()
            .await
            .map(|_| ())
            .map_err(|e| vendor_error(STOP_CONTACT, &e))
    }

    async fn current_contacts(
        &self,
        instance: &InstanceName,
        users: &[UserId],
        priority: Priority,
    ) -> Result<Vec<UserContact>, VendorError> {
        let ids: Vec<String> = users.iter().take(USERS).map(ToString::to_string).collect();
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES {
            let line = self.turn(instance, GET_CURRENT_USER_DATA, priority, PATIENCE).await?;
            let answer = line
                .client
                .get_current_user_data()
                .instance_id(&line.instance_id)
                .filters(UserDataFilters::builder().set_agents(Some(ids.clone())).build())
                .set_next_token(next.take())
                .send()
                .await
                .map_err(|e| vendor_error(GET_CURRENT_USER_DATA, &e))?;
            for data in answer.user_data_list() {
                let user = data.user().and_then(|u| u.id()).unwrap_or_default();
                found.extend(data.contacts().iter().map(|contact| {
                    UserContact {
                        user: user.to_owned(),
                        contact: contact.contact_id().unwrap_or_default().to_owned(),
                        initiation_method: contact
                            .initiation_method()
                            .map(|m| m.as_str().to_ascii_uppercase())
                            .unwrap_or_default(),
                        state: contact
                            .agent_contact_state()
                            .map(|s| s.as_str().to_ascii_uppercase())
                            .unwrap_or_default(),
                    }
                }));
            }
            next = answer.next_token().map(ToOwned::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(found)
    }

    async fn ask_date(&self, instance: &InstanceName) -> Result<DateSeen, VendorError> {
        let line = self.line(instance, "Date")?;
        dates::ask(&self.http, &line.endpoint, instance, self.clock.as_ref()).await
    }

    async fn users_named(&self, instance: &InstanceName, name: &str) -> Result<Vec<UserId>, VendorError> {
        let line = self.turn(instance, SEARCH_USERS, Priority::Monitor, PATIENCE).await?;
        let condition = StringCondition::builder()
            .field_name("Username")
            .value(name)
            .comparison_type(StringComparisonType::Exact)
            .build();
        let answer = line
            .client
            .search_users()
            .instance_id(&line.instance_id)
            .search_criteria(UserSearchCriteria::builder().string_condition(condition).build())
            .max_results(10)
            .send()
            .await
            .map_err(|e| vendor_error(SEARCH_USERS, &e))?;
        let same = |found: Option<&str>| found.is_some_and(|n| n.to_lowercase() == name.to_lowercase());
        let users = answer.users().iter().filter(|u| same(u.username()));
        Ok(users.filter_map(|u| UserId::parse(u.id()?).ok()).collect())
    }
}
