//! Amazon Connect as one process of the service sees it: calls that take time, and answers that are lost, cut or refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::interlock::{ClearedLeg, ContactSeen};
use sidedoor_domain::ports::associated_contacts::AssociatedContacts;
use sidedoor_domain::ports::telephony::{EndedLegs, LegsFound};
use sidedoor_domain::ports::user_data::{Directory, UserDataSeen};
use sidedoor_domain::ports::{
    Admission, Clock, DateSeen, Endpoint, MonitorCall, Operation, Priority, Telephony, VendorError, VendorErrorCode,
    Verdict,
};
use sidedoor_domain::supervision::Channel;
use tokio::sync::oneshot;

use super::process::Generation;
use super::vendor::{EndedBy, Vendor};
use super::world::World;
use crate::config::Rate;
use crate::connect::budget::{Budget, NoBudget};

/// The time-out of a call, as configured by default.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const BUDGET_QUEUE: usize = 256;

/// Amazon Connect as one process of the service sees it, with that process's rate budgets.
pub(super) struct SimTelephony {
    world: Arc<World>,
    generation: Generation,
    budgets: BTreeMap<Operation, Arc<Budget>>,
}

impl SimTelephony {
    pub(super) fn new(world: Arc<World>, generation: Generation) -> Self {
        let joins = world.plan.conduct.joins_per_second;
        let budget = |operation| {
            let rate = match operation {
                Operation::MonitorContact => Rate {
                    per_second: f64::from(joins),
                    burst: joins.max(5),
                },
                _ => Rate::DEFAULT,
            };
            (operation, Budget::new(rate, BUDGET_QUEUE))
        };
        Self {
            world,
            generation,
            budgets: Operation::BUDGETED.into_iter().map(budget).collect(),
        }
    }

    async fn admitted(&self, operation: Operation, priority: Priority, patience: Duration) -> Result<(), VendorError> {
        let Some(budget) = self.budgets.get(&operation) else {
            return Ok(());
        };
        let message = match budget.take(priority, patience).await {
            Ok(()) => return Ok(()),
            Err(NoBudget::QueueFull) => "queue full",
            Err(NoBudget::Timeout) => "no budget in time",
        };
        Err(VendorError {
            operation,
            code: VendorErrorCode::BudgetLimitReached,
            message: message.into(),
            operator_note: None,
            verdict: Verdict::Retry,
            may_have_happened: false,
        })
    }

    /// Makes one call: its effect may come late, or not at all, and its answer may be lost.
    async fn call<T: Send + 'static>(
        &self,
        operation: Operation,
        about: String,
        effect: impl FnOnce(&Arc<Vendor>, &Arc<World>) -> Result<T, VendorErrorCode> + Send + 'static,
    ) -> Result<T, VendorError> {
        self.generation.crash_point(&self.world).await;
        let vendor = self.world.vendor.clone();
        let fate = vendor.fate(operation);
        let failed = move |code, verdict, may_have_happened| VendorError {
            operation,
            code,
            message: "simulated".into(),
            operator_note: None,
            verdict,
            may_have_happened,
        };
        let (answer, answered) = oneshot::channel();
        let world = self.world.clone();
        // The vendor carries out the call whatever becomes of the caller.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(fate.before)).await;
            let result = match fate.refused {
                Some((code, verdict)) => Err(failed(code, verdict, code == VendorErrorCode::Unavailable)),
                None => effect(&vendor, &world).map_err(|code| failed(code, Verdict::Never, false)),
            };
            tokio::time::sleep(Duration::from_millis(fate.after)).await;
            let result = match (result, fate.lost) {
                (Ok(_), Some(code)) => Err(failed(code, Verdict::Retry, true)),
                (result, _) => result,
            };
            let _ = answer.send(result);
        });
        let result = match tokio::time::timeout(CALL_TIMEOUT, answered).await {
            Ok(Ok(result)) => result,
            _ => Err(failed(VendorErrorCode::Timeout, Verdict::Retry, true)),
        };
        let outcome = result.as_ref().map(|_| "ok").map_err(|e| e.code.as_str());
        self.world
            .note(|| format!("{operation} {about}: {}", outcome.unwrap_or_else(|code| code)));
        self.generation.crash_point(&self.world).await;
        result
    }
}

/// As the adapter's.
const PATIENCE: Duration = Duration::from_secs(20);

#[async_trait]
impl Telephony for SimTelephony {
    fn try_admit_monitor(&self, _: &Endpoint) -> Option<Admission> {
        let budget = self.budgets.get(&Operation::MonitorContact)?;
        budget.try_take(Priority::Join).then(Admission::granted)
    }

    async fn admit_monitor(&self, _: &Endpoint, patience: Duration) -> Result<Admission, VendorError> {
        self.admitted(Operation::MonitorContact, Priority::Join, patience)
            .await?;
        Ok(Admission::granted())
    }

