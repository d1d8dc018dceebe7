//! The command line, and nothing else.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sidedoor::config::Config;

use sidedoor::{app, cli, lifecycle, telemetry};

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
    /// Run fakes of Amazon Connect and Salesforce, and print their URLs as one line of JSON. Needs `sidedoor-fakes`.
    Fakes(cli::fakes::FakesArgs),
    /// See whether everything stands that Sidedoor needs, each thing that is not with its remedy.
    Check(cli::check::CheckArgs),
    /// The vendors' clocks: simulate, explain, replay.
    #[command(subcommand)]
    Timing(cli::timing::Timing),
    /// Run the main job end to end against the fakes, and show each step. Needs `sidedoor-fakes`.
    Demo(cli::fakes::DemoArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve { config } => serve(config).await,
        Command::Fakes(args) => cli::fakes::serve(&args),
        Command::Demo(args) => cli::fakes::demo(&args),
        Command::Check(args) => cli::check::run(args).await,
        Command::Timing(what) => cli::timing::run(what).await,
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
    let telemetry = telemetry::init(&config.telemetry)?;
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
    let stopped = app.stopped(hurry).await;
    // The exporter blocks its thread while it sends.
    tokio::task::spawn_blocking(|| telemetry.flush()).await?;
    match stopped.failed {
        Some(part) => Err(part.into()),
        None => Ok(()),
    }
}
