//! The programs that are compared. Each serves the same requests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::fakes::{Fakes, INSTANCE};
use crate::floor::Shares;
use crate::process::{Counter, Running};

pub(crate) const KEY: &str = "key-of-the-benchmark-1";
pub(crate) const EVENTS_KEY: &str = "key-of-its-events-0001";

/// Longest start of a service. That of Node.js on a busy machine takes seconds.
const MAX_START: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    Sidedoor,
    Floor(Shares),
    Python,
    Node,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sidedoor => "Sidedoor",
            Self::Floor(_) => "floor",
            Self::Python => "Python",
            Self::Node => "Node",
        }
    }
}

/// A running service.
pub(crate) struct Service {
    pub(crate) program: Program,
    pub(crate) process: Running,
    pub(crate) url: String,
    /// Time from the start of the process until it was ready.
    pub(crate) ready_after: Duration,
}

/// Everything that is needed to start a service, also a second time on the same store.
pub(crate) struct Setup<'a> {
    pub(crate) program: Program,
    pub(crate) fakes: &'a Fakes,
    pub(crate) folder: &'a Path,
    pub(crate) counter: Option<&'a Counter>,
    pub(crate) port: u16,
    /// Settings of Sidedoor beside the usual ones.
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

pub(crate) fn free_port() -> Outcome<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Setup<'_> {
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store.db")
    }

    /// Starts the service and waits until it is ready.
    pub(crate) async fn start(&self) -> Outcome<Service> {
        let mut command = match self.program {
            Program::Sidedoor => self.sidedoor(),
            Program::Floor(shares) => self.floor(shares)?,
            Program::Python => self.peer("python"),
            Program::Node => self.peer("node"),
        };
        let counts = self.counter.map(|c| c.preload(&mut command, self.folder)).transpose()?;
        let begun = Instant::now();
        let mut process = Running::start(command.stdout(Stdio::null()), counts)?;
        let url = format!("http://127.0.0.1:{}", self.port);
        let probe = || self.fakes.http.get(format!("{url}/readyz")).send();
        while !probe().await.is_ok_and(|answer| answer.status().is_success()) {
            if begun.elapsed() > MAX_START || process.has_ended()? {
                return Err(format!("{} did not start", self.program.name()).into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(Service {
            program: self.program,
            process,
            url,
            ready_after: begun.elapsed(),
        })
    }

    fn floor(&self, shares: Shares) -> Outcome<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        let (port, shares) = (self.port.to_string(), shares.argument());
        command.args([
            "--floor",
            &port,
            &self.store().display().to_string(),
            &self.fakes.connect,
        ]);
        command.args([&self.fakes.salesforce, &shares]);
        Ok(command)
    }

    fn peer(&self, language: &str) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer/run.sh"));
        command
            .arg(language)
            .env("PORT", self.port.to_string())
            .env("STORE", self.store())
            .env("CONNECT_URL", &self.fakes.connect)
            .env("SALESFORCE_URL", &self.fakes.salesforce)
            .env("KEY", KEY)
            .env("EVENTS_KEY", EVENTS_KEY)
            .env("NODE_ENV", "production");
        command
    }

    fn sidedoor(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidedoor"));
        let (listen, store) = (
            format!("127.0.0.1:{}", self.port),
            format!("sqlite://{}", self.store().display()),
        );
        let usual = [
            ("HTTP__LISTEN", listen.as_str()),
            ("STORE__URL", store.as_str()),
            ("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE),
            ("CONNECT__INSTANCES__MAIN__REGION", "us-west-2"),
            ("CONNECT__INSTANCES__MAIN__ACCOUNT_ID", "111122223333"),
            ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", self.fakes.connect.as_str()),
            ("CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND", "5000"),
            ("CONNECT__QUOTAS__DEFAULT__DEFAULT__BURST", "5000"),
            ("SALESFORCE__LOGIN_URL", self.fakes.salesforce.as_str()),
            ("SALESFORCE__CLIENT_ID", "fake-client-id"),
            ("SALESFORCE__CLIENT_SECRET", "fake-client-secret"),
            ("AUTH__API_KEYS__0__NAME", "bench"),
            ("AUTH__API_KEYS__0__SECRET", KEY),
            ("AUTH__API_KEYS__0__SCOPES", "supervise:any,read"),
            ("AUTH__API_KEYS__1__NAME", "events"),
            ("AUTH__API_KEYS__1__SECRET", EVENTS_KEY),
            ("AUTH__API_KEYS__1__SCOPES", "events"),
            ("AUTH__API_KEYS__1__VENDOR", "amazon-connect"),
            ("AUTH__API_KEYS__1__INSTANCES", "main"),
            // One key makes all requests, so the limit for each caller must not apply.
            ("HTTP__RATE_PER_CALLER_PER_SECOND", "100000"),
            ("HTTP__RATE_PER_SECOND", "100000"),
            ("TELEMETRY__LOG_FILTER", "warn"),
        ];
        for (name, value) in usual.iter().chain(self.settings) {
            command.env(format!("SIDEDOOR__{name}"), value);
        }
        command
            .env("AWS_ACCESS_KEY_ID", "fake-access-key")
            .env("AWS_SECRET_ACCESS_KEY", "fake-secret-key")
            .arg("serve");
        command
    }
}
