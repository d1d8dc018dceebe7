//! The service as a process of its own, configured by environment variables as an operator would.

use std::process::{Child, Command, ExitStatus, Stdio};

use sidedoor_fakes::Fakes;
use sidedoor_fakes::connect::{ACCESS_KEY, ACCOUNT, INSTANCE, REGION, SECRET_KEY};

/// The API keys of the process: for callers and for events.
pub const KEY: &str = "key-of-the-process-001";
pub const EVENTS_KEY: &str = "key-of-its-events-0001";
/// An operator's key, which sees the details of `/readyz`.
pub const OPERATORS_KEY: &str = "key-of-its-operators-1";

/// The running process, which is killed on drop.
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
    /// The process's id.
    pub fn id(&self) -> u32 {
        self.0.as_ref().expect("runs").id()
    }

    /// Sends SIGTERM.
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

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        let mut child = self.0.take().expect("runs");
        child.kill().expect("killed with SIGKILL");
        child.wait().expect("gone");
    }

    /// Waits for the process to exit.
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

/// The fakes of both vendors in a process of their own, with their own clock.
pub struct Vendors {
    child: Child,
    pub connect_url: String,
    pub salesforce_url: String,
}

impl Drop for Vendors {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `sidedoor fakes` under libfaketime with the wall clock `faked`, in the form of `FAKETIME`. Its timers are not changed.
pub fn spawn_vendors(faked: &str, events_to: &str) -> Vendors {
    use std::io::BufRead;
    let library = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib/faketime",
        "/usr/local/lib",
    ]
    .iter()
    .map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"))
    .find(|path| std::path::Path::new(path).exists())
    .expect("libfaketime is needed: apt-get install faketime");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sidedoor"))
        .args([
            "fakes",
            "--connect-listen",
            "127.0.0.1:0",
            "--salesforce-listen",
            "127.0.0.1:0",
            "--events-to",
            events_to,
        ])
        .env("SIDEDOOR_FAKES_EVENTS_KEY", EVENTS_KEY)
        .env("LD_PRELOAD", library)
        .env("FAKETIME", faked)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the vendors start");
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    std::io::BufReader::new(out).read_line(&mut line).expect("their URLs");
    let urls: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let url = |name: &str| urls[name].as_str().expect("a URL").to_owned();
    Vendors {
        connect_url: url("connectUrl"),
        salesforce_url: url("salesforceUrl"),
        child,
    }
}

/// Starts the service. AWS credentials come from the environment, as in the SDK's default chain.
pub fn spawn(fakes: &Fakes, port: u16, store: &std::path::Path) -> Process {
    spawn_with(fakes.connect_url(), fakes.salesforce_url(), port, store, &[])
}

/// Starts the service against the given vendors, with additional settings.
pub fn spawn_with(
    connect_url: &str,
    salesforce_url: &str,
    port: u16,
    store: &std::path::Path,
    more: &[(&str, &str)],
) -> Process {
    let mut command = command(connect_url, salesforce_url, port, store, more);
    Process(Some(command.spawn().expect("the service starts")))
}

/// Starts the service with its log in a file, as a service manager does.
pub fn spawn_logging(
    fakes: &Fakes,
    port: u16,
    store: &std::path::Path,
    log: &std::path::Path,
    more: &[(&str, &str)],
) -> Process {
    let file = std::fs::File::create(log).expect("a log file");
    let mut command = command(fakes.connect_url(), fakes.salesforce_url(), port, store, more);
    let command = command.env_remove("NO_COLOR").stderr(file);
    Process(Some(command.spawn().expect("the service starts")))
}

/// Starts the service so that a write beyond a limit of the size of files is an error, as on a disk that fails, and does not kill it.
pub fn spawn_limited(fakes: &Fakes, port: u16, store: &std::path::Path) -> Process {
    let service = command(fakes.connect_url(), fakes.salesforce_url(), port, store, &[]);
    let mut shell = Command::new("sh");
    // A signal that is ignored stays so in the program that replaces the shell.
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    shell.arg(service.get_program()).args(service.get_args());
    for (name, value) in service.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    // Its log may go to a file, which the limit would concern too.
    shell.stdout(Stdio::null()).stderr(Stdio::null());
    Process(Some(shell.spawn().expect("the service starts")))
}

fn command(
    connect_url: &str,
    salesforce_url: &str,
    port: u16,
    store: &std::path::Path,
    more: &[(&str, &str)],
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidedoor"));
    let settings = [
        ("HTTP__LISTEN", format!("127.0.0.1:{port}")),
        ("STORE__URL", format!("sqlite://{}", store.display())),
        ("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE.to_owned()),
        ("CONNECT__INSTANCES__MAIN__REGION", REGION.to_owned()),
        ("CONNECT__INSTANCES__MAIN__ACCOUNT_ID", ACCOUNT.to_owned()),
        ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", connect_url.to_owned()),
        ("CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND", "2000".to_owned()),
        ("CONNECT__QUOTAS__DEFAULT__DEFAULT__BURST", "500".to_owned()),
        ("SALESFORCE__LOGIN_URL", salesforce_url.to_owned()),
        ("SALESFORCE__CLIENT_ID", "fake-client-id".to_owned()),
        ("SALESFORCE__CLIENT_SECRET", "fake-client-secret".to_owned()),
        ("AUTH__API_KEYS__0__NAME", "test".to_owned()),
        ("AUTH__API_KEYS__0__SECRET", KEY.to_owned()),
        ("AUTH__API_KEYS__0__SCOPES", "supervise:any".to_owned()),
        ("AUTH__API_KEYS__1__NAME", "events".to_owned()),
        ("AUTH__API_KEYS__1__SECRET", EVENTS_KEY.to_owned()),
        ("AUTH__API_KEYS__1__SCOPES", "events".to_owned()),
        ("AUTH__API_KEYS__1__VENDOR", "amazon-connect".to_owned()),
        ("AUTH__API_KEYS__1__INSTANCES", "main".to_owned()),
        ("AUTH__API_KEYS__2__NAME", "operators".to_owned()),
        ("AUTH__API_KEYS__2__SECRET", OPERATORS_KEY.to_owned()),
        ("AUTH__API_KEYS__2__SCOPES", "operate".to_owned()),
        ("TELEMETRY__LOG_FILTER", "error".to_owned()),
    ];
    for (name, value) in settings {
        command.env(format!("SIDEDOOR__{name}"), value);
    }
    for (name, value) in more {
        command.env(format!("SIDEDOOR__{name}"), value);
    }
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.arg("serve").stdout(Stdio::null());
    command
}
