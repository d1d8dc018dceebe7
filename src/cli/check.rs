//! `sidedoor check`: checks the configuration and all dependencies, in the style of `linkerd check`: one line for each
//! check with `✓`, `!` or `✗`, and for each problem a fix and the place in the runbook.
//!
//! It runs beside a running service or without one, and changes nothing. Only `--live` acts: after a confirmation, a test
//! supervisor joins a test contact and leaves again, so that the report shows what Amazon Connect really does.
//!
//! | file | contents |
//! |---|---|
//! | [`report`] | the lines, as text and as JSON |
//! | [`host`] | configuration, store, this machine's clock |
//! | [`issuers`] | the keys of the token issuers |
//! | [`transport`] | the listener's certificate |
//! | [`skew`] | our clock compared with a vendor's `Date` header |
//! | [`telephony`] | Amazon Connect |
//! | [`org`] | Salesforce |
//! | [`measured`] | what a running service has measured of Amazon Connect |
//! | [`live`] | `--live` |

mod host;
mod issuers;
mod live;
mod measured;
mod org;
pub mod report;
mod skew;
mod telephony;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sidedoor_domain::ports::Clock;

use self::report::Report;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigErrors};
use crate::connect::AmazonConnect;
use crate::salesforce::Salesforce;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The pause between two rounds of `--wait`.
const ROUND_INTERVAL: Duration = Duration::from_secs(2);
/// The longest `--wait`, s.
const LONGEST_WAIT: u64 = 3600;

/// The arguments of `sidedoor check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Read this configuration file. Default: sidedoor.toml, if it exists.
    #[arg(long, env = "SIDEDOOR_CONFIG")]
    config: Option<PathBuf>,
    /// Print the report in this format.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Repeat the checks until none fails, for at most this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=LONGEST_WAIT))]
    wait: Option<u64>,
    /// Check only this Connect instance.
    #[arg(long)]
    instance: Option<String>,
    /// Let a test supervisor really join a test contact and leave it again, and report what Amazon Connect does. Asks for
    /// confirmation first.
    #[arg(long, num_args = 2, value_names = ["CONTACT_ID", "USER_ID"], conflicts_with = "wait")]
    live: Option<Vec<String>>,
    /// Confirm --live without a question, for scripts.
    #[arg(long, requires = "live")]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Lines for people
    Text,
    /// A JSON object for machines
    Json,
}

/// What the checks use.
struct Parts {
    config: Config,
    clock: Arc<dyn Clock>,
    telephony: AmazonConnect,
    salesforce: Option<Salesforce>,
}

impl Parts {
    async fn of(config: Config, only: Option<&str>) -> Done<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let mut config = config;
        if let Some(name) = only {
            config.connect.instances.retain(|known, _| known.as_str() == name);
            if config.connect.instances.is_empty() {
                return Err(format!("no instance {name:?} is configured (--instance)").into());
            }
        }
        let telephony = AmazonConnect::new(&config.connect, None, clock.clone(), Arc::new(|_| ())).await?;
        let salesforce = config.salesforce.clone().map(|org| Salesforce::new(org, clock.clone()));
        Ok(Self {
            salesforce: salesforce.transpose()?,
            telephony,
            clock,
            config,
        })
    }
}

/// Runs the checks and prints the report.
///
/// # Errors
/// If a check failed.
pub async fn run(args: CheckArgs) -> Done {
    #[allow(clippy::disallowed_methods, reason = "the wait is not evidence of anything")]
    let until = args.wait.map(|s| tokio::time::Instant::now() + Duration::from_secs(s));
    let (mut report, parts) = loop {
        let (report, parts) = round(&args).await;
        #[allow(clippy::disallowed_methods, reason = "the wait is not evidence of anything")]
        let time_left = until.is_some_and(|until| tokio::time::Instant::now() + ROUND_INTERVAL < until);
        if report.succeeded() || !time_left {
            break (report, parts);
        }
        eprintln!(
            "{} checks failed; retrying in {} s",
            report.failures(),
            ROUND_INTERVAL.as_secs()
        );
        tokio::time::sleep(ROUND_INTERVAL).await;
    };
    // The live check acts for real, so it runs once and only if all other checks passed.
    if let (Some([contact, user]), Some(parts)) = (args.live.as_deref(), &parts) {
        if report.succeeded() {
            live::check(&mut report, parts, contact, user, args.yes).await;
        } else {
            eprintln!("Skipping the live check, because other checks failed.");
        }
    }
    match args.output {
        Output::Text => print!("{}", report.text()),
        Output::Json => println!("{}", report.json()),
    }
    if report.succeeded() {
        Ok(())
    } else {
        Err(format!("{} of {} checks failed", report.failures(), report.len()).into())
    }
}

/// Runs all checks except the live ones. Returns the parts for those, unless the configuration is invalid.
async fn round(args: &CheckArgs) -> (Report, Option<Parts>) {
    let mut report = Report::default();
    let path = args
        .config
        .clone()
        .or_else(|| Some(PathBuf::from("sidedoor.toml")).filter(|p| p.exists()));
    let config: Result<Config, ConfigErrors> = Config::load(path.as_deref(), std::env::vars());
    // Without a valid configuration nothing else can be checked.
    let Some(config) = host::configuration(&mut report, path.as_deref(), config) else {
        return (report, None);
    };
    let parts = match Parts::of(config, args.instance.as_deref()).await {
        Ok(parts) => parts,
        Err(e) => {
            report.fail(
                report::CONFIGURATION,
                None,
                e.to_string(),
                "correct the command line or the configuration",
            );
            return (report, None);
        }
    };
    issuers::check(&mut report, &parts).await;
    transport::check(&mut report, &parts);
    host::store(&mut report, &parts).await;
    host::clock(&mut report, &parts);
    telephony::check(&mut report, &parts).await;
    org::check(&mut report, &parts).await;
    (report, Some(parts))
}
