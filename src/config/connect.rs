//! `[connect]`: the Amazon Connect instances and the rate quotas they share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sidedoor_domain::ids::{InstanceName, RegionName};
use sidedoor_domain::ports::Operation;

use super::Reader;
use crate::usecases::{InstanceSettings, LegEndMethod};

/// `[connect]`
#[derive(Debug, Clone)]
pub struct ConnectConfig {
    /// `[connect.instances.<name>]`
    pub instances: BTreeMap<InstanceName, InstanceConfig>,
    /// The instance of a request that names none. `None` if there are several and none is set.
    pub default_instance: Option<InstanceName>,
    /// `[connect.quotas.<name>]`; `default` is always there.
    pub quotas: BTreeMap<String, QuotaConfig>,
}

/// One Connect instance.
#[derive(Debug, Clone)]
pub struct InstanceConfig {
    /// The instance's id: the last part of its ARN.
    pub instance_id: String,
    /// The instance's AWS Region.
    pub region: RegionName,
    /// An endpoint that replaces AWS's own, for tests.
    pub endpoint_url: Option<String>,
    /// The other Region of a replicated instance.
    pub replica: Option<ReplicaConfig>,
    /// The name of the quota that calls count against. AWS sets quotas per account and Region, so instances of one
    /// account and Region share one.
    pub quota: String,
    /// The timeout of one call.
    pub call_timeout: Duration,
}

/// The replica of an instance.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    /// Its Region.
    pub region: RegionName,
    /// An endpoint that replaces AWS's own, for tests.
    pub endpoint_url: Option<String>,
}

/// `[connect]`, as its two readers need it.
pub(super) struct ConnectSection {
    /// What the adapter needs.
    pub(super) config: ConnectConfig,
    /// What the use cases need of each instance.
    pub(super) instances: BTreeMap<InstanceName, InstanceSettings>,
}

/// A rate limit with a burst.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls per second.
    pub per_second: f64,
    /// Calls that may be made at the same moment after a pause.
    pub burst: u32,
}

impl Rate {
    /// Amazon Connect's published default, for every operation that has no published rate of its own.
    pub const DEFAULT: Self = Self {
        per_second: 2.0,
        burst: 5,
    };
}

/// The API quota of one AWS account and Region.
#[derive(Debug, Clone)]
pub struct QuotaConfig {
    /// The rate of operations that are not in `operations`.
    pub default: Rate,
    /// The rates that are set by operation.
    pub operations: BTreeMap<Operation, Rate>,
    /// How many calls of an operation may wait. Further calls fail at once.
    pub queue: usize,
}

impl QuotaConfig {
    /// The rate of `operation`, or the quota's default.
    pub fn rate(&self, operation: Operation) -> Rate {
        self.operations.get(&operation).copied().unwrap_or(self.default)
    }
}

impl ConnectSection {
    pub(super) fn read(r: &mut Reader) -> Self {
        let mut quotas: BTreeMap<String, QuotaConfig> = BTreeMap::new();
        let quota_names: BTreeSet<String> = r
            .names("connect.quotas")
            .into_iter()
            .chain(["default".to_owned()])
            .collect();
        for name in quota_names {
            let quota = read_quota(r, &name);
            quotas.insert(name, quota);
        }
        let (mut clients, mut instances) = (BTreeMap::new(), BTreeMap::new());
        let configured = r.names("connect.instances");
        for name in &configured {
            let setting = format!("connect.instances.{name}");
            let Ok(key) = InstanceName::parse(name.as_str()) else {
                r.problem(
                    &setting,
                    "invalid instance name",
                    "rename it: use letters, digits, '.', '_' or '-'",
                );
                r.pass_over(&setting);
                continue;
            };
            if let Some((client, instance)) = read_instance(r, &setting, &quotas) {
                clients.insert(key.clone(), client);
                instances.insert(key, instance);
            }
        }
        if configured.is_empty() {
            let remedy = "add [connect.instances.main] with instance_id and region";
            r.problem("connect.instances", "no Amazon Connect instance is configured", remedy);
        }
        let default_instance = match r.text("connect.default_instance") {
            Some(name) => {
                // An instance with an invalid setting has its own problem already, so this setting is not reported.
                if !configured.contains(&name) {
                    r.problem(
                        "connect.default_instance",
                        format!("no instance {name:?} is configured"),
                        format!("set one of {}", configured.join(", ")),
                    );
                }
                clients.keys().find(|key| key.as_str() == name).cloned()
            }
            None if clients.len() == 1 => clients.keys().next().cloned(),
            None => None,
        };
        let config = ConnectConfig {
            instances: clients,
            default_instance,
            quotas,
        };
        Self { config, instances }
    }
}

