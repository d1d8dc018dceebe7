//! The lines of the report. Each kind of line is defined here once; `docs/runbook.md` has a heading for each, and a test
//! compares the two.

use std::fmt::Write;

use serde::Serialize;

/// The runbook's path in the repository.
const RUNBOOK: &str = "docs/runbook.md";

/// A kind of line: one thing that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The section of the report.
    pub section: &'static str,
    /// A stable id, which is also the runbook's anchor.
    pub id: &'static str,
    /// The expected state.
    pub title: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $section:literal, $id:literal, $title:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: Kind = Kind { section: $section, id: $id, title: $title };
        )*

        /// All kinds of lines, in the order of the report.
        pub const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    CONFIGURATION = "configuration", "configuration", "the configuration is valid";
    CALLERS = "configuration", "callers", "callers must authenticate";
    SECRET_FILES = "configuration", "secret-files", "files with secrets are for their owner only";
    AUDIT_KEY = "configuration", "audit-key", "the audit is signed with a key";
    ISSUERS = "configuration", "issuers", "the issuers' keys can be read";
    TRANSPORT = "configuration", "transport", "connections are protected";
    STORE_WRITABLE = "store", "store-writable", "the store can be written";
    STORE_SYNC = "store", "store-sync", "the disk syncs writes quickly";
    STORE_READABLE = "store", "store-readable", "every supervision in the store can be read";
    STORE_CONTENTS = "store", "store-contents", "nothing in the store needs a person";
    CLOCK_SYNCHRONISED = "clock", "clock-synchronised", "this machine's clock is synchronised";
    CLOCK_AWS = "clock", "clock-aws", "this machine's clock agrees with AWS";
    CLOCK_SALESFORCE = "clock", "clock-salesforce", "this machine's clock agrees with Salesforce";
    AWS_IDENTITY = "amazon connect", "aws-identity", "AWS accepts our credentials";
    CONNECT_ACCOUNT = "amazon connect", "connect-account", "events are accepted from the instance's account only";
    CONNECT_INSTANCE = "amazon connect", "connect-instance", "the instance can be reached and is active";
    CONNECT_MONITORING = "amazon connect", "connect-monitoring", "enhanced monitoring is enabled";
    CONNECT_USERS = "amazon connect", "connect-users", "user names can be resolved";
    CONNECT_RIGHTS = "amazon connect", "connect-rights", "the role has the permissions that Sidedoor needs";
    CONNECT_SEARCH = "amazon connect", "connect-search", "legs can be searched for";
    CONNECT_STALENESS = "amazon connect", "connect-staleness", "Connect's answers are as fresh as configured";
    CONNECT_COMPLETENESS = "amazon connect", "connect-completeness", "no leg of a supervisor was missed";
    CONNECT_EXCESS = "amazon connect", "connect-excess", "the role has no permissions that Sidedoor does not need";
    SALESFORCE_LOGIN = "salesforce", "salesforce-login", "Salesforce accepts the login";
    SALESFORCE_OBJECT = "salesforce", "salesforce-object", "the object and its fields can be written";
    SALESFORCE_EXCESS = "salesforce", "salesforce-excess", "the integration user cannot delete records";
    SALESFORCE_LIMITS = "salesforce", "salesforce-limits", "the org has API calls left";
    SALESFORCE_VOICE_CALLS = "salesforce", "salesforce-voice-calls", "VoiceCalls can be looked up";
    SALESFORCE_MESSAGING_SESSIONS = "salesforce", "salesforce-messaging-sessions", "MessagingSessions can be looked up";
    SALESFORCE_USERS = "salesforce", "salesforce-users", "the Salesforce Users of tokens can be read";
    SALESFORCE_EVENTS = "salesforce", "salesforce-events", "the Platform Event can be published";
    LIVE_CONTACT = "live", "live-contact", "the test contact can be monitored";
    LIVE_JOIN = "live", "live-join", "MonitorContact returns a leg";
    LIVE_TOKEN = "live", "live-token", "the same ClientToken returns the same leg";
    LIVE_CONNECTED = "live", "live-connected", "the supervisor is connected";
    LIVE_LINK = "live", "live-link", "the leg refers to the monitored contact";
    LIVE_STOP = "live", "live-stop", "the answer of StopContact for the leg";
    LIVE_LEFT = "live", "live-left", "the leg has ended, and Connect reports it";
    LIVE_CUSTOMER = "live", "live-customer", "the customer's call continues";
}

