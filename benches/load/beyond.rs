//! What Sidedoor gives beyond the peers: departures that are recorded although events are lost, the right instant although the
//! vendor's clock is wrong, and no accepted start without a record after `kill -9`.

use std::time::Duration;

use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::Outcome;
use crate::driver::{Accepted, Driver, LISTENING, text};
use crate::fakes::Fakes;
use crate::services::{Program, Service, Setup, free_port};
use crate::target::{Limit, Target};

const SUPERVISIONS: usize = 400;
const AT_A_TIME: usize = 20;
/// Share of events that are lost.
const LOSS: f64 = 0.03;
const SKEW_MS: i64 = 2200;
const KILLS: usize = 20;
const STARTS_BETWEEN_KILLS: usize = 8;
/// How long departures may take until they count as never recorded. Sidedoor polls those that listen at most every minute.
const PATIENCE: Duration = Duration::from_secs(100);

/// What one program achieved.
pub(crate) struct Beyond {
    pub(crate) program: &'static str,
    departures: usize,
    unrecorded: usize,
    error_p50_ms: f64,
    error_p99_ms: f64,
    accepted: usize,
    without_record: usize,
}

/// Runs all scenarios with Sidedoor and both peers.
pub(crate) async fn measure_all() -> Outcome<Vec<Beyond>> {
    let mut all = Vec::new();
    for program in [Program::Sidedoor, Program::Python, Program::Node] {
        let (departures, unrecorded, errors) = lose_events(program).await?;
        let (accepted, without_record) = kill(program).await?;
        all.push(Beyond {
            program: program.name(),
            departures,
            unrecorded,
            error_p50_ms: errors.value_at_quantile(0.5) as f64,
            error_p99_ms: errors.value_at_quantile(0.99) as f64,
            accepted,
            without_record,
        });
    }
    Ok(all)
}

pub(crate) fn print_table(all: &[Beyond]) {
    println!(
        "\n| program | departures never recorded, {LOSS} of events lost | error of the instant, vendor's clock {SKEW_MS} ms ahead, p50 / p99 ms | accepted starts without a record after {KILLS} kills |"
    );
    println!("|---|---:|---:|---:|");
    for b in all {
        println!(
            "| {} | {} of {} | {:.0} / {:.0} | {} of {} |",
            b.program, b.unrecorded, b.departures, b.error_p50_ms, b.error_p99_ms, b.without_record, b.accepted
        );
    }
}

pub(crate) fn targets(all: &[Beyond]) -> Vec<Target> {
    let ours = all.iter().filter(|b| b.program == "Sidedoor");
    let target = |what: &str, measured: f64, most: f64| Target {
        what: what.to_owned(),
        measured,
        limit: Limit::AtMost(most),
    };
    ours.flat_map(|b| {
        [
            target("departures never recorded", b.unrecorded as f64, 0.0),
            target("accepted starts without a record", b.without_record as f64, 0.0),
        ]
    })
    .collect()
}

/// A service with its fakes and its folder.
struct Scene {
    fakes: Fakes,
    folder: tempfile::TempDir,
    program: Program,
    port: u16,
}

impl Scene {
    fn new(program: Program) -> Outcome<Self> {
        Ok(Self {
            fakes: Fakes::start()?,
            folder: tempfile::tempdir_in(".")?,
            program,
            port: free_port()?,
        })
    }

    async fn start(&self) -> Outcome<Service> {
        let setup = Setup {
            program: self.program,
            fakes: &self.fakes,
            folder: self.folder.path(),
            counter: None,
            port: self.port,
            settings: &[],
        };
        setup.start().await
    }

