//! How the cost of a pair grows with the history and with the number of active supervisions, and what idle supervisions cost.
//! `BENCH_HISTORY` (100000) is the largest number of finished supervisions, `BENCH_ACTIVE` (10000) the largest of active ones.

use std::time::Duration;

use futures::StreamExt;

use crate::driver::{Driver, Pace};
use crate::fakes::Fakes;
use crate::history;
use crate::pairs::{Latency, cpu_each};
use crate::services::{Program, Service, Setup, free_port};
use crate::target::{Limit, Target};
use crate::{Outcome, driver};

const PACE: Pace = Pace {
    name: "4",
    at_a_time: 4,
    rounds: 60,
    period: Duration::from_millis(200),
};
const WARM_UP_ROUNDS: usize = 10;
/// Of an idle service: longer than two rounds of the idle poll and of the sweep.
const IDLE: Duration = Duration::from_secs(125);

/// A pair on a store with a history or with active supervisions.
pub(crate) struct Point {
    pub(crate) history: usize,
    pub(crate) active: usize,
    pub(crate) cpu_ms: f64,
    pub(crate) start: Latency,
    file_mb: f64,
    ready_ms: f64,
}

/// What a service costs that nobody calls.
pub(crate) struct Idle {
    active: usize,
    cpu_percent: f64,
    written_mb_per_minute: f64,
    resident_mb: f64,
    ready_ms: f64,
}

pub(crate) struct Growth {
    pub(crate) points: Vec<Point>,
    idle: Vec<Idle>,
}

fn limit(variable: &str, usual: usize) -> Outcome<usize> {
    Ok(std::env::var(variable).ok().map_or(Ok(usual), |text| text.parse())?)
}

/// The sizes to measure: 0, and each of `sizes` up to `most`.
fn up_to(most: usize, sizes: &[usize]) -> Vec<usize> {
    sizes.iter().copied().filter(|size| *size <= most).collect()
}

pub(crate) async fn measure_all() -> Outcome<Growth> {
    let mut growth = Growth {
        points: Vec::new(),
        idle: Vec::new(),
    };
    for history in up_to(limit("BENCH_HISTORY", 100_000)?, &[0, 10_000, 100_000, 1_000_000]) {
        growth.points.push(with_history(history).await?);
    }
    for active in up_to(limit("BENCH_ACTIVE", 10_000)?, &[0, 100, 1_000, 10_000]) {
        let (point, idle) = with_active(active).await?;
        growth.points.extend(point);
        growth.idle.extend(idle);
    }
    Ok(growth)
}

struct Scene {
    fakes: Fakes,
    folder: tempfile::TempDir,
    port: u16,
}

impl Scene {
    fn new() -> Outcome<Self> {
        Ok(Self {
            fakes: Fakes::start()?,
            folder: tempfile::tempdir_in(".")?,
            port: free_port()?,
        })
    }

    fn setup(&self) -> Setup<'_> {
        Setup {
            program: Program::Sidedoor,
            fakes: &self.fakes,
            folder: self.folder.path(),
            counter: None,
            port: self.port,
            settings: &[],
        }
    }

    async fn start(&self) -> Outcome<(Service, Driver)> {
        let service = self.setup().start().await?;
        self.fakes.send_events_to(&service.url, 0.0).await?;
        let driver = Driver::of(&service)?;
        Ok((service, driver))
    }
}

async fn with_history(history: usize) -> Outcome<Point> {
    eprintln!("measuring with {history} finished supervisions");
    let scene = Scene::new()?;
    let (mut service, driver) = scene.start().await?;
    let few = Pace { rounds: 2, ..PACE };
    driver.pairs(&scene.fakes, few, "first").await?;
    driver::until_recorded(&scene.fakes, &service, few.pairs()).await?;
    scene.fakes.until_quiet().await?;
    service.process.stop().await?;
    let store = scene.setup().store();
    history::add(&store, history, jiff::Timestamp::now().as_millisecond())?;
    let file_mb = std::fs::metadata(&store)?.len() as f64 / 1e6;
    let (service, driver) = scene.start().await?;
    let warm_up = Pace {
        rounds: WARM_UP_ROUNDS,
        ..PACE
    };
    driver.pairs(&scene.fakes, warm_up, "warm").await?;
    driver::until_recorded(&scene.fakes, &service, few.pairs() + warm_up.pairs()).await?;
    scene.fakes.until_quiet().await?;
    let before = service.process.used()?;
    let latencies = driver.pairs(&scene.fakes, PACE, "load").await?;
    driver::until_recorded(&scene.fakes, &service, few.pairs() + warm_up.pairs() + PACE.pairs()).await?;
    scene.fakes.until_quiet().await?;
    Ok(Point {
        history,
        active: 0,
        cpu_ms: cpu_each(service.process.used()?, before, PACE.pairs() as f64),
        start: Latency::of(&latencies.start),
        file_mb,
        ready_ms: service.ready_after.as_secs_f64() * 1e3,
    })
}