/// Starts a remedy of another module with a capital letter, as those of the checks do.
pub(super) fn sentence(remedy: &str) -> String {
    let mut letters = remedy.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// The expected state.
    Ok,
    /// It works, but a person should act on the remedy.
    Warning,
    /// It does not work.
    Failed,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    section: &'static str,
    id: &'static str,
    result: Mark,
    title: &'static str,
    /// Which of several is meant, such as an instance's name.
    about: Option<String>,
    detail: String,
    remedy: Option<String>,
    runbook: Option<String>,
}

/// The report of one round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Json<'r> {
    success: bool,
    failures: usize,
    lines: &'r [Line],
}

impl Report {
    /// Adds a line with the result OK.
    pub fn ok(&mut self, kind: Kind, about: Option<&str>, detail: impl Into<String>) {
        self.push(kind, about, Mark::Ok, detail.into(), None);
    }

    /// Adds a warning.
    pub fn warn(&mut self, kind: Kind, about: Option<&str>, detail: impl Into<String>, remedy: impl Into<String>) {
        self.push(kind, about, Mark::Warning, detail.into(), Some(remedy.into()));
    }

    /// Adds a failure.
    pub fn fail(&mut self, kind: Kind, about: Option<&str>, detail: impl Into<String>, remedy: impl Into<String>) {
        self.push(kind, about, Mark::Failed, detail.into(), Some(remedy.into()));
    }

    fn push(&mut self, kind: Kind, about: Option<&str>, result: Mark, detail: String, remedy: Option<String>) {
        self.lines.push(Line {
            section: kind.section,
            id: kind.id,
            result,
            title: kind.title,
            about: about.map(ToOwned::to_owned),
            detail,
            runbook: remedy.is_some().then(|| format!("{RUNBOOK}#{}", kind.id)),
            remedy,
        });
    }

    /// The number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The number of failures.
    pub fn failures(&self) -> usize {
        self.lines.iter().filter(|l| l.result == Mark::Failed).count()
    }

    /// Whether nothing failed. Warnings do not count as failures.
    pub fn succeeded(&self) -> bool {
        self.failures() == 0
    }

    /// The report as text, section by section.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut section = "";
        let place = |line: &&Line| KINDS.iter().position(|k| k.section == line.section);
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        lines.sort_by_key(place);
        for line in lines {
            if line.section != section {
                section = line.section;
                let _ = writeln!(out, "{}{section}", if out.is_empty() { "" } else { "\n" });
                let _ = writeln!(out, "{}", "-".repeat(section.chars().count()));
            }
            let sign = match line.result {
                Mark::Ok => '✓',
                Mark::Warning => '!',
                Mark::Failed => '✗',
            };
            let about = line.about.as_ref().map(|a| format!(" [{a}]")).unwrap_or_default();
            let detail = if line.detail.is_empty() {
                String::new()
            } else {
                format!(": {}", line.detail)
            };
            let _ = writeln!(out, "{sign} {}{about}{detail}", line.title);
            if let (Some(remedy), Some(runbook)) = (&line.remedy, &line.runbook) {
                let _ = writeln!(out, "    → {remedy}\n    see {runbook}");
            }
        }
        let (failed, warned) = (
            self.failures(),
            self.lines.iter().filter(|l| l.result == Mark::Warning).count(),
        );
        let _ = writeln!(out, "\n{} checks: {failed} failed, {warned} warnings", self.lines.len());
        out
    }

    /// The report as a JSON object.
    pub fn json(&self) -> String {
        let json = Json {
            success: self.succeeded(),
            failures: self.failures(),
            lines: &self.lines,
        };
        serde_json::to_string_pretty(&json).unwrap_or_default()
    }
}
