//! What Sidedoor costs, compared in one run with the least that such a service can cost (`benches/floor`), with the bare vendor
//! calls, and with the services that a user would write instead (`benches/peer`). docs/performance.md explains it.
//!
//!     cargo bench --bench load -- pairs     what a monitor+disconnect pair costs
//!     cargo bench --bench load -- beyond    departures lost, errors of the instant and starts lost by kills
//!     cargo bench --bench load -- growth    the same pair on large stores, and the cost of idle supervisions
//!
//! All programs are processes of their own. Only the service's own CPU time, fsyncs, WAL pages and context switches are compared, so
//! that the fakes and this driver do not count. With CHECK=1 a missed target is an error.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]

mod bare;
mod beyond;
mod driver;
mod fakes;
#[path = "../floor/mod.rs"]
mod floor;
mod growth;
mod history;
mod pairs;
mod plots;
mod process;
mod report;
mod services;
mod svg;
mod target;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &[String]) -> Outcome<()> {
    let (command, rest) = arguments.split_first().ok_or("expected pairs, beyond or growth")?;
    match (command.as_str(), rest) {
        ("--bare", rest) => return bare::run(rest).await,
        ("--floor", [port, store, connect, salesforce, shares]) => {
            let config = floor::FloorConfig {
                port: port.parse()?,
                store: std::path::Path::new(store),
                connect,
                salesforce,
                shares: floor::Shares::parse(shares)?,
            };
            return floor::serve(config).await;
        }
        _ => {}
    }
    let folder = tempfile::tempdir()?;
    let targets = match command.as_str() {
        "pairs" => {
            let measured = pairs::measure_all(folder.path()).await?;
            report::print_table(&measured);
            plots::write_pairs(&measured)?;
            report::targets(&measured)
        }
        "beyond" => {
            let measured = beyond::measure_all().await?;
            beyond::print_table(&measured);
            beyond::targets(&measured)
        }
        "growth" => {
            let measured = growth::measure_all().await?;
            growth::print_table(&measured);
            plots::write_growth(&measured)?;
            growth::targets(&measured)
        }
        other => return Err(format!("unknown command `{other}`; expected pairs, beyond or growth").into()),
    };
    let missed = target::print(&targets);
    if missed > 0 && std::env::var("CHECK").is_ok_and(|check| check == "1") {
        return Err(format!("{missed} targets were missed").into());
    }
    Ok(())
}
