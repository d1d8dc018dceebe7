//! An SDK client and the rate budgets for each configured instance.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_connect::Client;
use aws_sdk_connect::config::retry::RetryConfig;
use aws_sdk_connect::config::timeout::TimeoutConfig;
use aws_sdk_connect::config::{BehaviorVersion, Credentials, Region};
use secrecy::{ExposeSecret, SecretString};
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::{Clock, DateSink, Operation, Priority, VendorError};

use super::budget::Budget;
use super::dates::DateWatch;
use super::errors::{no_budget, unknown_instance};
use crate::config::{ConnectConfig, InstanceConfig, QuotaConfig};

/// The timeout for opening a connection to AWS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The rate budgets of one quota, by operation.
type Budgets = Arc<HashMap<Operation, Arc<Budget>>>;

/// The clients, ids and budgets for calls to one instance.
pub(super) struct InstanceClient {
    pub(super) connect: Client,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) instance_id: String,
    pub(super) endpoint: String,
    budgets: Budgets,
}

impl InstanceClient {
    pub(super) fn budget(&self, operation: Operation) -> Option<&Arc<Budget>> {
        self.budgets.get(&operation)
    }
}

/// Amazon Connect, with a client for each configured instance.
pub(crate) struct AmazonConnect {
    instances: HashMap<InstanceName, InstanceClient>,
    pub(super) http: reqwest::Client,
    pub(super) clock: Arc<dyn Clock>,
}

impl AmazonConnect {
    /// Prepares a client for each instance, without calling AWS. Instances that name the same quota share its budgets.
    /// `credentials` (access key id and secret) replace the SDK's default chain, for the fakes. The `Date` header of
    /// every answer goes to `dates`.
    ///
    /// # Errors
    /// If no TLS client can be created.
    pub(crate) async fn new(
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
        let mut instances = HashMap::new();
        for (name, instance) in &config.instances {
            // Configuration checks that the quota exists.
            let Some(budgets) = budgets.get(instance.quota.as_str()).cloned() else {
                continue;
            };
            let watch = DateWatch {
                instance: name.clone(),
                clock: clock.clone(),
                sink: dates.clone(),
            };
            let (connect, sts) = clients(instance, credentials.as_ref(), watch).await;
            let endpoint = instance.endpoint_url.clone();
            let client = InstanceClient {
                connect,
                sts,
                instance_id: instance.instance_id.clone(),
                endpoint: endpoint.unwrap_or_else(|| format!("https://connect.{}.amazonaws.com/", instance.region)),
                budgets,
            };
            instances.insert(name.clone(), client);
        }
        // No redirects, because a redirect would sample another host's clock. The redirect's own `Date` is as good as any.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { instances, http, clock })
    }

    /// The client of an instance, without waiting for the rate budget.
    pub(super) fn client(&self, instance: &InstanceName, operation: Operation) -> Result<&InstanceClient, VendorError> {
        self.instances.get(instance).ok_or_else(|| unknown_instance(operation))
    }

    /// The client of an instance, after a wait of at most `patience` for the operation's rate budget.
    pub(super) async fn client_in_turn(
        &self,
        instance: &InstanceName,
        operation: Operation,
        priority: Priority,
        patience: Duration,
    ) -> Result<&InstanceClient, VendorError> {
        let client = self.client(instance, operation)?;
        if let Some(budget) = client.budget(operation) {
            budget
                .take(priority, patience)
                .await
                .map_err(|e| no_budget(operation, e))?;
        }
        Ok(client)
    }
}

fn budgets_of(quota: &QuotaConfig) -> Budgets {
    let budget = |operation: Operation| (operation, Budget::new(quota.rate(operation), quota.queue));
    Arc::new(Operation::BUDGETED.into_iter().map(budget).collect())
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
