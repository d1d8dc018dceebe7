//! The command line, and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sidedoor::config::Config;
use sidedoor::fakes::{self, FakesConfig};
use sidedoor::{app, check, demo, lifecycle, telemetry, timing_report};

/// Lets a contact-centre supervisor leave a live Amazon Connect call by the side door.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service.
    Serve {
        /// The configuration file; without it sidedoor.toml, if there is one.
        #[arg(long, env = "SIDEDOOR_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Run stand-ins for Amazon Connect and Salesforce, for tests; they print their URLs as one line of JSON.
    Fakes {
        /// Fake Connect's address.
        #[arg(long, default_value = "127.0.0.1:7701")]
        connect_listen: SocketAddr,
        /// Fake Salesforce's address.
        #[arg(long, default_value = "127.0.0.1:7702")]
        salesforce_listen: SocketAddr,
        /// Sidedoor's /v1/events/connect, for contact events.
        #[arg(long)]
        events_to: Option<String>,
        /// The key sent with them (X-API-Key).
        #[arg(long, env = "SIDEDOOR_FAKES_EVENTS_KEY", hide_env_values = true)]
        events_key: Option<String>,
    },
    /// See whether everything stands that Sidedoor needs, each thing that is not with its remedy.
    Check(check::CheckArgs),
    /// The vendors' clocks: simulate, explain, replay.
    #[command(subcommand)]
    Timing(timing_report::Timing),
    /// Play the main job end to end against the fakes, and tell what happens.
    Demo {
        /// Leave everything running, and print curl commands to try.
        #[arg(long)]
        keep: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve { config } => serve(config).await,
        Command::Fakes {
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
            run_fakes(config).await
        }
        Command::Demo { keep } => demo::run(keep).await,
        Command::Check(args) => check::run(args).await,
        Command::Timing(what) => timing_report::run(what).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("sidedoor: {e}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

async fn serve(config: Option<PathBuf>) -> Done {
    let path = config.or_else(|| Some(PathBuf::from("sidedoor.toml")).filter(|p| p.exists()));
    let config = Config::load(path.as_deref(), std::env::vars())?;
    telemetry::init(&config.telemetry);
    let listener = tokio::net::TcpListener::bind(config.http.listen).await?;
    let app = app::start(config, listener, app::Overrides::default()).await?;
    let life = app.lifecycle.clone();
    tokio::spawn(async move {
        if lifecycle::signal().await.is_ok() {
            tracing::info!("stopping: what is under way may finish; a second signal stops at once");
            life.stop();
        }
    });
    let stopping = app.lifecycle.stopping();
    let hurry = async move {
        stopping.cancelled().await;
        let _ = lifecycle::signal().await;
    };
    match app.stopped(hurry).await.failed {
        Some(part) => Err(part.into()),
        None => Ok(()),
    }
}

async fn run_fakes(config: FakesConfig) -> Done {
    let fakes = fakes::start(config).await?;
    let (connect, salesforce) = (fakes.connect_url(), fakes.salesforce_url());
    println!(r#"{{"connectUrl":"{connect}","salesforceUrl":"{salesforce}"}}"#);
    Ok(lifecycle::signal().await?)
}
