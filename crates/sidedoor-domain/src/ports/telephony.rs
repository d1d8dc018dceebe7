//! The port to Amazon Connect.

use std::time::Duration;

use async_trait::async_trait;

use crate::codes::stable_codes;
use crate::ids::{ClientToken, ContactId, InstanceName, RegionName, UserId};
use crate::interlock::{ClearedLeg, ContactSeen};
use crate::ports::VendorError;
use crate::ports::associated_contacts::AssociatedContacts;
use crate::ports::user_data::{Directory, UserDataSeen};
use crate::supervision::Mode;

stable_codes! {
    /// What Sidedoor asks Amazon Connect and AWS for, by the vendor's names.
    pub enum Operation {
        /// Lets a supervisor join a contact.
        MonitorContact = "MonitorContact",
        /// Ends a leg that the interlock cleared.
        StopContact = "StopContact",
        /// Describes a contact or a leg.
        DescribeContact = "DescribeContact",
        /// Lists the current contacts of users.
        GetCurrentUserData = "GetCurrentUserData",
        /// Finds contacts by user, kind and time.
        SearchContacts = "SearchContacts",
        /// Finds a user by name.
        SearchUsers = "SearchUsers",
        /// Describes a user by id.
        DescribeUser = "DescribeUser",
        /// Describes a queue by id.
        DescribeQueue = "DescribeQueue",
        /// Lists the contacts of a contact's tree.
        ListAssociatedContacts = "ListAssociatedContacts",
        /// Names the owner of the credentials (AWS STS); only `sidedoor check` uses it.
        GetCallerIdentity = "GetCallerIdentity",
        /// Describes the instance; only `sidedoor check` uses it.
        DescribeInstance = "DescribeInstance",
        /// Reads a capability of the instance; only `sidedoor check` uses it.
        DescribeInstanceAttribute = "DescribeInstanceAttribute",
        /// Lists security profiles. Sidedoor does not need it: `sidedoor check` expects it to be denied.
        ListSecurityProfiles = "ListSecurityProfiles",
        /// An HTTP request for the endpoint's `Date` header. It is no operation of Connect.
        Date = "Date",
    }
}

impl Operation {
    /// The operations that the service calls. Each has its own rate budget.
    pub const BUDGETED: [Self; 9] = [
        Self::MonitorContact,
        Self::StopContact,
        Self::DescribeContact,
        Self::GetCurrentUserData,
        Self::SearchContacts,
        Self::SearchUsers,
        Self::DescribeUser,
        Self::DescribeQueue,
        Self::ListAssociatedContacts,
    ];
}

/// The class of a call, and of the job that makes it. A higher class goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Legs that no supervision has.
    UnknownLeg,
    /// Polls of idle supervisions.
    IdlePoll,
    /// Checks after a departure.
    AfterCheck,
    /// Joins.
    Join,
    /// Leaves, checks before them, and claims that a leg has ended.
    Claim,
}

impl Priority {
    /// Every class, lowest first.
    pub const ALL: [Self; 5] = [
        Self::UnknownLeg,
        Self::IdlePoll,
        Self::AfterCheck,
        Self::Join,
        Self::Claim,
    ];

    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownLeg => "UNKNOWN_LEG",
            Self::IdlePoll => "IDLE_POLL",
            Self::AfterCheck => "AFTER_CHECK",
            Self::Join => "JOIN",
            Self::Claim => "CLAIM",
        }
    }

    /// The class with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// Where a call goes: an instance, in one of its Regions. A replicated instance (Amazon Connect Global Resiliency) has the same id in two
/// Regions, each with its own API and its own rate budget.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The Connect instance.
    pub instance: InstanceName,
    /// The Region; `None` is the instance's first one, and so is a Region that is not configured.
    pub region: Option<RegionName>,
}

impl From<&InstanceName> for Endpoint {
    fn from(instance: &InstanceName) -> Self {
        Self {
            instance: instance.clone(),
            region: None,
        }
    }
}

/// Permission for one MonitorContact within the rate budget. Dropping it unused wastes one call of the budget.
#[derive(Debug)]
pub struct Admission(());

impl Admission {
    /// Grants the permission. Only adapters (and test doubles of them) call this.
    pub fn granted() -> Self {
        Self(())
    }
}

/// A MonitorContact request.
#[derive(Debug, Clone)]
pub struct MonitorCall {
    /// Where the call goes.
    pub endpoint: Endpoint,
    /// The contact to monitor.
    pub contact: ContactId,
    /// The supervisor's user.
    pub user: UserId,
    /// The most that the supervisor may do.
    pub allowed: Mode,
    /// The idempotency token: the same for every attempt, so that all attempts give one leg.
    pub client_token: ClientToken,
}

/// What SearchContacts found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegsFound {
    /// The ids of the legs.
    pub legs: Vec<String>,
    /// Whether every page was read.
    pub is_complete: bool,
}

/// A leg that has ended, as SearchContacts lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedLeg {
    /// The leg's id.
    pub leg: String,
    /// When it ended, by the vendor's clock.
    pub disconnected_at: jiff::Timestamp,
}

/// The legs that ended in a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndedLegs {
    /// The legs; the first to end comes first.
    pub legs: Vec<EndedLeg>,
    /// Whether every page was read. Otherwise later legs are missing.
    pub is_complete: bool,
}

impl LegsFound {
    /// The most pages that are read, because the quota of SearchContacts is small.
    pub const MAX_PAGES: usize = 5;
}

