//! What a pair costs: Sidedoor beside the durable floor, the bare vendor calls and the peers, at each pace in turn.

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::Outcome;
use crate::bare::{self, Bare};
use crate::driver::{Driver, Pace, until_recorded};
use crate::fakes::{Calls, Fakes};
use crate::floor::Shares;
use crate::process::{Counted, Counter, Used};
use crate::services::{Program, Setup, free_port};

const PACES: [Pace; 4] = [
    Pace {
        name: "1",
        at_a_time: 1,
        rounds: 200,
        period: Duration::from_millis(150),
    },
    Pace {
        name: "4",
        at_a_time: 4,
        rounds: 80,
        period: Duration::from_millis(200),
    },
    Pace {
        name: "32",
        at_a_time: 32,
        rounds: 15,
        period: Duration::from_millis(1000),
    },
    // As fast as the service can: pairs for each core-second of the service.
    Pace {
        name: "32, unpaced",
        at_a_time: 32,
        rounds: 20,
        period: Duration::ZERO,
    },
];

/// Rounds before the measured ones, so that connections are open and caches are filled.
const WARM_UP_ROUNDS: usize = 6;

/// Latency, ms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            p50: at(0.5),
            p99: at(0.99),
        }
    }
}

/// What one program needed for a pair at one pace.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) program: &'static str,
    pub(crate) pace: &'static str,
    pub(crate) cpu_ms: f64,
    pub(crate) start: Latency,
    pub(crate) disconnect: Option<Latency>,
    pub(crate) calls: Option<Calls>,
    pub(crate) fsyncs: Option<f64>,
    pub(crate) frames: Option<f64>,
    pub(crate) switches: Option<f64>,
}

/// Measures all programs that `BENCH_PROGRAMS` names, at all paces that `BENCH_PACES` names; without them all.
pub(crate) async fn measure_all(folder: &Path) -> Outcome<Vec<Measured>> {
    let counter = Counter::compile(folder);
    let (wanted, paces) = (chosen("BENCH_PROGRAMS"), chosen("BENCH_PACES"));
    let mut all: Vec<Measured> = Vec::new();
    for pace in PACES.into_iter().filter(|pace| paces(pace.name)) {
        let ours = measure(Program::Sidedoor, pace, counter.as_ref()).await?;
        let calls = ours.calls.unwrap_or_default();
        let shares = Shares {
            describes: calls.describes,
            polls: calls.polls,
            upserts: calls.salesforce,
        };
        all.push(ours);
        for program in [Program::Floor(shares), Program::Python, Program::Node] {
            if wanted(program.name()) {
                all.push(measure(program, pace, counter.as_ref()).await?);
            }
        }
        if wanted("bare") && !pace.period.is_zero() {
            let bare = bare::measure(&Fakes::start()?, pace, shares).await?;
            all.push(of_bare(pace, &bare));
        }
    }
    Ok(all)
}

fn chosen(variable: &str) -> impl Fn(&str) -> bool {
    let names = std::env::var(variable).ok();
    move |name| {
        names
            .as_ref()
            .is_none_or(|names| names.split(';').any(|wanted| wanted.trim().eq_ignore_ascii_case(name)))
    }
}

fn of_bare(pace: Pace, bare: &Bare) -> Measured {
    Measured {
        program: "bare calls",
        pace: pace.name,
        cpu_ms: bare.cpu_ms,
        start: Latency {
            p50: bare.monitor_p50_us / 1e3,
            p99: bare.monitor_p99_us / 1e3,
        },
        disconnect: None,
        calls: None,
        fsyncs: None,
        frames: None,
        switches: None,
    }
}

async fn measure(program: Program, pace: Pace, counter: Option<&Counter>) -> Outcome<Measured> {
    eprintln!("measuring {} at {}", program.name(), pace.name);
    let fakes = Fakes::start()?;
    let folder = tempfile::tempdir_in(".")?;
    let setup = Setup {
        program,
        fakes: &fakes,
        folder: folder.path(),
        counter,
        port: free_port()?,
        settings: &[],
    };
    let service = setup.start().await?;
    fakes.send_events_to(&service.url, 0.0).await?;
    let driver = Driver::of(&service)?;
    let warm_up = Pace {
        rounds: WARM_UP_ROUNDS,
        ..pace
    };
    driver.pairs(&fakes, warm_up, "warm").await?;
    until_recorded(&fakes, &service, warm_up.pairs()).await?;
    let calls = fakes.until_quiet().await?;
    let before = service.process.used()?;
    let latencies = driver.pairs(&fakes, pace, "load").await?;
    until_recorded(&fakes, &service, warm_up.pairs() + pace.pairs()).await?;
    let calls = fakes.until_quiet().await?.each(calls, pace.pairs());
    let used = service.process.used()?;
    let pairs = pace.pairs() as f64;
    let counted = |of: fn(Counted) -> u64| {
        let (after, before) = (used.counted?, before.counted?);
        Some((of(after) - of(before)) as f64 / pairs)
    };
    Ok(Measured {
        program: program.name(),
        pace: pace.name,
        cpu_ms: cpu_each(used, before, pairs),
        start: Latency::of(&latencies.start),
        disconnect: Some(Latency::of(&latencies.disconnect)),
        calls: Some(calls),
        fsyncs: counted(|c| c.fsyncs),
        frames: counted(|c| c.frames),
        switches: Some((used.switches - before.switches) as f64 / pairs),
    })
}

/// CPU time for each pair, ms.
pub(crate) fn cpu_each(after: Used, before: Used, pairs: f64) -> f64 {
    (after.cpu - before.cpu).as_secs_f64() * 1e3 / pairs
}
