//! Checks of this host: the configuration, the store and its disk, this machine's clock.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use sidedoor_domain::ports::store::RecordState;

use super::Parts;
use super::report::{self, Report};
use crate::config::{Config, ConfigErrors};
use crate::store::sqlite::StoreView;

/// How many synced writes are timed.
const SYNCS: usize = 25;
/// The most ids of a list that are shown.
const IDS_SHOWN: usize = 10;
/// The median time of a synced write above which the check warns, µs: each disconnect waits for one.
const SLOW_SYNC_US: u128 = 20_000;

/// Reports each problem of the configuration as a line. Returns `None` if there is any.
pub(super) fn configuration(
    report: &mut Report,
    path: Option<&Path>,
    config: Result<Config, ConfigErrors>,
) -> Option<Config> {
    let from = path.map_or_else(|| "from the environment only".to_owned(), |p| p.display().to_string());
    let config = match config {
        Ok(config) => config,
        Err(ConfigErrors(problems)) => {
            for p in problems {
                let detail = format!("{}: {}", p.setting, p.problem);
                report.fail(report::CONFIGURATION, None, detail, report::sentence(&p.remedy));
            }
            return None;
        }
    };
    report.ok(report::CONFIGURATION, None, from);
    if config.auth.is_open() {
        report.warn(
            report::CALLERS,
            None,
            "authentication is disabled: any local process has full access",
            "Add [[auth.api_keys]] or [[auth.issuers]] before others use this machine or this service",
        );
    } else {
        let (keys, issuers) = (config.auth.api_keys.len(), config.auth.issuers.len());
        report.ok(
            report::CALLERS,
            None,
            format!("{keys} API keys, {issuers} token issuers"),
        );
    }
    secrets(report, &config);
    Some(config)
}

/// Reports files with secrets that others may read, and whether the audit has a key.
fn secrets(report: &mut Report, config: &Config) {
    let shared = &config.secrets.shared_files;
    if shared.is_empty() {
        report.ok(report::SECRET_FILES, None, "");
    } else {
        let files: Vec<String> = shared
            .iter()
            .map(|(path, mode)| format!("{} (mode {mode:04o})", path.display()))
            .collect();
        report.warn(
            report::SECRET_FILES,
            None,
            format!(
                "secrets.allow_shared_files is set, and others may read {}",
                files.join(", ")
            ),
            "Make sure that nobody else can reach these files, or run chmod 600 and remove the setting",
        );
    }
    match config.audit.keys.current() {
        Some(id) => report.ok(report::AUDIT_KEY, None, format!("key {id} signs")),
        // As at the start of the service: on one machine, who can write the store can usually read the key, too.
        None if config.http.listen.ip().is_loopback() => {
            report.ok(
                report::AUDIT_KEY,
                None,
                "audit.key_file is not set; on a loopback address none is needed",
            );
        }
        None => report.warn(
            report::AUDIT_KEY,
            None,
            "audit.key_file is not set, so anyone who can write the store can rewrite its audit",
            "Write a key into a file outside the store (openssl rand -hex 32), and set audit.key_file to its path",
        ),
    }
}

/// Checks that the store can be written, how long a sync takes, and whether anything in it needs a person.
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
                "Allow the service's user to create and write files in {}, or set store.url to another path",
                folder.display()
            );
            return report.fail(report::STORE_WRITABLE, None, format!("{at}: {e}"), remedy);
        }
        Ok(mut took) => {
            report.ok(report::STORE_WRITABLE, None, at);
            took.sort_unstable();
            let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
            let ms = |us: u128| format!("{}.{:02} ms", us / 1000, us % 1000 / 10);
            let detail = format!(
                "a synced write takes {} (median; longest of {SYNCS}: {})",
                ms(median),
                ms(longest)
            );
            if median > SLOW_SYNC_US {
                let remedy = "Move the store to a local SSD; do not use a network file system";
                report.warn(report::STORE_SYNC, None, detail, remedy);
            } else {
                report.ok(report::STORE_SYNC, None, detail);
            }
        }
    }
    contents(report, url, path).await;
}

/// Times small synced writes in the store's folder, µs each.
fn sync_times(folder: &Path) -> std::io::Result<Vec<u128>> {
    let path = folder.join(format!(".sidedoor-check-{}", uuid::Uuid::new_v4().simple()));
    let timed = || -> std::io::Result<Vec<u128>> {
        let mut file = File::create_new(&path)?;
        let mut took = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            #[allow(clippy::disallowed_methods, reason = "measures how long the disk takes")]
            let started = std::time::Instant::now();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            took.push(started.elapsed().as_micros());
        }
        Ok(took)
    };
    let took = timed();
    let removed = std::fs::remove_file(&path);
    let took = took?;
    removed.map(|()| took)
}

