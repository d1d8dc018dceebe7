//! Configuration: a TOML file whose values environment variables override (`SIDEDOOR__SECTION__KEY`). All problems are
//! reported together and each once, with the setting's name and a fix. No message and no debug print contains a secret.
//!
//! `docs/configuration.md` lists every setting; a test compares it with the settings that [`reader::Reader`] was asked
//! for.

mod audit;
mod auth;
mod compliance;
mod connect;
mod issuers;
mod reader;
mod salesforce;
mod secret_files;
mod sections;
mod timing;
mod transport;
mod usecases;

use std::fmt;
use std::path::Path;

pub use audit::AuditConfig;
pub use auth::AuthConfig;
pub use connect::{ConnectConfig, InstanceConfig, QuotaConfig, Rate};
pub use reader::Reader;
pub use salesforce::{FieldNames, Grant, SalesforceConfig, UserLookup};
pub use secret_files::SecretsConfig;
pub use sections::{HttpConfig, StoreConfig};
pub use transport::TransportConfig;

use self::connect::ConnectSection;
use self::salesforce::SalesforceSection;

/// A problem with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The setting's dotted name, with the environment variable if the value came from one.
    pub setting: String,
    /// The problem. Never quotes a secret.
    pub problem: String,
    /// How to fix it.
    pub remedy: String,
}

/// All problems of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = if self.0.len() == 1 { "problem" } else { "problems" };
        writeln!(f, "invalid configuration ({} {problems}):", self.0.len())?;
        for e in &self.0 {
            writeln!(f, "  {}: {}\n      → {}", e.setting, e.problem, e.remedy)?;
        }
        Ok(())
    }
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The HTTP server.
    pub http: HttpConfig,
    /// The database.
    pub store: StoreConfig,
    /// The Amazon Connect instances and their quotas.
    pub connect: ConnectConfig,
    /// The Salesforce org; `None` with `salesforce.enabled = false`.
    pub salesforce: Option<SalesforceConfig>,
    /// API keys and token issuers.
    pub auth: AuthConfig,
    /// The keys of the audit.
    pub audit: AuditConfig,
    /// Files with secrets.
    pub secrets: SecretsConfig,
    /// The settings of the use cases: `[supervision]`, `[clock]`, `[timing]`, `[compliance]`, `[retention]`, and what they
    /// need of the other sections.
    pub usecases: crate::usecases::UseCaseSettings,
    /// Logging.
    pub telemetry: crate::telemetry::TelemetryConfig,
}

impl Config {
    /// Reads the file at `path`, if any, and applies the overrides of `env`.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigErrors> {
        Self::take(Reader::open(path, env)?)
    }

    /// Reads `text` instead of a file, and applies the overrides of `env`.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn parse(text: &str, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigErrors> {
        Self::take(Reader::of_text(text, env)?)
    }

    fn take(mut reader: Reader) -> Result<Self, ConfigErrors> {
        let http = HttpConfig::read(&mut reader);
        let auth = AuthConfig::read(&mut reader);
        // A key or issuer with an invalid setting has its own problem already, so it counts as configured here.
        let has_credentials = reader.count("auth.api_keys") + reader.count("auth.issuers") > 0;
        if !has_credentials && !http.listen.ip().is_loopback() {
            reader.problem(
                "auth.api_keys",
                format!(
                    "no API key and no issuer is configured, and http.listen = {} is not a loopback address",
                    http.listen
                ),
                "add at least one [[auth.api_keys]] or [[auth.issuers]], or set http.listen to 127.0.0.1",
            );
        }
        auth.check_demo(&mut reader, http.listen);
        let connect = ConnectSection::read(&mut reader);
        let salesforce = SalesforceSection::read(&mut reader);
        let without_salesforce = salesforce.is_none() && reader.is_off("salesforce.enabled");
        issuers::check(&mut reader, &auth.issuers, &connect.config, without_salesforce);
        let config = Self {
            usecases: usecases::read(&mut reader, &http, &connect, salesforce.as_ref()),
            store: StoreConfig::read(&mut reader),
            connect: connect.config,
            salesforce: salesforce.map(|section| section.config),
            telemetry: sections::read_telemetry(&mut reader),
            audit: AuditConfig::read(&mut reader),
            // The last, because the others name the files.
            secrets: SecretsConfig::read(&mut reader),
            http,
            auth,
        };
        reader.finish().map(|()| config)
    }
}

#[cfg(test)]
mod tests;
