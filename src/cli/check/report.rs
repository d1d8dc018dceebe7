//! The lines of a check. Every kind of line is named here once; `docs/runbook.md` has a heading for each, and a test
//! compares the two.

use std::fmt::Write;

use serde::Serialize;

/// Where the runbook is, from the repository's root.
const RUNBOOK: &str = "docs/runbook.md";

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What it belongs to.
    pub section: &'static str,
    /// A stable word; the runbook's anchor.
    pub id: &'static str,
    /// What should be so.
    pub title: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $section:literal, $id:literal, $title:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: Kind = Kind { section: $section, id: $id, title: $title };
        )*

        /// Every question there is.
        pub const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    CONFIGURATION = "configuration", "configuration", "the configuration is valid";
    CALLERS = "configuration", "callers", "callers must identify themselves";
    ISSUERS = "configuration", "issuers", "the issuers' keys can be had";
    JOURNAL_WRITABLE = "store", "store-writable", "the store can be written";
    JOURNAL_SYNC = "store", "store-sync", "the disk makes writes durable quickly";
    JOURNAL_STANDING = "store", "store-standing", "nothing in the store needs a person";
    CLOCK_SYNCHRONISED = "clock", "clock-synchronised", "this machine's clock is synchronised";
    CLOCK_AWS = "clock", "clock-aws", "this machine's clock agrees with AWS";
    CLOCK_SALESFORCE = "clock", "clock-salesforce", "this machine's clock agrees with Salesforce";
    AWS_IDENTITY = "amazon connect", "aws-identity", "AWS knows our credentials";
    CONNECT_INSTANCE = "amazon connect", "connect-instance", "the instance can be reached and is active";
    CONNECT_MONITORING = "amazon connect", "connect-monitoring", "enhanced monitoring is switched on";
    CONNECT_USERS = "amazon connect", "connect-users", "user names can be resolved";
    CONNECT_RIGHTS = "amazon connect", "connect-rights", "what Sidedoor needs is allowed";
    CONNECT_EXCESS = "amazon connect", "connect-excess", "what Sidedoor does not need is denied";
    SALESFORCE_LOGIN = "salesforce", "salesforce-login", "Salesforce lets us in";
    SALESFORCE_OBJECT = "salesforce", "salesforce-object", "the object and its fields can be written";
    SALESFORCE_EXCESS = "salesforce", "salesforce-excess", "rows cannot be deleted by us";
    SALESFORCE_LIMITS = "salesforce", "salesforce-limits", "API calls are left";
    SALESFORCE_VOICE_CALLS = "salesforce", "salesforce-voice-calls", "VoiceCalls can be looked up";
    SALESFORCE_USERS = "salesforce", "salesforce-users", "tokens' Salesforce Users can be read";
    SALESFORCE_EVENTS = "salesforce", "salesforce-events", "the Platform Event can be published";
    LIVE_CONTACT = "live", "live-contact", "the test contact can be listened to";
    LIVE_JOIN = "live", "live-join", "MonitorContact gives a leg";
    LIVE_TOKEN = "live", "live-token", "the same ClientToken gives the same leg";
    LIVE_CONNECTED = "live", "live-connected", "the supervisor is connected";
    LIVE_LINK = "live", "live-link", "the leg names the contact it listens to";
    LIVE_STOP = "live", "live-stop", "what StopContact answers for the leg";
    LIVE_LEFT = "live", "live-left", "the leg ended, and the vendor says so";
    LIVE_CUSTOMER = "live", "live-customer", "the customer's call goes on";
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// It does not work.
    Failed,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    section: &'static str,
    id: &'static str,
    result: Mark,
    title: &'static str,
    /// Of which of several, such as an instance's name.
    about: Option<String>,
    detail: String,
    remedy: Option<String>,
    runbook: Option<String>,
}

/// All answers of a round.
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
    /// It is as it should be.
    pub fn ok(&mut self, kind: Kind, about: Option<&str>, detail: impl Into<String>) {
        self.push(kind, about, Mark::Ok, detail.into(), None);
    }

    /// It works, and somebody should look.
    pub fn warn(&mut self, kind: Kind, about: Option<&str>, detail: impl Into<String>, remedy: impl Into<String>) {
        self.push(kind, about, Mark::Warning, detail.into(), Some(remedy.into()));
    }

    /// It does not work.
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

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many failed.
    pub fn failures(&self) -> usize {
        self.lines.iter().filter(|l| l.result == Mark::Failed).count()
    }

    /// Whether none failed; warnings are no failures.
    pub fn succeeded(&self) -> bool {
        self.failures() == 0
    }

    /// For people: section by section, each in the order of asking.
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
        let _ = writeln!(
            out,
            "\n{} checks: {failed} failed, {warned} with a warning",
            self.lines.len()
        );
        out
    }

    /// For machines.
    pub fn json(&self) -> String {
        let json = Json {
            success: self.succeeded(),
            failures: self.failures(),
            lines: &self.lines,
        };
        serde_json::to_string_pretty(&json).unwrap_or_default()
    }
}