    async fn monitor(&self, call: &MonitorCall, _: Admission) -> Result<String, VendorError> {
        let (contact, user, token) = (
            call.contact.to_string(),
            call.user.to_string(),
            call.client_token.as_str().to_owned(),
        );
        self.call(
            Operation::MonitorContact,
            format!("{user} on {contact}"),
            move |vendor, world| vendor.begin_leg(world, &contact, &user, Some(&token)),
        )
        .await
    }

    async fn describe(&self, _: &Endpoint, id: &str, priority: Priority) -> Result<ContactSeen, VendorError> {
        self.admitted(Operation::DescribeContact, priority, PATIENCE).await?;
        let about = id.to_owned();
        self.call(Operation::DescribeContact, about.clone(), move |vendor, _| {
            vendor.describe(&about)
        })
        .await
    }

    async fn end_leg(&self, _: &Endpoint, leg: &ClearedLeg) -> Result<(), VendorError> {
        self.admitted(Operation::StopContact, Priority::Claim, PATIENCE).await?;
        let id = leg.id().to_string();
        self.call(Operation::StopContact, id.clone(), move |vendor, world| {
            if vendor.state().contacts.contains_key(&id) {
                vendor.end_contact(world, &id, EndedBy::StopContact);
                return Ok(());
            }
            if vendor.conduct.channel == Channel::Voice {
                return Err(VendorErrorCode::RequestInvalid);
            }
            match vendor.end_leg(world, &id, EndedBy::StopContact) {
                true => Ok(()),
                false => Err(VendorErrorCode::ContactNotFound),
            }
        })
        .await
    }

    fn free_calls(&self, _: &Endpoint, operation: Operation, priority: Priority) -> usize {
        self.budgets.get(&operation).map_or(0, |budget| budget.free(priority))
    }

    async fn current_contacts(
        &self,
        _: &Endpoint,
        users: &[UserId],
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError> {
        self.admitted(Operation::GetCurrentUserData, priority, PATIENCE).await?;
        let users = users.to_vec();
        let about = format!("{} users", users.len());
        self.call(Operation::GetCurrentUserData, about, move |vendor, _| {
            Ok(vendor.current_contacts(&users))
        })
        .await
    }

    /// No story looks at the board.
    async fn current_contacts_of_profiles(
        &self,
        _: &Endpoint,
        _: &[String],
        _: Priority,
    ) -> Result<UserDataSeen, VendorError> {
        Ok(UserDataSeen::default())
    }

    async fn directory(&self, _: &InstanceName) -> Result<Directory, VendorError> {
        Ok(Directory::default())
    }

    async fn legs_begun(
        &self,
        _: &Endpoint,
        users: &[UserId],
        (from, until): (Timestamp, Timestamp),
        priority: Priority,
    ) -> Result<LegsFound, VendorError> {
        self.admitted(Operation::SearchContacts, priority, PATIENCE).await?;
        let users = users.to_vec();
        let about = format!("{} users", users.len());
        self.call(Operation::SearchContacts, about, move |vendor, _| {
            Ok(vendor.legs_begun(&users, from, until))
        })
        .await
    }

    async fn legs_ended(
        &self,
        _: &Endpoint,
        (from, until): (Timestamp, Timestamp),
        priority: Priority,
    ) -> Result<EndedLegs, VendorError> {
        self.admitted(Operation::SearchContacts, priority, PATIENCE).await?;
        self.call(Operation::SearchContacts, "ended".into(), move |vendor, _| {
            Ok(vendor.legs_ended(from, until))
        })
        .await
    }

    async fn ask_date(&self, instance: &InstanceName) -> Result<DateSeen, VendorError> {
        let sent_at = self.world.own_clock().now();
        let (instance, world) = (instance.clone(), self.world.clone());
        self.call(Operation::Date, String::new(), move |vendor, _| {
            let date = vendor.clock().reads(vendor.truth.ms()).as_second();
            Ok(DateSeen {
                instance,
                sent_at,
                received_at: world.own_clock().now(),
                date: Timestamp::from_second(date).unwrap_or(Timestamp::UNIX_EPOCH),
            })
        })
        .await
    }

    async fn users_named(&self, _: &InstanceName, _: &str) -> Result<Vec<UserId>, VendorError> {
        Ok(Vec::new())
    }

    async fn username_of(&self, _: &InstanceName, user: &UserId) -> Result<Option<String>, VendorError> {
        self.admitted(Operation::DescribeUser, Priority::UnknownLeg, PATIENCE)
            .await?;
        let name = format!("{user}@example");
        self.call(Operation::DescribeUser, user.to_string(), |_, _| Ok(Some(name)))
            .await
    }

    /// The descriptions of simulated legs name their contacts, so nothing needs this answer.
    async fn associated_contacts(&self, _: &Endpoint, _: &str) -> Result<AssociatedContacts, VendorError> {
        Ok(AssociatedContacts::default())
    }

    async fn queue_name(&self, _: &InstanceName, _: &str) -> Result<Option<String>, VendorError> {
        Ok(None)
    }
}
