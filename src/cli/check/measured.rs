//! What a running service has measured of Amazon Connect, read from its store.

use sidedoor_domain::ids::InstanceName;

use super::Parts;
use super::report::{self, Kind, Report};
use crate::store::sqlite::StoreView;

const UPGRADE: &str = "If an older version wrote the store, start the service once: it migrates the store";

/// The store, or `None` after a line that there is none yet. Other lines about the store say why it cannot be opened.
async fn opened(report: &mut Report, parts: &Parts, line: Kind, name: &InstanceName) -> Option<StoreView> {
    let view = StoreView::open(&parts.config.store.url).await.ok();
    if view.is_none() {
        report.ok(line, Some(name.as_str()), "no store yet, so nothing was measured");
    }
    view
}

/// Whether the running service measured answers that were older than configured. Such an answer can show a leg alive that has ended.
pub(super) async fn staleness(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let (line, about) = (report::CONNECT_STALENESS, Some(name.as_str()));
    let allowed = parts.config.usecases.poll_staleness;
    let Some(view) = opened(report, parts, line, name).await else {
        return;
    };
    match view.poll_staleness(name).await {
        Ok(Some(measured)) if measured.age > allowed => {
            let (age, at) = (measured.age.as_millis(), measured.measured_at);
            let detail = format!(
                "GetCurrentUserData showed a leg {age} ms after its end (measured {at}); supervision.poll_staleness_ms is {}",
                allowed.as_millis()
            );
            let remedy = format!("Set supervision.poll_staleness_ms to at least {age}");
            report.warn(line, about, detail, remedy);
        }
        Ok(_) => {
            let detail = format!("no answer older than {} ms was measured", allowed.as_millis());
            report.ok(line, about, detail);
        }
        Err(e) => report.warn(line, about, format!("the store cannot be read: {e}"), UPGRADE),
    }
}

/// How many legs the running service found only by searching, because neither an event nor a poll had named them.
pub(super) async fn completeness(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let (line, about) = (report::CONNECT_COMPLETENESS, Some(name.as_str()));
    if parts.config.usecases.completeness_every.is_none() {
        let remedy =
            "Set supervision.completeness_every_s, so that legs are recorded whose events and polls were missed";
        return report.warn(line, about, "legs are not searched for", remedy);
    }
    let Some(view) = opened(report, parts, line, name).await else {
        return;
    };
    match view.completeness(name).await {
        Ok(Some(covered)) => {
            #[allow(clippy::cast_precision_loss, reason = "only a share is shown")]
            let share = 100.0 * covered.missed as f64 / covered.legs.max(1) as f64;
            let detail = format!(
                "{} of {} legs that ended between {:.0} and {:.0} were found only by searching ({share:.1} %)",
                covered.missed, covered.legs, covered.since, covered.until
            );
            if covered.missed == 0 {
                report.ok(line, about, detail);
            } else {
                let remedy = "They are recorded, but later and less exactly. Check the event rule and its deliveries";
                report.warn(line, about, detail, remedy);
            }
        }
        Ok(None) => report.ok(line, about, "the service has not checked yet"),
        Err(e) => report.warn(line, about, format!("the store cannot be read: {e}"), UPGRADE),
    }
}