/// Reports the supervisions that the service could not read when their work was due.
fn readable(report: &mut Report, unreadable: &[(String, Timestamp)]) {
    let Some((_, latest)) = unreadable.first() else {
        return report.ok(report::STORE_READABLE, None, "none was found to be unreadable");
    };
    let mut ids: Vec<&str> = unreadable.iter().take(IDS_SHOWN).map(|(id, _)| id.as_str()).collect();
    if unreadable.len() > IDS_SHOWN {
        ids.push("…");
    }
    let detail = format!(
        "{} supervisions cannot be read, so their records are not written (latest found {latest:.0}): {}",
        unreadable.len(),
        ids.join(", ")
    );
    let remedy = "If a later version of Sidedoor wrote them, run that version; if the file is damaged, restore a backup \
                  (`sidedoor restore`)";
    report.warn(report::STORE_READABLE, None, detail, remedy);
}

/// Checks whether dead letters or overdue disconnects in the store need a person.
async fn contents(report: &mut Report, url: &str, path: &Path) {
    if !path.exists() {
        return report.ok(
            report::STORE_CONTENTS,
            None,
            "no store yet: the service creates it at its first start",
        );
    }
    let read = match StoreView::open(url).await {
        Ok(view) => match (view.counts().await, view.unreadable().await) {
            (Ok(counts), Ok(unreadable)) => Ok((counts, unreadable)),
            (Err(e), _) | (_, Err(e)) => Err(e.to_string()),
        },
        Err(e) => Err(e.to_string()),
    };
    let (counts, unreadable) = match read {
        Ok(read) => read,
        Err(e) => {
            let remedy = "If an older version wrote the store, start the service once: it migrates the store";
            return report.warn(
                report::STORE_CONTENTS,
                None,
                format!("the store cannot be read: {e}"),
                remedy,
            );
        }
    };
    readable(report, &unreadable);
    let rows = |state| counts.rows.iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| *n);
    let (pending, dead) = (rows(RecordState::Pending), rows(RecordState::Failed));
    let active: u64 = counts.active.iter().map(|(_, n)| n).sum();
    let detail = format!(
        "{active} active supervisions ({} overdue), {pending} pending records, {dead} dead letters",
        counts.overdue
    );
    if dead > 0 || counts.overdue > 0 {
        let remedy =
            "Call GET /v1/deliveries?state=FAILED and GET /v1/supervisions?overdue=true, and do what each entry says";
        report.warn(report::STORE_CONTENTS, None, detail, remedy);
    } else {
        report.ok(report::STORE_CONTENTS, None, detail);
    }
}

/// Checks whether the kernel considers this machine's clock synchronised.
pub(super) fn clock(report: &mut Report, parts: &Parts) {
    let allowed_ms = parts.config.usecases.clock_error_ms;
    let Some(kernel) = kernel_clock() else {
        return report.warn(
            report::CLOCK_SYNCHRONISED,
            None,
            "unknown, because this system does not report it",
            "Run a time service, and set clock.max_error_ms to the error that it guarantees",
        );
    };
    let ms = kernel.max_error_us / 1000;
    if !kernel.synchronised {
        return report.warn(
            report::CLOCK_SYNCHRONISED,
            None,
            "the kernel reports that no time service synchronises the clock",
            "Run chrony or systemd-timesyncd (in a container, on the host). Until then recorded times may be off by more than \
             their stated uncertainty",
        );
    }
    let detail = format!("the kernel reports an error of at most ±{ms} ms; clock.max_error_ms is {allowed_ms}");
    if ms > allowed_ms {
        let remedy = format!("Set clock.max_error_ms to at least {ms}, or use a better time source");
        report.warn(report::CLOCK_SYNCHRONISED, None, detail, remedy);
    } else {
        report.ok(report::CLOCK_SYNCHRONISED, None, detail);
    }
}

struct KernelClock {
    synchronised: bool,
    max_error_us: i64,
}

/// Calls adjtimex(2), which only reads because no mode is set.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "libc has no safe call for it")]
fn kernel_clock() -> Option<KernelClock> {
    // SAFETY: timex is plain data, so all zeroes are a valid value. adjtimex gets a valid pointer to it, and with modes = 0
    // it only writes to it.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    (state >= 0).then(|| KernelClock {
        synchronised: state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0,
        #[allow(clippy::useless_conversion, reason = "c_long is not i64 on every target")]
        max_error_us: i64::from(timex.maxerror),
    })
}

#[cfg(not(target_os = "linux"))]
fn kernel_clock() -> Option<KernelClock> {
    None
}
