//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use sidedoor::config::Config;
use sidedoor::{app, cli, lifecycle, telemetry};

/// The service allocates a lot of small, short-lived values on several threads.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Let contact-centre supervisors join and leave live Amazon Connect contacts, and record in Salesforce when they left.
#[derive(Parser)]
#[command(version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SIDEDOOR_BUILD"), ")"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service.
    Serve {
        /// Read this configuration file. Default: sidedoor.toml, if it exists.
        #[arg(long, env = "SIDEDOOR_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Run fakes of Amazon Connect and Salesforce, and print their URLs as one line of JSON. Requires `sidedoor-fakes`.
    Fakes(cli::fakes::FakesArgs),
    /// Check configuration and dependencies, with a fix for each problem.
    Check(cli::check::CheckArgs),
    /// Copy the store into a new file, consistently, while the service runs or not.
    Backup(cli::backup::BackupArgs),
    /// Put a copy in the place of the store, which is kept under another name. The service must not run.
    Restore(cli::backup::BackupArgs),
    /// Verify that the audit was not changed, and export it.
    #[command(subcommand)]
    Audit(cli::audit::Audit),
    /// Analyse the calibration of the vendors' clocks: simulate, explain, replay.
    #[command(subcommand)]
    Timing(cli::timing::Timing),
    /// Run the main job end to end against the fakes, and show each step. Requires `sidedoor-fakes`.
    Demo(cli::fakes::DemoArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve { config } => serve(config).await,
        Command::Fakes(args) => cli::fakes::serve(&args),
        Command::Demo(args) => cli::fakes::demo(&args),
        Command::Check(args) => cli::check::run(args).await,
        Command::Backup(args) => cli::backup::back_up(args).await,
        Command::Restore(args) => cli::backup::restore(args).await,
        Command::Audit(what) => cli::audit::run(what).await,
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
            tracing::info!("stopping: waiting for running requests and tasks; a second signal stops at once");
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