    /// Legs of `accepted` without a departure in Salesforce, after waiting at most [`PATIENCE`] for it; and all departures.
    async fn unrecorded(&self, accepted: &[Accepted]) -> Outcome<(usize, Vec<Value>)> {
        let begun = Instant::now();
        loop {
            let records: Vec<Value> = self.fakes.records().await?;
            let departures: Vec<Value> = records
                .into_iter()
                .filter(|r| !r["Disconnected_At__c"].is_null())
                .collect();
            let of = |leg: &str| departures.iter().any(|r| text(r, "Leg_Key__c").contains(leg));
            let missing = accepted.iter().filter(|a| !of(&a.leg)).count();
            if missing == 0 || begun.elapsed() > PATIENCE {
                return Ok((missing, departures));
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Half of the supervisors disconnect through the service, half leave by hand in their CCP.
async fn lose_events(program: Program) -> Outcome<(usize, usize, Histogram<u64>)> {
    eprintln!("losing events of {}", program.name());
    let scene = Scene::new(program)?;
    scene.fakes.settings(json!({"clock": {"skewMs": SKEW_MS}})).await?;
    let service = scene.start().await?;
    scene.fakes.send_events_to(&service.url, LOSS).await?;
    let driver = Driver::of(&service)?;
    let workers = (0..AT_A_TIME).map(|worker| {
        let (driver, fakes) = (&driver, &scene.fakes);
        async move {
            let mut all = Vec::new();
            for n in (worker..SUPERVISIONS).step_by(AT_A_TIME) {
                let user = format!("loss-{n}");
                let contact = fakes.create_call(&user).await?;
                let accepted = driver.start(&contact, &user).await?;
                sleep(LISTENING * 3).await;
                if (n / AT_A_TIME).is_multiple_of(2) {
                    let directive = driver.disconnect(&accepted).await?;
                    driver.obey(fakes, &accepted, &directive).await?;
                } else {
                    let leg = json!({"legContactId": accepted.leg});
                    fakes.post(&format!("ccp/{user}/end-leg"), leg).await?;
                }
                all.push(accepted);
            }
            Outcome::Ok(all)
        }
    });
    let accepted: Vec<Accepted> = futures::future::try_join_all(workers)
        .await?
        .into_iter()
        .flatten()
        .collect();
    let (unrecorded, departures) = scene.unrecorded(&accepted).await?;
    let mut errors = Histogram::<u64>::new(3)?;
    for leg in accepted.iter().map(|a| &a.leg) {
        let record = departures.iter().find(|r| text(r, "Leg_Key__c").contains(leg.as_str()));
        let recorded = record.and_then(|r| r["Disconnected_Epoch_Ms__c"].as_f64());
        let real: Timestamp = text(&scene.fakes.contact(leg).await?, "trueDisconnectAt").parse()?;
        if let Some(recorded) = recorded {
            errors.record((recorded - real.as_millisecond() as f64).abs() as u64)?;
        }
    }
    Ok((accepted.len(), unrecorded, errors))
}

/// Kills the service again and again while supervisors start and leave.
async fn kill(program: Program) -> Outcome<(usize, usize)> {
    eprintln!("killing {}", program.name());
    let scene = Scene::new(program)?;
    let mut service = scene.start().await?;
    scene.fakes.send_events_to(&service.url, 0.0).await?;
    let driver = Driver::of(&service)?;
    let mut accepted = Vec::new();
    for round in 0..KILLS {
        let life = async {
            // Kills fall into every phase of the pairs, which take about 100 ms.
            sleep(Duration::from_millis(fastrand::u64(2..160))).await;
            drop(service);
            scene.start().await
        };
        let pairs =
            (0..STARTS_BETWEEN_KILLS).map(|n| pair_through_kill(&driver, &scene.fakes, format!("kill-{round}-{n}")));
        let (restarted, pairs) = tokio::join!(life, futures::future::join_all(pairs));
        service = restarted?;
        for pair in pairs {
            accepted.extend(pair?);
        }
    }
    let (without_record, _) = scene.unrecorded(&accepted).await?;
    Ok((accepted.len(), without_record))
}

/// `None` if the start was not accepted. An accepted start is repeated until it is done, as clients do.
async fn pair_through_kill(driver: &Driver, fakes: &Fakes, user: String) -> Outcome<Option<Accepted>> {
    let contact = fakes.create_call(&user).await?;
    sleep(Duration::from_millis(fastrand::u64(0..60))).await;
    let body = json!({"contactId": contact, "supervisor": {"connectUserId": user}});
    let Ok(started) = driver.post("/v1/supervisions", body).await else {
        return Ok(None);
    };
    let mut accepted = Accepted {
        id: text(&started, "id"),
        leg: text(&started, "legContactId"),
        user,
    };
    let begun = Instant::now();
    while accepted.leg.is_empty() && begun.elapsed() < Duration::from_secs(30) {
        sleep(Duration::from_millis(50)).await;
        if let Ok(now) = driver.get(&format!("/v1/supervisions/{}", accepted.id)).await {
            accepted.leg = text(&now, "legContactId");
        }
    }
    sleep(LISTENING).await;
    let directive = loop {
        match driver.disconnect(&accepted).await {
            Ok(directive) => break directive,
            Err(e) if begun.elapsed() > Duration::from_secs(60) => return Err(e),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    // The leg ends once. An acknowledgement that a kill cuts off is not sent again, because browsers may be closed.
    let _ = driver.obey(fakes, &accepted, &directive).await;
    Ok(Some(accepted))
}
