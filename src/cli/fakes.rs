//! `sidedoor fakes` and `sidedoor demo`. Both run the `sidedoor-fakes` executable from the folder of this one, so that the
//! service contains no fakes.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

/// Options of `sidedoor fakes`.
#[derive(Debug, Args)]
pub struct FakesArgs {
    /// Address of the fake Amazon Connect.
    #[arg(long, default_value = "127.0.0.1:7701")]
    connect_listen: SocketAddr,
    /// Address of the fake Salesforce.
    #[arg(long, default_value = "127.0.0.1:7702")]
    salesforce_listen: SocketAddr,
    /// URL that receives contact events: Sidedoor's /v1/events/connect.
    #[arg(long)]
    events_to: Option<String>,
    /// API key sent with the events (X-API-Key).
    #[arg(long, env = EVENTS_KEY, hide_env_values = true)]
    events_key: Option<String>,
}

/// Options of `sidedoor demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the processes running at the end, and print curl commands to try.
    #[arg(long)]
    keep: bool,
}

/// The key is passed in the environment, because every local user can read the arguments of a process.
const EVENTS_KEY: &str = "SIDEDOOR_FAKES_EVENTS_KEY";

type Done = Result<(), Box<dyn std::error::Error>>;

/// Replaces this process by `sidedoor-fakes serve`.
///
/// # Errors
/// When `sidedoor-fakes` is missing or cannot be run.
pub fn serve(args: &FakesArgs) -> Done {
    let mut command = Command::new(executable()?);
    command.arg("serve");
    command.args(["--connect-listen", &args.connect_listen.to_string()]);
    command.args(["--salesforce-listen", &args.salesforce_listen.to_string()]);
    if let Some(target) = &args.events_to {
        command.args(["--events-to", target]);
    }
    if let Some(key) = &args.events_key {
        command.env(EVENTS_KEY, key);
    }
    Err(command.exec().into())
}

/// Replaces this process by `sidedoor-fakes demo`, which starts this executable as its service.
///
/// # Errors
/// When `sidedoor-fakes` is missing or cannot be run.
pub fn demo(args: &DemoArgs) -> Done {
    let mut command = Command::new(executable()?);
    command.arg("demo").arg("--sidedoor").arg(std::env::current_exe()?);
    if args.keep {
        command.arg("--keep");
    }
    Err(command.exec().into())
}

fn executable() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|e| format!("cannot find the folder of this executable: {e}"))?;
    let path = here.with_file_name("sidedoor-fakes");
    if path.exists() {
        return Ok(path);
    }
    Err(format!(
        "{} does not exist, but this command needs it, because the fakes are a separate executable. In a checkout, run \
         `cargo build -p sidedoor-fakes`; otherwise put `sidedoor-fakes` of the same release into that folder",
        path.display()
    ))
}