/// The `Date` header of an answer: a sample of the clock of the vendor's API front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateSeen {
    /// The instance whose endpoint answered.
    pub instance: InstanceName,
    /// Our clock right before the request was sent.
    pub sent_at: jiff::Timestamp,
    /// Our clock right after the head of the answer arrived.
    pub received_at: jiff::Timestamp,
    /// The header's time, in whole seconds.
    pub date: jiff::Timestamp,
}

/// Receives the `Date` of every answer that an adapter gets. Must not block.
pub type DateSink = std::sync::Arc<dyn Fn(DateSeen) + Send + Sync>;

/// Amazon Connect. Every method makes **one** attempt, within the rate budget of its operation.
#[async_trait]
pub trait Telephony: Send + Sync {
    /// Takes a MonitorContact from the rate budget, if that is possible without waiting.
    fn try_admit_monitor(&self, endpoint: &Endpoint) -> Option<Admission>;

    /// Waits at most `patience` for a MonitorContact from the rate budget.
    ///
    /// # Errors
    /// [`crate::ports::VendorErrorCode::BudgetLimitReached`] if the queue is full or `patience` is over.
    async fn admit_monitor(&self, endpoint: &Endpoint, patience: Duration) -> Result<Admission, VendorError>;

    /// Calls MonitorContact. Returns the leg's contact id in the vendor's spelling.
    ///
    /// # Errors
    /// The vendor's, with its verdict.
    async fn monitor(&self, call: &MonitorCall, admission: Admission) -> Result<String, VendorError>;

    /// Calls DescribeContact. `id` may be a leg's or a customer's contact, because reading changes nothing.
    ///
    /// # Errors
    /// The vendor's; [`crate::ports::VendorErrorCode::ResourceNotFound`] if there is no such contact.
    async fn describe(&self, endpoint: &Endpoint, id: &str, priority: Priority) -> Result<ContactSeen, VendorError>;

    /// Calls StopContact for a leg that the interlock cleared. Success means only that Connect accepted the request.
    ///
    /// # Errors
    /// The vendor's. [`crate::ports::VendorErrorCode::ContactNotFound`] means that the leg has already ended.
    async fn end_leg(&self, endpoint: &Endpoint, leg: &ClearedLeg) -> Result<(), VendorError>;

    /// How many calls of an operation the rate budget allows now without waiting, for calls of this class.
    fn free_calls(&self, endpoint: &Endpoint, operation: Operation, priority: Priority) -> usize;

    /// Calls GetCurrentUserData for at most 100 users.
    ///
    /// # Errors
    /// The vendor's.
    async fn current_contacts(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError>;

    /// Calls GetCurrentUserData for the users with at most 100 routing profiles who are signed in: at most
    /// [`UserDataSeen::MAX_PAGES`] pages of 100, each a call of its own within the rate budget.
    ///
    /// # Errors
    /// The vendor's.
    async fn current_contacts_of_profiles(
        &self,
        endpoint: &Endpoint,
        profiles: &[String],
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError>;

    /// Calls SearchUsers for all users of an instance: at most [`Directory::MAX_PAGES`] pages of 500, each a call of its own within
    /// the rate budget.
    ///
    /// # Errors
    /// The vendor's.
    async fn directory(&self, instance: &InstanceName) -> Result<Directory, VendorError>;

    /// Calls SearchContacts for the MONITOR contacts of at most 100 users that were initiated between two moments: at most
    /// [`LegsFound::MAX_PAGES`] pages of 100, each a call of its own within the rate budget.
    ///
    /// # Errors
    /// The vendor's.
    async fn legs_begun(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        (from, until): (jiff::Timestamp, jiff::Timestamp),
        priority: Priority,
    ) -> Result<LegsFound, VendorError>;

    /// Calls SearchContacts for the MONITOR contacts of anyone that ended between two moments of the vendor's clock, both included: at most
    /// [`LegsFound::MAX_PAGES`] pages of 100, each a call of its own within the rate budget.
    ///
    /// # Errors
    /// The vendor's.
    async fn legs_ended(
        &self,
        endpoint: &Endpoint,
        range: (jiff::Timestamp, jiff::Timestamp),
        priority: Priority,
    ) -> Result<EndedLegs, VendorError>;

    /// Requests the `Date` of the instance's endpoint. This is no operation of Connect, so it does not count against the
    /// rate budget.
    ///
    /// # Errors
    /// [`crate::ports::VendorErrorCode::DateUnavailable`] if no answer came, or one without a `Date`.
    async fn ask_date(&self, instance: &InstanceName) -> Result<DateSeen, VendorError>;

    /// Calls SearchUsers. Returns the users with this name; case is ignored.
    ///
    /// # Errors
    /// The vendor's.
    async fn users_named(&self, instance: &InstanceName, name: &str) -> Result<Vec<UserId>, VendorError>;

    /// Calls DescribeUser. Returns the user's name, or `None` if there is no user with this id.
    ///
    /// # Errors
    /// The vendor's.
    async fn username_of(&self, instance: &InstanceName, user: &UserId) -> Result<Option<String>, VendorError>;

    /// Calls DescribeQueue. Returns the queue's name, or `None` if there is no queue with this id.
    ///
    /// # Errors
    /// The vendor's.
    async fn queue_name(&self, instance: &InstanceName, queue: &str) -> Result<Option<String>, VendorError>;

    /// Calls ListAssociatedContacts: the contacts of the tree of this contact or leg, which is one of them. At most
    /// [`AssociatedContacts::MAX_PAGES`] pages of 100.
    ///
    /// # Errors
    /// The vendor's.
    async fn associated_contacts(&self, endpoint: &Endpoint, id: &str) -> Result<AssociatedContacts, VendorError>;
}
