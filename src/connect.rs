//! Amazon Connect behind [`sidedoor_domain::ports::Telephony`]: the only room that knows `aws_*`.
//!
//! | file | story |
//! |---|---|
//! | [`calls`] | one attempt of each operation |
//! | [`dates`] | the `Date` of every answer |
//! | [`describe`] | a DescribeContact answer, in our words |
//! | [`survey`] | what `sidedoor check` asks |
//! | [`errors`] | every error: a stable code and a verdict |
//! | [`budget`] | the rate budget: disconnects before monitors before polls |
//!
//! Credentials come from the SDK's ordinary chain. The SDK's own retries are off: the flows retry, and the budget counts
//! every call there is.

mod budget;
mod calls;
mod dates;
mod describe;
mod errors;
mod survey;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_connect::Client;
use aws_sdk_connect::config::retry::RetryConfig;
use aws_sdk_connect::config::timeout::TimeoutConfig;
use aws_sdk_connect::config::{BehaviorVersion, Credentials, Region};
use secrecy::{ExposeSecret, SecretString};

pub use errors::told;

use self::budget::Budget;
use self::dates::DateWatch;
pub use self::survey::{Attribute, Identity, InstanceSeen, LegDescription};
use crate::config::{ConnectConfig, InstanceConfig, QuotaConfig};
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::{Clock, DateSink};

/// How long a connection to AWS may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The operations we call.
const OPERATIONS: [&str; 5] = [
    calls::MONITOR_CONTACT,
    calls::STOP_CONTACT,
    calls::DESCRIBE_CONTACT,
    calls::GET_CURRENT_USER_DATA,
    calls::SEARCH_USERS,
];

/// The budgets of one quota, by operation.
type Budgets = Arc<HashMap<&'static str, Arc<Budget>>>;

/// One instance, ready to be called.
struct Line {
    client: Client,
    sts: aws_sdk_sts::Client,
    instance_id: String,
    budgets: Budgets,
    endpoint: String,
}

/// Amazon Connect.
pub struct AmazonConnect {
    lines: HashMap<InstanceName, Line>,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl AmazonConnect {
    /// Prepares a client for each instance; instances that name one quota share its budgets. Makes no call.
    /// `credentials` (access key id and secret) stand for the ordinary chain's, for the fakes. The `Date` of every answer
    /// goes to `dates`.
    ///
    /// # Errors
    /// When no TLS client can be made.
    pub async fn new(
        config: &ConnectConfig,
        credentials: Option<(String, SecretString)>,
        clock: Arc<dyn Clock>,
        dates: DateSink,
    ) -> Result<Self, reqwest::Error> {
        let budgets: HashMap<&str, Budgets> = config
            .quotas
            .iter()
            .map(|(name, quota)| (name.as_str(), budgets_of(quota)))
            .collect();
        let mut lines = HashMap::new();
        for (name, instance) in &config.instances {
            // The configuration has refused instances that name a quota it does not have.
            let Some(budgets) = budgets.get(instance.quota.as_str()).cloned() else {
                continue;
            };
            let watch = DateWatch {
                instance: name.clone(),
                clock: clock.clone(),
                sink: dates.clone(),
            };
            let (client, sts) = clients(instance, credentials.as_ref(), watch).await;
            let endpoint = instance.endpoint_url.clone();
            lines.insert(
                name.clone(),
                Line {
                    client,
                    sts,
                    instance_id: instance.instance_id.clone(),
                    budgets,
                    endpoint: endpoint.unwrap_or_else(|| format!("https://connect.{}.amazonaws.com/", instance.region)),
                },
            );
        }
        // A redirect would have another host's clock taken for this one's; its own `Date` serves as any answer's does.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { lines, http, clock })
    }
}

fn budgets_of(quota: &QuotaConfig) -> Budgets {
    let budget = |operation: &&'static str| (*operation, Budget::new(quota.rate(operation), quota.queue));
    Arc::new(OPERATIONS.iter().map(budget).collect())
}

async fn clients(
    instance: &InstanceConfig,
    credentials: Option<&(String, SecretString)>,
    watch: DateWatch,
) -> (Client, aws_sdk_sts::Client) {
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
    let shared = loader.load().await;
    let config = aws_sdk_connect::config::Builder::from(&shared)
        .interceptor(watch)
        .build();
    (Client::from_conf(config), aws_sdk_sts::Client::new(&shared))
}
