//! Amazon Connect behind [`crate::ports::Telephony`]: the only room that knows `aws_*`.
//!
//! | file | story |
//! |---|---|
//! | [`calls`] | one attempt of each operation |
//! | [`describe`] | a DescribeContact answer, in our words |
//! | [`errors`] | every error: a stable code and a verdict |
//! | [`budget`] | the rate budget: disconnects before monitors before polls |
//!
//! Credentials come from the SDK's ordinary chain. The SDK's own retries are off: the flows retry, and the budget counts
//! every call there is.

mod budget;
mod calls;
mod describe;
mod errors;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_connect::Client;
use aws_sdk_connect::config::retry::RetryConfig;
use aws_sdk_connect::config::timeout::TimeoutConfig;
use aws_sdk_connect::config::{BehaviorVersion, Credentials, Region};
use secrecy::{ExposeSecret, SecretString};

use self::budget::Budget;
use crate::domain::ids::InstanceName;

/// How long a connection to AWS may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What the adapter needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The instances, by our name.
    pub instances: BTreeMap<InstanceName, InstanceSettings>,
    /// Other credentials than the ordinary chain's, for the fakes: access key id and secret.
    pub credentials: Option<(String, SecretString)>,
}

/// One instance.
#[derive(Debug, Clone)]
pub struct InstanceSettings {
    /// Connect's id of it.
    pub instance_id: String,
    /// Its AWS Region.
    pub region: String,
    /// Another endpoint than AWS's own.
    pub endpoint_url: Option<String>,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// The quota's name: instances that share one name share one budget.
    pub quota_name: String,
    /// Its rates.
    pub quota: Quota,
}

/// The rates of one account and Region.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Of operations without one of their own.
    pub default: Rate,
    /// By operation.
    pub operations: BTreeMap<&'static str, Rate>,
    /// Calls of an operation that may wait.
    pub queue: usize,
}

/// So many calls a second, so many at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls a second.
    pub per_second: f64,
    /// Calls at once after a pause.
    pub burst: u32,
}

/// The operations we call.
const OPERATIONS: [&str; 4] = [
    calls::MONITOR_CONTACT,
    calls::STOP_CONTACT,
    calls::DESCRIBE_CONTACT,
    calls::GET_CURRENT_USER_DATA,
];

/// The budgets of one quota, by operation.
type Budgets = Arc<HashMap<&'static str, Arc<Budget>>>;

/// One instance, ready to be called.
struct Line {
    client: Client,
    instance_id: String,
    budgets: Budgets,
}

/// Amazon Connect.
pub struct AmazonConnect {
    lines: HashMap<InstanceName, Line>,
}

impl AmazonConnect {
    /// Prepares a client for each instance. Makes no call.
    pub async fn new(settings: Settings) -> Self {
        let mut budgets: HashMap<String, Budgets> = HashMap::new();
        let mut lines = HashMap::new();
        for (name, instance) in settings.instances {
            let client = client(&instance, settings.credentials.as_ref()).await;
            let shared = budgets
                .entry(instance.quota_name.clone())
                .or_insert_with(|| budgets_of(&instance.quota));
            let line = Line {
                client,
                instance_id: instance.instance_id,
                budgets: shared.clone(),
            };
            lines.insert(name, line);
        }
        Self { lines }
    }
}

fn budgets_of(quota: &Quota) -> Budgets {
    let budget = |operation: &&'static str| {
        let rate = quota.operations.get(*operation).copied().unwrap_or(quota.default);
        (*operation, Budget::new(rate, quota.queue))
    };
    Arc::new(OPERATIONS.iter().map(budget).collect())
}

async fn client(instance: &InstanceSettings, credentials: Option<&(String, SecretString)>) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(instance.call_timeout)
        .operation_timeout(instance.call_timeout)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(instance.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some((id, secret)) = credentials {
        let fixed = Credentials::new(id, secret.expose_secret(), None, None, "sidedoor");
        loader = loader.credentials_provider(fixed);
    }
    if let Some(url) = &instance.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    Client::new(&loader.load().await)
}
