//! `scripts/advisories`: a finding fails, what cannot be asked does not, and both are said.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Programs that the script calls, as shell scripts.
struct Programs(tempfile::TempDir);

const REPORT: &str = r#"echo '{"auditReportVersion": 2,'; echo '"vulnerabilities": {}}'"#;
const FINDING: &str = r#"echo '{"auditReportVersion": 2, "vulnerabilities": {"left-pad": {"name": "left-pad", "severity": "high"}}}'; exit 1"#;
const CLEAN_CRATES: &str = "exit 0";

impl Programs {
    fn new(cargo_deny: &str, npm: &str) -> Self {
        let programs = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in [("cargo-deny", cargo_deny), ("npm", npm)] {
            let path = programs.0.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        }
        programs
    }

    /// Whether the script succeeds, and what it prints.
    fn run(&self) -> (bool, String) {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/advisories"))
            .env("PATH", path)
            .env_remove("CARGO_DENY")
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }
}

fn lines<'t>(text: &'t str, lock: &str) -> Vec<&'t str> {
    let about = format!("{lock}: ");
    text.lines().filter_map(|line| line.strip_prefix(&about)).collect()
}

#[test]
fn advisories_names_every_lock_file() {
    let (success, text) = Programs::new(CLEAN_CRATES, REPORT).run();
    assert!(success, "{text}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let locks = walkdir::WalkDir::new(root).into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        !matches!(name.as_ref(), "node_modules" | "target" | ".git")
    });
    let mut seen = 0;
    for entry in locks.map(|entry| entry.expect("readable")) {
        let name = entry.file_name().to_string_lossy();
        if matches!(name.as_ref(), "Cargo.lock" | "package-lock.json") {
            let lock = entry.path().strip_prefix(root).expect("below").display().to_string();
            assert_eq!(lines(&text, &lock), ["no known vulnerability"], "{lock}: {text}");
            seen += 1;
        }
    }
    assert!(seen >= 7, "{seen}");
}

#[test]
fn advisories_not_reached_are_not_checked_and_pass() {
    let no_network = r#"echo '[ERROR] failed to fetch' >&2; exit 1"#;
    let no_registry = r#"echo 'npm error request to https://registry failed' >&2; echo 'npm error log' >&2; exit 1"#;
    let (success, text) = Programs::new(no_network, no_registry).run();
    assert!(success, "{text}");
    for lock in ["Cargo.lock", "fuzz/Cargo.lock", "tests/contract/package-lock.json"] {
        let said = lines(&text, lock);
        assert!(said.len() == 1 && said[0].starts_with("not checked: "), "{text}");
    }
    assert!(text.contains("[ERROR] failed to fetch") && text.contains("request to https://registry failed"));
    assert!(!text.contains("no known vulnerability"), "{text}");
}

#[test]
fn advisories_findings_fail() {
    // The database was fetched; only the second lock file has a finding.
    let crates = r#"case "$*" in *" fetch db") exit 0 ;; *fuzz/Cargo.toml*) echo 'RUSTSEC-0000-0000'; exit 1 ;; esac"#;
    let (success, text) = Programs::new(crates, REPORT).run();
    assert!(!success && text.contains("RUSTSEC-0000-0000"), "{text}");
    assert_eq!(lines(&text, "Cargo.lock"), ["no known vulnerability"]);
    assert!(lines(&text, "fuzz/Cargo.lock")[0].starts_with("VULNERABLE"), "{text}");
    let (success, text) = Programs::new(CLEAN_CRATES, FINDING).run();
    assert!(
        !success && text.contains("\"left-pad\"") && text.contains("\"high\""),
        "{text}"
    );
    assert!(
        lines(&text, "infra/salesforce/package-lock.json")[0].starts_with("VULNERABLE"),
        "{text}"
    );
}
