//! An SDK client and the rate budgets for each configured instance.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_connect::Client;
use aws_sdk_connect::config::retry::RetryConfig;
use aws_sdk_connect::config::timeout::TimeoutConfig;
use aws_sdk_connect::config::{BehaviorVersion, Credentials, Region};
use secrecy::{ExposeSecret, SecretString};
use sidedoor_domain::ids::{InstanceName, RegionName};
use sidedoor_domain::ports::{Clock, DateSink, Endpoint, Operation, Priority, VendorError};

use super::budget::Budget;
use super::dates::DateWatch;
use super::errors::{no_budget, unknown_instance};
use crate::config::{ConnectConfig, InstanceConfig, QuotaConfig};

/// The timeout for opening a connection to AWS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The rate budgets of one quota, by operation.
type Budgets = Arc<HashMap<Operation, Arc<Budget>>>;

/// The clients, ids and budgets for calls to one instance in one Region.
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

/// An instance: its first Region, and the other one if it is replicated.
struct ReplicatedInstance {
    first: InstanceClient,
    replica: Option<(RegionName, InstanceClient)>,
}

/// Amazon Connect, with a client for each Region of each configured instance.
pub(crate) struct AmazonConnect {
    instances: HashMap<InstanceName, ReplicatedInstance>,
    pub(super) http: reqwest::Client,
    pub(super) clock: Arc<dyn Clock>,
}

impl AmazonConnect {
    /// Prepares the clients, without calling AWS. Instances that name the same quota share its budgets; AWS's quotas are per Region, so
    /// replicas have budgets of their own. `credentials` (access key id and secret) replace the SDK's default chain, for the fakes. The
    /// `Date` header of every answer goes to `dates`, except for those of replicas, because an instance has one clock series.
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
        let mut replica_budgets: HashMap<(&str, &RegionName), Budgets> = HashMap::new();
        let mut instances = HashMap::new();
        for (name, instance) in &config.instances {
            // Configuration checks that the quota exists.
            let (Some(first_budgets), Some(quota)) =
                (budgets.get(instance.quota.as_str()), config.quotas.get(&instance.quota))
            else {
                continue;
            };
            let watch = |sink| DateWatch {
                instance: name.clone(),
                clock: clock.clone(),
                sink,
            };
            let build = async |region: &RegionName, url: Option<&String>, watch: DateWatch, budgets: &Budgets| {
                let (connect, sts) = clients(instance, region, url, credentials.as_ref(), watch).await;
                InstanceClient {
                    connect,
                    sts,
                    instance_id: instance.instance_id.clone(),
                    endpoint: url.map_or_else(|| format!("https://connect.{region}.amazonaws.com/"), Clone::clone),
                    budgets: budgets.clone(),
                }
            };
            let url = instance.endpoint_url.as_ref();
            let first = build(&instance.region, url, watch(dates.clone()), first_budgets).await;
            let replica = match &instance.replica {
                Some(replica) => {
                    let key = (instance.quota.as_str(), &replica.region);
                    let budgets = replica_budgets.entry(key).or_insert_with(|| budgets_of(quota));
                    let unwatched = watch(Arc::new(|_| ()));
                    let client = build(&replica.region, replica.endpoint_url.as_ref(), unwatched, budgets).await;
                    Some((replica.region.clone(), client))
                }
                None => None,
            };
            instances.insert(name.clone(), ReplicatedInstance { first, replica });
        }
        // No redirects, because a redirect would sample another host's clock. The redirect's own `Date` is as good as any.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { instances, http, clock })
    }

    /// The client of an endpoint, without waiting for the rate budget.
    pub(super) fn client(&self, endpoint: &Endpoint, operation: Operation) -> Result<&InstanceClient, VendorError> {
        let instance = self.instances.get(&endpoint.instance);
        let instance = instance.ok_or_else(|| unknown_instance(operation))?;
        Ok(match (&endpoint.region, &instance.replica) {
            (Some(region), Some((replica, client))) if region == replica => client,
            _ => &instance.first,
        })
    }

    /// The client of an endpoint, after a wait of at most `patience` for the operation's rate budget.
    pub(super) async fn client_in_turn(
        &self,
        endpoint: &Endpoint,
        operation: Operation,
        priority: Priority,
        patience: Duration,
    ) -> Result<&InstanceClient, VendorError> {
        let client = self.client(endpoint, operation)?;
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
    region: &RegionName,
    endpoint_url: Option<&String>,
    credentials: Option<&(String, SecretString)>,
    watch: DateWatch,
) -> (Client, aws_sdk_sts::Client) {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(instance.call_timeout)
        .operation_timeout(instance.call_timeout)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_string()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some((id, secret)) = credentials {
        let fixed = Credentials::new(id, secret.expose_secret(), None, None, "sidedoor");
        loader = loader.credentials_provider(fixed);
    }
    if let Some(url) = endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let shared = loader.load().await;
    let config = aws_sdk_connect::config::Builder::from(&shared)
        .interceptor(watch)
        .build();
    (Client::from_conf(config), aws_sdk_sts::Client::new(&shared))
}