/// The idle cost with `active` supervisions, then a pair beside them, without the idle cost of the same time.
async fn with_active(active: usize) -> Outcome<(Option<Point>, Option<Idle>)> {
    eprintln!("measuring with {active} active supervisions");
    let scene = Scene::new()?;
    let (service, driver) = scene.start().await?;
    let joins = futures::stream::iter(0..active).map(|n| {
        let (driver, fakes, user) = (&driver, &scene.fakes, format!("active-{n}"));
        async move {
            let contact = fakes.create_call(&user).await?;
            driver.start(&contact, &user).await
        }
    });
    let joins: Vec<_> = joins.buffer_unordered(32).collect().await;
    joins.into_iter().collect::<Outcome<Vec<_>>>()?;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let before = service.process.used()?;
    tokio::time::sleep(IDLE).await;
    let after = service.process.used()?;
    let cpu_a_second = (after.cpu - before.cpu).as_secs_f64() / IDLE.as_secs_f64();
    let mut idle = Idle {
        active,
        cpu_percent: cpu_a_second * 100.0,
        written_mb_per_minute: (after.written - before.written) as f64 / 1e6 * 60.0 / IDLE.as_secs_f64(),
        resident_mb: service.process.resident()? as f64 / 1e6,
        ready_ms: service.ready_after.as_secs_f64() * 1e3,
    };
    if active == 0 {
        return Ok((None, Some(idle)));
    }
    let begun = std::time::Instant::now();
    let before = service.process.used()?;
    let latencies = driver.pairs(&scene.fakes, PACE, "load").await?;
    // The departures are recorded within seconds; the idle poll goes on for ever, so that nobody can wait for its end.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let used = service.process.used()?;
    let idle_cpu_ms = cpu_a_second * begun.elapsed().as_secs_f64() * 1e3;
    let point = Point {
        history: 0,
        active,
        cpu_ms: cpu_each(used, before, PACE.pairs() as f64) - idle_cpu_ms / PACE.pairs() as f64,
        start: Latency::of(&latencies.start),
        file_mb: std::fs::metadata(scene.setup().store())?.len() as f64 / 1e6,
        ready_ms: idle.ready_ms,
    };
    drop(service);
    let (service, _) = scene.start().await?;
    idle.ready_ms = service.ready_after.as_secs_f64() * 1e3;
    Ok((Some(point), Some(idle)))
}

pub(crate) fn print_table(growth: &Growth) {
    println!("\n| finished | active | CPU of a pair, ms | start p50 / p99 ms | file, MB | start to ready, ms |");
    println!("|---:|---:|---:|---:|---:|---:|");
    for p in &growth.points {
        println!(
            "| {} | {} | {:.2} | {:.2} / {:.1} | {:.0} | {:.0} |",
            p.history, p.active, p.cpu_ms, p.start.p50, p.start.p99, p.file_mb, p.ready_ms
        );
    }
    println!("\n| idle, active | CPU, % of a core | written, MB a minute | resident, MB | ready after a kill, ms |");
    println!("|---:|---:|---:|---:|---:|");
    for i in &growth.idle {
        println!(
            "| {} | {:.2} | {:.2} | {:.0} | {:.0} |",
            i.active, i.cpu_percent, i.written_mb_per_minute, i.resident_mb, i.ready_ms
        );
    }
}

pub(crate) fn targets(growth: &Growth) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |what: String, measured: f64, most: f64| {
        targets.push(Target {
            what,
            measured,
            limit: Limit::AtMost(most),
        });
    };
    let finished = |p: &&Point| p.active == 0;
    if let (Some(empty), Some(full)) = (
        growth.points.iter().find(finished),
        growth.points.iter().rfind(finished),
    ) {
        add(
            format!("CPU of a pair with {} finished ÷ without", full.history),
            full.cpu_ms / empty.cpu_ms,
            1.1,
        );
        add(
            format!("start to ready with {} finished, ms", full.history),
            full.ready_ms,
            150.0,
        );
        if full.history > 0 {
            let each = (full.file_mb - empty.file_mb) * 1e3 / full.history as f64;
            add("kB a finished supervision".into(), each, 8.0);
        }
    }
    let active = |p: &&Point| p.active > 0;
    if let (Some(few), Some(many)) = (growth.points.iter().find(active), growth.points.iter().rfind(active)) {
        let what = format!("CPU of a pair with {} active ÷ with {}", many.active, few.active);
        add(what, many.cpu_ms / few.cpu_ms, 1.1);
    }
    for idle in &growth.idle {
        match idle.active {
            0 => add("resident without supervisions, MB".into(), idle.resident_mb, 40.0),
            10_000 => {
                add("CPU with 10000 idle, % of a core".into(), idle.cpu_percent, 1.0);
                add(
                    "written with 10000 idle, MB a minute".into(),
                    idle.written_mb_per_minute,
                    1.0,
                );
                add("resident with 10000 idle, MB".into(), idle.resident_mb, 100.0);
                add("start to ready with 10000 active, ms".into(), idle.ready_ms, 150.0);
            }
            _ => {}
        }
    }
    targets
}
