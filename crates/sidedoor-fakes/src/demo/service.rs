//! The `sidedoor serve` process of the demo.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::{Done, EVENTS_KEY, OPERATORS_KEY, SUPERVISORS_KEY};
use crate::Fakes;
use crate::connect::{ACCESS_KEY, ACCOUNT, INSTANCE, REGION, SECRET_KEY};

/// Name of the log file in the demo's folder.
pub(super) const LOG: &str = "sidedoor.log";
/// A first start on a slow disk takes one or two seconds.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running `sidedoor serve`. Dropping the value kills the process.
pub(super) struct Service {
    child: Child,
    log: PathBuf,
    pub(super) url: String,
}

impl Service {
    /// Starts the executable with its store and log in `folder`, and waits until `/readyz` answers 2xx.
    pub(super) async fn start(executable: Option<PathBuf>, fakes: &Fakes, folder: &Path) -> Done<Self> {
        let executable = match executable {
            // Absolute, because the process is started in another folder.
            Some(path) => std::path::absolute(path)?,
            None => beside_this_executable()?,
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = folder.join(LOG);
        let mut command = Command::new(&executable);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SIDEDOOR_")) {
            command.env_remove(name);
        }
        let child = command
            .arg("serve")
            // The caller's folder may hold a sidedoor.toml, which the service would read.
            .current_dir(folder)
            .envs(settings(fakes, folder, port))
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", executable.display()))?;
        let url = format!("http://127.0.0.1:{port}");
        let mut service = Self { child, log, url };
        let ready = tokio::time::timeout(START_TIMEOUT, service.ready()).await;
        match ready {
            Ok(Ok(())) => Ok(service),
            Ok(Err(e)) => Err(e),
            Err(_) => Err(format!(
                "timeout: sidedoor was not ready after {} s{}",
                START_TIMEOUT.as_secs(),
                service.last_log()
            )
            .into()),
        }
    }

    async fn ready(&mut self) -> Done {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("sidedoor stopped with {status}{}", self.last_log()).into());
            }
            let answer = http.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|a| a.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The last lines of the service's log, for an error message.
    fn last_log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n");
        format!("; the last lines of its log:\n{last}")
    }
}

fn beside_this_executable() -> Done<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("sidedoor");
    if path.exists() {
        return Ok(path);
    }
    Err(format!(
        "{} does not exist. Build it with `cargo build --bin sidedoor`, or name another executable with --sidedoor",
        path.display()
    )
    .into())
}

fn settings(fakes: &Fakes, folder: &Path, port: u16) -> Vec<(String, String)> {
    let store = format!("sqlite://{}", folder.join("sidedoor.db").display());
    let listen = format!("127.0.0.1:{port}");
    [
        ("HTTP__LISTEN", listen.as_str()),
        ("STORE__URL", &store),
        ("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE),
        ("CONNECT__INSTANCES__MAIN__REGION", REGION),
        ("CONNECT__INSTANCES__MAIN__ACCOUNT_ID", ACCOUNT),
        ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", fakes.connect_url()),
        ("SALESFORCE__LOGIN_URL", fakes.salesforce_url()),
        ("SALESFORCE__CLIENT_ID", "fake-client-id"),
        ("SALESFORCE__CLIENT_SECRET", "fake-client-secret"),
        ("AUTH__DEMO", "true"),
        ("AUTH__API_KEYS__0__NAME", "demo"),
        ("AUTH__API_KEYS__0__SECRET", SUPERVISORS_KEY),
        ("AUTH__API_KEYS__0__SCOPES", "supervise:any,operate"),
        ("AUTH__API_KEYS__1__NAME", "operator"),
        ("AUTH__API_KEYS__1__SECRET", OPERATORS_KEY),
        ("AUTH__API_KEYS__1__SCOPES", "operate"),
        ("AUTH__API_KEYS__2__NAME", "events"),
        ("AUTH__API_KEYS__2__SECRET", EVENTS_KEY),
        ("AUTH__API_KEYS__2__SCOPES", "events"),
        ("AUTH__API_KEYS__2__VENDOR", "amazon-connect"),
        ("AUTH__API_KEYS__2__INSTANCES", "main"),
    ]
    .into_iter()
    .map(|(key, value)| (format!("SIDEDOOR__{key}"), value.to_owned()))
    .collect()
}
