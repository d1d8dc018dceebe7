//! The service as a process of its own, configured by its environment as an operator would.

use std::process::{Child, Command, ExitStatus, Stdio};

use sidedoor::fakes::Fakes;
use sidedoor::fakes::connect::{ACCESS_KEY, INSTANCE, REGION, SECRET_KEY};

/// The process's one key.
pub const KEY: &str = "key-of-the-process-001";

/// The running process; killed if a test forgets it.
pub struct Process(Option<Child>);

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Process {
    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = self.0.as_ref().expect("runs").id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill runs")
                .success()
        );
    }

    /// SIGKILL, at once.
    pub fn kill(mut self) {
        let mut child = self.0.take().expect("runs");
        child.kill().expect("killed with SIGKILL");
        child.wait().expect("gone");
    }

    /// Waits for its end.
    pub async fn exit(mut self) -> ExitStatus {
        let mut child = self.0.take().expect("runs");
        tokio::task::spawn_blocking(move || child.wait().expect("waited"))
            .await
            .expect("no panic")
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port")
        .port()
}

/// Starts it; AWS credentials come from the environment, as in the SDK's ordinary chain.
pub fn spawn(fakes: &Fakes, port: u16, journal: &std::path::Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidedoor"));
    let settings = [
        ("HTTP__LISTEN", format!("127.0.0.1:{port}")),
        ("STORE__URL", format!("sqlite://{}", journal.display())),
        ("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE.to_owned()),
        ("CONNECT__INSTANCES__MAIN__REGION", REGION.to_owned()),
        ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", fakes.connect_url().to_owned()),
        ("CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND", "2000".to_owned()),
        ("CONNECT__QUOTAS__DEFAULT__DEFAULT__BURST", "500".to_owned()),
        ("SALESFORCE__LOGIN_URL", fakes.salesforce_url().to_owned()),
        ("SALESFORCE__CLIENT_ID", "fake-client-id".to_owned()),
        ("SALESFORCE__CLIENT_SECRET", "fake-client-secret".to_owned()),
        ("AUTH__API_KEYS__0__NAME", "test".to_owned()),
        ("AUTH__API_KEYS__0__SECRET", KEY.to_owned()),
        ("AUTH__API_KEYS__0__SCOPES", "supervise:any,events".to_owned()),
        ("TELEMETRY__LOG_FILTER", "error".to_owned()),
    ];
    for (name, value) in settings {
        command.env(format!("SIDEDOOR__{name}"), value);
    }
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let child = command
        .arg("serve")
        .stdout(Stdio::null())
        .spawn()
        .expect("the service starts");
    Process(Some(child))
}