fn read_instance(
    r: &mut Reader,
    at: &str,
    quotas: &BTreeMap<String, QuotaConfig>,
) -> Option<(InstanceConfig, InstanceSettings)> {
    let ways = [
        ("ccp", LegEndMethod::Ccp),
        ("stop_contact_then_ccp", LegEndMethod::StopContactThenCcp),
    ];
    let instance_id = r.required(
        &format!("{at}.instance_id"),
        "set the instance id: the last part of the instance's ARN",
        |text| {
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if plain && (1..=100).contains(&text.len()) {
                Ok(text.to_owned())
            } else {
                Err("copy the instance id from the end of the instance's ARN".into())
            }
        },
    );
    let region = r.required(
        &format!("{at}.region"),
        "set the instance's Region, such as us-west-2",
        region_name,
    );
    let replica = read_replica(r, at, region.as_ref());
    let account_id = r.text_as(&format!("{at}.account_id"), |text| {
        let shaped = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        let remedy = "set the 12 digits of the AWS account, in quotes; `aws sts get-caller-identity` prints them";
        shaped.then(|| text.to_owned()).ok_or_else(|| remedy.to_owned())
    });
    let endpoint_url = r.text_as(&format!("{at}.endpoint_url"), base_url);
    let quota = r.text_as(&format!("{at}.quota"), |name| {
        if quotas.contains_key(name) {
            Ok(name.to_owned())
        } else {
            Err(format!("add [connect.quotas.{name}], or remove this setting"))
        }
    });
    let voice_leg_end = r.word(&format!("{at}.voice_leg_end"), &ways, LegEndMethod::Ccp);
    let chat_leg_end = r.word(&format!("{at}.chat_leg_end"), &ways, LegEndMethod::StopContactThenCcp);
    let call_timeout = r.millis(&format!("{at}.call_timeout_ms"), 3000, 100, 30_000);
    let jurisdiction = r.text(&format!("{at}.jurisdiction"));
    let (instance_id, region) = (instance_id?, region?);
    let instance = InstanceSettings {
        vendor_id: instance_id.clone(),
        account_id,
        region: region.clone(),
        replica_region: replica.as_ref().map(|replica| replica.region.clone()),
        voice_leg_end,
        chat_leg_end,
        jurisdiction,
    };
    let client = InstanceConfig {
        instance_id,
        region,
        endpoint_url,
        replica,
        quota: quota.unwrap_or_else(|| "default".into()),
        call_timeout,
    };
    Some((client, instance))
}

fn region_name(text: &str) -> Result<RegionName, String> {
    let shaped = text.split('-').count() >= 3
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let name = RegionName::parse(text).ok().filter(|_| shaped);
    name.ok_or_else(|| "set an AWS Region, such as us-west-2".into())
}

/// The other Region of a replicated instance, which must be another one.
fn read_replica(r: &mut Reader, at: &str, first: Option<&RegionName>) -> Option<ReplicaConfig> {
    let region = r.text_as(&format!("{at}.replica_region"), |text| {
        let region = region_name(text)?;
        if Some(&region) == first {
            return Err("set the Region of the instance's replica, which is not its first Region".into());
        }
        Ok(region)
    });
    let endpoint = format!("{at}.replica_endpoint_url");
    let is_set = r.text(&format!("{at}.replica_region")).is_some();
    let endpoint_url = r.text_as(&endpoint, |text| {
        if !is_set {
            return Err(format!("set {at}.replica_region, too, or remove this setting"));
        }
        base_url(text)
    });
    Some(ReplicaConfig {
        region: region?,
        endpoint_url,
    })
}

fn read_quota(r: &mut Reader, name: &str) -> QuotaConfig {
    let at = format!("connect.quotas.{name}");
    let default = read_rate(r, &format!("{at}.default"), Rate::DEFAULT);
    let mut operations = BTreeMap::new();
    for key in r.names(&at) {
        // Keys from the environment are in lower case.
        let mut budgeted = Operation::BUDGETED.into_iter();
        if let Some(operation) = budgeted.find(|op| op.as_str().eq_ignore_ascii_case(&key)) {
            operations.insert(operation, read_rate(r, &format!("{at}.{key}"), default));
        }
    }
    QuotaConfig {
        default,
        operations,
        queue: r.number(&format!("{at}.queue"), 256, 1, 100_000),
    }
}

fn read_rate(r: &mut Reader, at: &str, default: Rate) -> Rate {
    Rate {
        per_second: r.number(&format!("{at}.per_second"), default.per_second, 0.01, 10_000.0),
        burst: r.number(&format!("{at}.burst"), default.burst, 1, 10_000),
    }
}

/// Accepts an https URL, or an http URL to a loopback address, without credentials. Returns it unchanged, because a
/// server may treat a path with a slash at its end as another path.
pub(super) fn safe_url(text: &str) -> Result<String, String> {
    let remedy = "set an https URL with a host and without credentials (http only to a loopback address)";
    let url = url::Url::parse(text).map_err(|_| remedy.to_owned())?;
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return Err(remedy.to_owned()),
    };
    let safe = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if safe && url.username().is_empty() && url.password().is_none() {
        Ok(text.to_owned())
    } else {
        Err(remedy.to_owned())
    }
}

/// Accepts what [`safe_url`] does, and removes slashes at the end, because paths are appended to it.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    safe_url(text).map(|url| url.trim_end_matches('/').to_owned())
}
