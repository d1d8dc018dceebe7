//! Configuration: a TOML file, every value of which an environment variable may override
//! (`SIDEDOOR__SECTION__KEY`). Everything wrong is reported at once, each with the setting's name and a remedy; a secret
//! never stands in a message or a debug print.
//!
//! `docs/configuration.md` has every setting; a test compares it with [`reader::Reader`]'s list of what was asked for.

mod auth;
mod compliance;
mod connect;
mod issuers;
mod reader;
mod salesforce;
mod sections;
mod timing;

use std::fmt;
use std::path::Path;

pub use auth::{ApiKeyConfig, AuthConfig};
pub use connect::{ConnectConfig, InstanceConfig, LegEndConfig, QuotaConfig, Rate};
pub use issuers::{IssuerConfig, IssuerKeysConfig};
pub use reader::Reader;
pub use salesforce::{FieldNames, Grant, SalesforceConfig};
pub use sections::{
    ClockConfig, HttpConfig, LogFormat, RateConfig, RetentionConfig, StoreConfig, SupervisionConfig, TelemetryConfig,
};
use sidedoor_domain::rejoin::Policy;
pub use timing::{CuttingConfig, TimingConfig, VendorTimingConfig};

/// What is wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Its dotted name, and the environment variable it came from if it did.
    pub setting: String,
    /// What is wrong. Never quotes a secret.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration has {} problem(s):", self.0.len())?;
        for e in &self.0 {
            writeln!(f, "  {}: {}\n      → {}", e.setting, e.problem, e.remedy)?;
        }
        Ok(())
    }
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The front door.
    pub http: HttpConfig,
    /// The store.
    pub store: StoreConfig,
    /// Amazon Connect.
    pub connect: ConnectConfig,
    /// Salesforce; `None` when delivery is switched off.
    pub salesforce: Option<SalesforceConfig>,
    /// Who may call.
    pub auth: AuthConfig,
    /// The supervisions' times.
    pub supervision: SupervisionConfig,
    /// Our own clock.
    pub clock: ClockConfig,
    /// The vendors' clocks.
    pub timing: TimingConfig,
    /// What each jurisdiction asks of supervision.
    pub compliance: Policy,
    /// How long things are kept.
    pub retention: RetentionConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// Reads the file at `path` (if any) with the overrides of `env`.
    ///
    /// # Errors
    /// Every problem there is, at once.
    pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigErrors> {
        Self::take(Reader::open(path, env)?)
    }

    /// Reads `text` as the file's, with the overrides of `env`.
    ///
    /// # Errors
    /// Every problem there is, at once.
    pub fn parse(text: &str, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigErrors> {
        Self::take(Reader::of_text(text, env)?)
    }

    fn take(mut reader: Reader) -> Result<Self, ConfigErrors> {
        let http = HttpConfig::read(&mut reader);
        let auth = AuthConfig::read(&mut reader);
        if auth.is_open() && !http.listen.ip().is_loopback() {
            reader.problem(
                "auth.api_keys",
                format!(
                    "no key and no issuer is configured, and http.listen = {} is not a loopback address",
                    http.listen
                ),
                "configure at least one [[auth.api_keys]] or [[auth.issuers]], or listen on 127.0.0.1",
            );
        }
        let connect = ConnectConfig::read(&mut reader);
        let salesforce = SalesforceConfig::read(&mut reader);
        let without_salesforce = salesforce.is_none() && reader.is_off("salesforce.enabled");
        issuers::check(&mut reader, &auth.issuers, &connect, without_salesforce);
        let config = Self {
            compliance: compliance::read(&mut reader, &connect),
            store: StoreConfig::read(&mut reader),
            connect,
            salesforce,
            supervision: SupervisionConfig::read(&mut reader),
            clock: ClockConfig::read(&mut reader),
            timing: TimingConfig::read(&mut reader),
            retention: RetentionConfig::read(&mut reader),
            telemetry: TelemetryConfig::read(&mut reader),
            http,
            auth,
        };
        reader.finish().map(|()| config)
    }
}

#[cfg(test)]
mod tests;
