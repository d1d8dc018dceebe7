//! `sidedoor check`: does everything stand that Sidedoor needs? In the manner of `linkerd check`: one line for each question,
//! `✓`, `!` or `✗`, and for whatever is not well what to do and where the runbook tells more.
//!
//! It looks at every part by itself, beside a running service or without one, and changes nothing. Only `--live` acts: it has a
//! test supervisor listen to a test contact and leave again, after an explicit yes, and tells what the vendor really does.
//!
//! | file | story |
//! |---|---|
//! | [`report`] | the lines, as text and as JSON |
//! | [`app`] | configuration, store, own clock |
//! | [`issuers`] | whose tokens are taken: their keys |
//! | [`skew`] | our clock beside a vendor's `Date` |
//! | [`telephony`] | Amazon Connect |
//! | [`org`] | Salesforce |
//! | [`live`] | `--live` |

mod host;
mod issuers;
mod live;
mod org;
pub mod report;
mod skew;
mod telephony;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::report::Report;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigErrors};
use crate::connect::AmazonConnect;
use crate::salesforce::Salesforce;
use sidedoor_domain::ports::Clock;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// How long between two rounds of `--wait`.
const BETWEEN: Duration = Duration::from_secs(2);
/// The longest `--wait`, s.
const LONGEST_WAIT: u64 = 3600;

/// What `sidedoor check` is asked.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file; without it sidedoor.toml, if there is one.
    #[arg(long, env = "SIDEDOOR_CONFIG")]
    config: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Check again until nothing fails, for at most so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=LONGEST_WAIT))]
    wait: Option<u64>,
    /// Only this Connect instance.
    #[arg(long)]
    instance: Option<String>,
    /// Have this test supervisor really listen to this test contact, and leave: tells what the vendor does. Asks first.
    #[arg(long, num_args = 2, value_names = ["CONTACT_ID", "USER_ID"], conflicts_with = "wait")]
    live: Option<Vec<String>>,
    /// The explicit yes to `--live`, for scripts.
    #[arg(long, requires = "live")]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// What the checks look at.
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
                return Err(format!("no instance is named {name}").into());
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

/// Runs it; prints the report.
///
/// # Errors
/// When a line failed.
pub async fn run(args: CheckArgs) -> Done {
    #[allow(clippy::disallowed_methods, reason = "how long to wait is nobody's evidence")]
    let until = args.wait.map(|s| tokio::time::Instant::now() + Duration::from_secs(s));
    let (mut report, parts) = loop {
        let (report, parts) = round(&args).await;
        #[allow(clippy::disallowed_methods, reason = "how long to wait is nobody's evidence")]
        let time_left = until.is_some_and(|until| tokio::time::Instant::now() + BETWEEN < until);
        if report.succeeded() || !time_left {
            break (report, parts);
        }
        eprintln!("{} failed; again in {} s", report.failures(), BETWEEN.as_secs());
        tokio::time::sleep(BETWEEN).await;
    };
    // It acts for real: once, and not while others fail.
    if let (Some([contact, user]), Some(parts)) = (args.live.as_deref(), &parts) {
        if report.succeeded() {
            live::check(&mut report, parts, contact, user, args.yes).await;
        } else {
            eprintln!("The live check is not made while others fail.");
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

/// Every line but the live ones, and the parts to go on with if there are any.
async fn round(args: &CheckArgs) -> (Report, Option<Parts>) {
    let mut report = Report::default();
    let path = args
        .config
        .clone()
        .or_else(|| Some(PathBuf::from("sidedoor.toml")).filter(|p| p.exists()));
    let config: Result<Config, ConfigErrors> = Config::load(path.as_deref(), std::env::vars());
    // Without a configuration there is nothing to look at.
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
                "correct the command or the configuration",
            );
            return (report, None);
        }
    };
    issuers::check(&mut report, &parts).await;
    host::store(&mut report, &parts).await;
    host::clock(&mut report, &parts);
    telephony::check(&mut report, &parts).await;
    org::check(&mut report, &parts).await;
    (report, Some(parts))
}
