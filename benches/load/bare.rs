//! The bare caller: the vendor calls of a pair, paced as in a pair, and nothing else. A process of its own.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Outcome;
use crate::driver::{LISTENING, Pace};
use crate::fakes::Fakes;
use crate::floor::{Shares, Vendors};
use crate::process::cpu_of;

/// What the bare caller has measured about itself.
pub(crate) struct Bare {
    pub(crate) cpu_ms: f64,
    pub(crate) monitor_p50_us: f64,
    pub(crate) monitor_p99_us: f64,
}

/// Runs the bare caller in a process of its own.
pub(crate) async fn measure(fakes: &Fakes, pace: Pace, shares: Shares) -> Outcome<Bare> {
    let mut contacts = Vec::new();
    for n in 0..pace.pairs() {
        contacts.push(fakes.create_call(&format!("bare-{n}")).await?);
    }
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.args(["--bare", &fakes.connect, &fakes.salesforce, &shares.argument()]);
    command.args([pace.at_a_time, pace.period.as_millis() as usize].map(|n| n.to_string()));
    let output = command
        .args(&contacts)
        .stderr(std::process::Stdio::inherit())
        .output()
        .await?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let number = |name: &str| {
        report[name]
            .as_f64()
            .ok_or_else(|| format!("the bare caller said no {name}"))
    };
    Ok(Bare {
        cpu_ms: number("cpuMs")? / pace.pairs() as f64,
        monitor_p50_us: number("p50")?,
        monitor_p99_us: number("p99")?,
    })
}

/// The bare caller's own process: prints its CPU time and the latency of MonitorContact.
pub(crate) async fn run(arguments: &[String]) -> Outcome<()> {
    let [connect, salesforce, shares, at_a_time, period, contacts @ ..] = arguments else {
        return Err("the bare caller needs two URLs, shares, a pace and contacts".into());
    };
    let vendors = Vendors::log_in(connect, salesforce, Shares::parse(shares)?).await?;
    let pace = Pace {
        name: "bare",
        at_a_time: at_a_time.parse()?,
        rounds: contacts.len(),
        period: Duration::from_millis(period.parse()?),
    };
    let before = cpu_of("self")?;
    let begun = Instant::now();
    let vendors = &Arc::new(vendors);
    let workers = (0..pace.at_a_time).map(|worker| async move {
        let (mut times, mut following) = (Vec::new(), Vec::new());
        let mine = contacts.iter().enumerate().skip(worker).step_by(pace.at_a_time);
        for (round, (n, contact)) in mine.enumerate() {
            pace.wait(begun, round).await;
            let user = format!("bare-{n}");
            let token = uuid::Uuid::now_v7().to_string();
            let asked = Instant::now();
            let leg = vendors.monitor(contact, &user, &token).await?;
            times.push(asked.elapsed());
            let vendors = Arc::clone(vendors);
            following.push(tokio::spawn(async move {
                tokio::time::sleep(LISTENING).await;
                vendors.follow_up(&leg, &user, || async { Ok(()) }).await
            }));
        }
        Outcome::Ok((times, following))
    });
    let mut latency = Histogram::<u64>::new(3)?;
    let mut all = Vec::new();
    for (times, following) in futures::future::try_join_all(workers).await? {
        for time in times {
            latency.record(u64::try_from(time.as_micros())?)?;
        }
        all.extend(following);
    }
    for followed in all {
        followed.await??;
    }
    let spent = cpu_of("self")? - before;
    let report = json!({"cpuMs": spent.as_millis() as u64, "p50": latency.value_at_quantile(0.5),
        "p99": latency.value_at_quantile(0.99)});
    println!("{report}");
    Ok(())
}
