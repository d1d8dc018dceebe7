//! The command line: `sidedoor-fakes serve` and `sidedoor-fakes demo`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sidedoor_fakes::{FakesConfig, demo, shutdown_signal, start};

/// Fakes of Amazon Connect and Salesforce on real sockets, for tests and demos of Sidedoor.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the fakes until SIGINT or SIGTERM, and print their URLs as one line of JSON.
    Serve {
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
        #[arg(long, env = "SIDEDOOR_FAKES_EVENTS_KEY", hide_env_values = true)]
        events_key: Option<String>,
    },
    /// Start the fakes and a `sidedoor` process, run the main job and print each step.
    ///
    /// Two supervisors listen to one call and leave it; the call must go on. Fails if it ends.
    Demo {
        /// Keep the processes running at the end, and print curl commands to try.
        #[arg(long)]
        keep: bool,
        /// The `sidedoor` executable [default: the one in the folder of this executable]
        #[arg(long, env = "SIDEDOOR_BIN")]
        sidedoor: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve {
            connect_listen,
            salesforce_listen,
            events_to,
            events_key,
        } => {
            let mut config = FakesConfig {
                connect_listen,
                salesforce_listen,
                ..FakesConfig::default()
            };
            (config.events.target, config.events.api_key) = (events_to, events_key);
            serve(config).await
        }
        Command::Demo { keep, sidedoor } => demo::run(keep, sidedoor).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("sidedoor-fakes: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: FakesConfig) -> Result<(), Box<dyn std::error::Error>> {
    let fakes = start(config).await?;
    let (connect, salesforce) = (fakes.connect_url(), fakes.salesforce_url());
    println!(r#"{{"connectUrl":"{connect}","salesforceUrl":"{salesforce}"}}"#);
    Ok(shutdown_signal().await?)
}
