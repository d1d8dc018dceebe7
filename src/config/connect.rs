//! `[connect]`: the instances, and the rate budgets they share.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Reader;
use sidedoor_domain::ids::InstanceName;

/// The operations Sidedoor calls; each may have a rate of its own.
pub(super) const OPERATIONS: [&str; 5] = [
    "MonitorContact",
    "StopContact",
    "DescribeContact",
    "GetCurrentUserData",
    "SearchUsers",
];

/// `[connect]`
#[derive(Debug, Clone)]
pub struct ConnectConfig {
    /// `[connect.instances.<name>]`
    pub instances: BTreeMap<InstanceName, InstanceConfig>,
    /// The one meant when a request names none.
    pub default_instance: Option<InstanceName>,
    /// `[connect.quotas.<name>]`; `default` is always there.
    pub quotas: BTreeMap<String, QuotaConfig>,
}

/// One Connect instance.
#[derive(Debug, Clone)]
pub struct InstanceConfig {
    /// Connect's id of it.
    pub instance_id: String,
    /// Its AWS Region.
    pub region: String,
    /// Another endpoint than AWS's own, for tests.
    pub endpoint_url: Option<String>,
    /// How voice legs end.
    pub voice_leg_end: LegEndConfig,
    /// How chat and task legs end.
    pub chat_leg_end: LegEndConfig,
    /// Which quota it draws on: quotas are per account and Region, so instances of one account and Region share one.
    pub quota: String,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// Whose rules hold for supervision in it, if a request names no jurisdiction.
    pub jurisdiction: Option<String>,
}

/// How a leg is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegEndConfig {
    /// By a directive to the supervisor's browser.
    Ccp,
    /// By StopContact behind the interlock, and the directive where that is refused.
    StopContactThenCcp,
}

/// A rate: so many a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls a second.
    pub per_second: f64,
    /// Calls at once after a pause.
    pub burst: u32,
}

impl Rate {
    /// Amazon Connect's published default for every operation without a figure of its own.
    pub const DEFAULT: Self = Self {
        per_second: 2.0,
        burst: 5,
    };
}

/// One quota: an account and Region.
#[derive(Debug, Clone)]
pub struct QuotaConfig {
    /// For operations without a rate of their own.
    pub default: Rate,
    /// By operation.
    pub operations: BTreeMap<&'static str, Rate>,
    /// Calls of an operation that may wait; more are told so at once.
    pub queue: usize,
}

impl QuotaConfig {
    /// The rate of an operation.
    pub fn rate(&self, operation: &str) -> Rate {
        self.operations.get(operation).copied().unwrap_or(self.default)
    }
}

impl ConnectConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let mut quotas: BTreeMap<String, QuotaConfig> = BTreeMap::new();
        for name in r.names("connect.quotas").into_iter().chain(["default".to_owned()]) {
            let quota = read_quota(r, &name);
            quotas.insert(name, quota);
        }
        let mut instances = BTreeMap::new();
        for name in r.names("connect.instances") {
            let setting = format!("connect.instances.{name}");
            let Ok(key) = InstanceName::parse(name.as_str()) else {
                r.problem(&setting, "is not a name", "use letters, digits, '.', '_' or '-'");
                continue;
            };
            if let Some(instance) = read_instance(r, &setting, &quotas) {
                instances.insert(key, instance);
            }
        }
        if r.names("connect.instances").is_empty() {
            let remedy = "add [connect.instances.main] with instance_id and region";
            r.problem("connect.instances", "names no Amazon Connect instance", remedy);
        }
        let named = r.text("connect.default_instance");
        let default_instance = match named {
            Some(name) => {
                let found = instances.keys().find(|key| key.as_str() == name).cloned();
                if found.is_none() {
                    r.problem(
                        "connect.default_instance",
                        "names no configured instance",
                        "name one of them",
                    );
                }
                found
            }
            None if instances.len() == 1 => instances.keys().next().cloned(),
            None => None,
        };
        Self {
            instances,
            default_instance,
            quotas,
        }
    }
}

fn read_instance(r: &mut Reader, at: &str, quotas: &BTreeMap<String, QuotaConfig>) -> Option<InstanceConfig> {
    let ways = [
        ("ccp", LegEndConfig::Ccp),
        ("stop_contact_then_ccp", LegEndConfig::StopContactThenCcp),
    ];
    let instance_id = r.required(
        &format!("{at}.instance_id"),
        "copy it from the end of the instance's ARN",
        |text| {
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if plain && (1..=100).contains(&text.len()) {
                Ok(text.to_owned())
            } else {
                Err("copy it from the end of the instance's ARN".into())
            }
        },
    );
    let region = r.required(
        &format!("{at}.region"),
        "name the instance's Region, such as us-west-2",
        |text| {
            let shaped = text.split('-').count() >= 3
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if shaped {
                Ok(text.to_owned())
            } else {
                Err("name a Region, such as us-west-2".into())
            }
        },
    );
    let endpoint_url = r.text_as(&format!("{at}.endpoint_url"), base_url);
    let quota = r.text_as(&format!("{at}.quota"), |name| {
        if quotas.contains_key(name) {
            Ok(name.to_owned())
        } else {
            Err(format!("add [connect.quotas.{name}], or leave it out"))
        }
    });
    let voice_leg_end = r.word(&format!("{at}.voice_leg_end"), &ways, LegEndConfig::Ccp);
    let chat_leg_end = r.word(&format!("{at}.chat_leg_end"), &ways, LegEndConfig::StopContactThenCcp);
    let call_timeout = r.millis(&format!("{at}.call_timeout_ms"), 3000, 100, 30_000);
    let jurisdiction = r.text(&format!("{at}.jurisdiction"));
    Some(InstanceConfig {
        instance_id: instance_id?,
        region: region?,
        endpoint_url,
        voice_leg_end,
        chat_leg_end,
        quota: quota.unwrap_or_else(|| "default".into()),
        call_timeout,
        jurisdiction,
    })
}

fn read_quota(r: &mut Reader, name: &str) -> QuotaConfig {
    let at = format!("connect.quotas.{name}");
    let default = read_rate(r, &format!("{at}.default"), Rate::DEFAULT);
    let mut operations = BTreeMap::new();
    for key in r.names(&at) {
        // The environment's names come in lower case.
        if let Some(operation) = OPERATIONS.into_iter().find(|op| op.eq_ignore_ascii_case(&key)) {
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

/// A URL that is https, or http to this very machine; without credentials in it. As it was given: a path with a slash at its end
/// is another than one without.
pub(super) fn safe_url(text: &str) -> Result<String, String> {
    let remedy = "write an https URL with a host and without credentials (http only to a loopback address)";
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

/// The same, of one that paths are put behind: without the slash at its end.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    safe_url(text).map(|url| url.trim_end_matches('/').to_owned())
}
