//! Our own house: the configuration, the store and its disk, this machine's clock.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::Parts;
use super::report::{self, Report};
use crate::config::{Config, ConfigErrors};
use crate::store::sqlite::StoreView;
use sidedoor_domain::ports::store::RecordState;

/// Writes made to see how long the disk takes.
const SYNCS: usize = 25;
/// A disk that takes longer than this is felt by every caller, µs: one disconnect waits for one sync.
const SLOW_SYNC_US: u128 = 20_000;

/// The configuration, every problem a line. `None` if it cannot be used.
pub(super) fn configuration(
    report: &mut Report,
    path: Option<&Path>,
    config: Result<Config, ConfigErrors>,
) -> Option<Config> {
    let from = path.map_or_else(|| "the environment alone".to_owned(), |p| p.display().to_string());
    let config = match config {
        Ok(config) => config,
        Err(ConfigErrors(problems)) => {
            for p in problems {
                let detail = format!("{} {}", p.setting, p.problem);
                report.fail(report::CONFIGURATION, None, detail, p.remedy);
            }
            return None;
        }
    };
    report.ok(report::CONFIGURATION, None, from);
    if config.auth.is_open() {
        report.warn(
            report::CALLERS,
            None,
            "no key and no issuer is configured: whoever reaches the loopback address may do everything",
            "configure [[auth.api_keys]] or [[auth.issuers]] before anybody but you uses it",
        );
    } else {
        let (keys, issuers) = (config.auth.api_keys.len(), config.auth.issuers.len());
        report.ok(
            report::CALLERS,
            None,
            format!("{keys} keys, {issuers} issuers of tokens"),
        );
    }
    Some(config)
}

/// The store: can it be written, how long does a sync take, does anything in it need a person.
pub(super) async fn store(report: &mut Report, parts: &Parts) {
    let url = &parts.config.store.url;
    let path = Path::new(
        url.trim_start_matches("sqlite://")
            .split('?')
            .next()
            .unwrap_or_default(),
    );
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let at = path.display().to_string();
    let writable = if path.exists() {
        File::options().append(true).open(path).map(|_| ())
    } else {
        Ok(())
    };
    match writable.and_then(|()| sync_times(folder)) {
        Err(e) => {
            let remedy = format!(
                "let the service's user make and write files in {}, or set store.url",
                folder.display()
            );
            return report.fail(report::JOURNAL_WRITABLE, None, format!("{at}: {e}"), remedy);
        }
        Ok(mut took) => {
            report.ok(report::JOURNAL_WRITABLE, None, at);
            took.sort_unstable();
            let (middle, longest) = (took[took.len() / 2], took[took.len() - 1]);
            let ms = |us: u128| format!("{}.{:02} ms", us / 1000, us % 1000 / 10);
            let detail = format!(
                "a synced write takes {} (longest of {SYNCS}: {})",
                ms(middle),
                ms(longest)
            );
            if middle > SLOW_SYNC_US {
                let remedy = "put the store on a local SSD; a network file system is no place for SQLite";
                report.warn(report::JOURNAL_SYNC, None, detail, remedy);
            } else {
                report.ok(report::JOURNAL_SYNC, None, detail);
            }
        }
    }
    standing(report, url, path).await;
}

/// Small synced writes beside the store, each timed, µs.
fn sync_times(folder: &Path) -> std::io::Result<Vec<u128>> {
    let path = folder.join(format!(".sidedoor-check-{}", uuid::Uuid::new_v4().simple()));
    let timed = || -> std::io::Result<Vec<u128>> {
        let mut file = File::create_new(&path)?;
        let mut took = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            #[allow(clippy::disallowed_methods, reason = "how long a disk takes is measured here")]
            let begun = std::time::Instant::now();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            took.push(begun.elapsed().as_micros());
        }
        Ok(took)
    };
    let took = timed();
    let removed = std::fs::remove_file(&path);
    let took = took?;
    removed.map(|()| took)
}

async fn standing(report: &mut Report, url: &str, path: &Path) {
    if !path.exists() {
        return report.ok(
            report::JOURNAL_STANDING,
            None,
            "there is none yet: the service makes it",
        );
    }
    let counts = match StoreView::open(url).await {
        Ok(view) => view.counts().await.map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    let counts = match counts {
        Ok(counts) => counts,
        Err(e) => {
            let remedy =
                "if this version has not run on it yet, start the service once: it brings the store up to date";
            return report.warn(
                report::JOURNAL_STANDING,
                None,
                format!("it cannot be read: {e}"),
                remedy,
            );
        }
    };
    let rows = |state| counts.rows.iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| *n);
    let (pending, dead) = (rows(RecordState::Pending), rows(RecordState::Failed));
    let active: u64 = counts.active.iter().map(|(_, n)| n).sum();
    let detail = format!(
        "{active} supervisions under way ({} overdue), {pending} rows on their way, {dead} dead letters",
        counts.overdue
    );
    if dead > 0 || counts.overdue > 0 {
        let remedy = "GET /v1/deliveries?state=FAILED and GET /v1/supervisions?overdue=true say what each needs";
        report.warn(report::JOURNAL_STANDING, None, detail, remedy);
    } else {
        report.ok(report::JOURNAL_STANDING, None, detail);
    }
}

/// Whether this machine's clock is synchronised, as the kernel knows.
pub(super) fn clock(report: &mut Report, parts: &Parts) {
    let allowed = parts.config.clock.max_error;
    let Some(kernel) = kernel_clock() else {
        return report.warn(
            report::CLOCK_SYNCHRONISED,
            None,
            "this system does not tell",
            "see to it that a time service runs, and set clock.max_error_ms to what it vouches for",
        );
    };
    let ms = kernel.max_error_us / 1000;
    if !kernel.synchronised {
        return report.warn(
            report::CLOCK_SYNCHRONISED,
            None,
            "the kernel says that no time service has set it",
            "run chronyd or systemd-timesyncd; in a container, on the host. Until then every recorded time may be off by more \
             than it says",
        );
    }
    let detail = format!(
        "the kernel vouches for ±{ms} ms; clock.max_error_ms is {}",
        allowed.as_millis()
    );
    if u128::try_from(ms).is_ok_and(|ms| ms > allowed.as_millis()) {
        let remedy = format!("set clock.max_error_ms to at least {ms}, or find a better time source");
        report.warn(report::CLOCK_SYNCHRONISED, None, detail, remedy);
    } else {
        report.ok(report::CLOCK_SYNCHRONISED, None, detail);
    }
}

struct KernelClock {
    synchronised: bool,
    max_error_us: i64,
}

/// adjtimex(2), which only reads when no mode is set.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "libc has no safe call for it")]
fn kernel_clock() -> Option<KernelClock> {
    // SAFETY: timex is plain data, for which all zeroes is a value; adjtimex gets a valid pointer to it, and with modes = 0
    // only fills it in.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    (state >= 0).then(|| KernelClock {
        synchronised: state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0,
        #[allow(clippy::useless_conversion, reason = "c_long is no i64 everywhere")]
        max_error_us: i64::from(timex.maxerror),
    })
}

#[cfg(not(target_os = "linux"))]
fn kernel_clock() -> Option<KernelClock> {
    None
}
