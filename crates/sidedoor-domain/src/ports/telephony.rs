//! Amazon Connect, as the flows see it.

use std::time::Duration;

use async_trait::async_trait;

use crate::ids::{ClientToken, ContactId, InstanceName, UserId};
use crate::interlock::{ClearedLeg, ContactSeen};
use crate::supervision::Mode;

/// Who goes first when an operation's rate budget is short: disconnects, then monitors, then polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Looking after what is there.
    Poll,
    /// Starting to listen.
    Monitor,
    /// Letting somebody leave.
    Disconnect,
}

/// One call's place in the rate budget. Proof that the adapter let it through; dropping it unused wastes the place.
#[derive(Debug)]
pub struct Admission(());

impl Admission {
    /// For adapters (and tests of flows): this call may be made now.
    pub fn granted() -> Self {
        Self(())
    }
}

/// A MonitorContact to be made.
#[derive(Debug, Clone)]
pub struct MonitorCall {
    /// Which Connect instance.
    pub instance: InstanceName,
    /// The contact to listen to.
    pub contact: ContactId,
    /// The supervisor.
    pub user: UserId,
    /// What they may do at most.
    pub allowed: Mode,
    /// The same for every attempt.
    pub client_token: ClientToken,
}

/// One contact a user has now (GetCurrentUserData).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserContact {
    /// Whose.
    pub user: String,
    /// Its id.
    pub contact: String,
    /// Upper case.
    pub initiation_method: String,
    /// Upper case, such as `CONNECTED` or `ENDED`.
    pub state: String,
}

/// What may be done about a vendor's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same call may succeed later.
    Retry,
    /// … but not before this.
    RetryAfter(Duration),
    /// It will fail again.
    Never,
}

/// A vendor call that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation}: {code}: {message}")]
pub struct VendorError {
    /// The operation, in the vendor's words.
    pub operation: &'static str,
    /// A stable word of ours.
    pub code: &'static str,
    /// What to tell people; the vendor's message where it is safe to repeat.
    pub message: String,
    /// What may be done.
    pub verdict: Verdict,
    /// Whether the call may have reached the vendor all the same: its effect is unknown.
    pub may_have_happened: bool,
}

impl VendorError {
    /// Code of an error that says the contact (or user, or instance) is not there.
    pub const NOT_FOUND: &'static str = "connect_resource_not_found";
    /// Code of a refusal by our own rate budget: too many calls wait already.
    pub const BUDGET_FULL: &'static str = "connect_budget_limit_reached";

    /// Whether trying again is of use.
    pub fn is_retryable(&self) -> bool {
        self.verdict != Verdict::Never
    }
}

/// A `Date` header of an answer: a sample of the vendor's API front end's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateSeen {
    /// Which instance's endpoint.
    pub instance: InstanceName,
    /// Our clock, right before the request was sent.
    pub sent_at: jiff::Timestamp,
    /// Our clock, right after the answer's head came.
    pub received_at: jiff::Timestamp,
    /// The header: whole seconds.
    pub date: jiff::Timestamp,
}

/// Where an adapter hands in the `Date` of every answer it gets. Must not block.
pub type DateSink = std::sync::Arc<dyn Fn(DateSeen) + Send + Sync>;

/// Amazon Connect. Every method makes **one** attempt, within the rate budget of its operation.
#[async_trait]
pub trait Telephony: Send + Sync {
    /// A place for a MonitorContact if there is one at this moment, without waiting.
    fn try_admit_monitor(&self, instance: &InstanceName) -> Option<Admission>;

    /// Waits for a place for a MonitorContact; at most `patience`.
    ///
    /// # Errors
    /// [`VendorError::BUDGET_FULL`] when too many wait, or none came in time.
    async fn admit_monitor(&self, instance: &InstanceName, patience: Duration) -> Result<Admission, VendorError>;

    /// MonitorContact: the leg's contact id, as the vendor spelt it.
    ///
    /// # Errors
    /// The vendor's, with its verdict.
    async fn monitor(&self, call: &MonitorCall, admission: Admission) -> Result<String, VendorError>;

    /// DescribeContact of any contact id, a leg's or a customer's: reading harms nobody.
    ///
    /// # Errors
    /// The vendor's; [`VendorError::NOT_FOUND`] when there is no such contact.
    async fn describe(&self, instance: &InstanceName, id: &str, priority: Priority)
    -> Result<ContactSeen, VendorError>;

    /// StopContact on a leg the interlock cleared. Success is only "accepted".
    ///
    /// # Errors
    /// The vendor's. `connect_contact_not_found` (410) means that there is nothing left to end.
    async fn end_leg(&self, instance: &InstanceName, leg: &ClearedLeg) -> Result<(), VendorError>;

    /// GetCurrentUserData: what contacts these users (at most 100) have now.
    ///
    /// # Errors
    /// The vendor's.
    async fn current_contacts(
        &self,
        instance: &InstanceName,
        users: &[UserId],
        priority: Priority,
    ) -> Result<Vec<UserContact>, VendorError>;

    /// One small exchange with the instance's endpoint for its `Date`. It calls no operation, so it takes no place in our
    /// rate budget.
    ///
    /// # Errors
    /// When no answer came, or one without a `Date`.
    async fn ask_date(&self, instance: &InstanceName) -> Result<DateSeen, VendorError>;

    /// SearchUsers: the users whose name is this one, whatever its case.
    ///
    /// # Errors
    /// The vendor's.
    async fn users_named(&self, instance: &InstanceName, name: &str) -> Result<Vec<UserId>, VendorError>;
}
