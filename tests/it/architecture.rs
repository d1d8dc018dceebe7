//! The rules of the app, enforced: who may import whom, which room knows which vendor, and that StopContact is called
//! in one place.

use std::path::{Path, PathBuf};

/// Which of our rooms a room may name.
const RULES: [(&str, &[&str]); 18] = [
    ("domain", &[]),
    ("timing", &[]),
    ("ports", &["domain", "timing"]),
    ("flows", &["domain", "timing", "ports"]),
    // Each adapter its own section of the configuration.
    ("connect", &["domain", "ports", "config"]),
    ("salesforce", &["ports", "domain", "config"]),
    ("store", &["domain", "ports"]),
    ("http", &["flows", "domain"]),
    ("fakes", &["domain"]),
    ("clock", &["ports"]),
    ("config", &["domain"]),
    ("telemetry", &["config", "ports", "domain"]),
    // It answers the front door's question whether the process is ready.
    ("lifecycle", &["http"]),
    (
        "app",
        &[
            "clock",
            "config",
            "connect",
            "domain",
            "flows",
            "http",
            "store",
            "lifecycle",
            "ports",
            "salesforce",
            "telemetry",
            "timing",
        ],
    ),
    ("demo", &["app", "config", "fakes", "lifecycle"]),
    // What `sidedoor timing` prints, from simulation or from a store that is only read.
    ("timing_report", &["config", "domain", "store", "ports", "timing"]),
    // `sidedoor check` looks at every part by itself, and changes nothing unless asked to (`--live`).
    (
        "check",
        &["clock", "config", "connect", "domain", "store", "ports", "salesforce"],
    ),
    (
        "main",
        &[
            "app",
            "check",
            "config",
            "demo",
            "fakes",
            "lifecycle",
            "telemetry",
            "timing_report",
        ],
    ),
];

/// Which rooms may know a crate.
const CRATES: [(&str, &[&str]); 7] = [
    ("aws_", &["connect"]),
    ("oauth2::", &["salesforce"]),
    ("sqlx::", &["store"]),
    ("governor::", &["connect", "http"]),
    ("axum::", &["http", "fakes"]),
    ("hyper", &["http"]),
    ("clap::", &["main", "timing_report", "check"]),
];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    walkdir::WalkDir::new(root)
        .into_iter()
        .map(|entry| entry.expect("readable").into_path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| (path.clone(), std::fs::read_to_string(path).expect("readable")))
        .collect()
}

fn room(path: &Path) -> String {
    let below = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .expect("below src");
    let first = below
        .components()
        .next()
        .expect("a name")
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without its comments.
fn code(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

fn named_rooms(text: &str) -> Vec<String> {
    let word = |rest: &str| {
        rest.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut rooms = Vec::new();
    for prefix in ["crate::", "sidedoor::"] {
        for (at, _) in text.match_indices(prefix) {
            let rest = &text[at + prefix.len()..];
            if let Some(group) = rest.strip_prefix('{') {
                rooms.extend(
                    group
                        .split('}')
                        .next()
                        .unwrap_or_default()
                        .split(',')
                        .map(|part| word(part.trim())),
                );
            } else {
                rooms.push(word(rest));
            }
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut broken = Vec::new();
    for (path, text) in sources("src") {
        let here = room(&path);
        if here == "lib" {
            continue;
        }
        let Some((_, may)) = RULES.iter().find(|(name, _)| *name == here) else {
            broken.push(format!("{}: the room {here} has no rule", path.display()));
            continue;
        };
        for named in named_rooms(&code(&text)) {
            if named != here && !may.contains(&named.as_str()) {
                broken.push(format!("{} names {named}", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn vendors_crates_stay_in_their_rooms() {
    let mut broken = Vec::new();
    for (path, text) in sources("src") {
        for (name, rooms) in CRATES {
            if code(&text).contains(name) && !rooms.contains(&room(&path).as_str()) {
                broken.push(format!("{} knows {name}", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

/// The SDK's call that ends a contact, put together so that this file does not hold it.
const ENDING_CALL: &str = concat!(".stop_", "contact(");

/// Everything in the repository that could call anything, with its comments: a search finds what this finds.
fn whatever_could_call() -> Vec<(PathBuf, String)> {
    let kinds = ["rs", "py", "js", "ts", "sh", "cls"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || name == "target" || name == "node_modules")
    };
    walkdir::WalkDir::new(root)
        .into_iter()
        .filter_entry(ours)
        .map(|entry| entry.expect("readable").into_path())
        .filter(|path| path.extension().is_some_and(|e| kinds.iter().any(|k| e == *k)))
        .map(|path| (path.clone(), std::fs::read_to_string(path).expect("readable")))
        .collect()
}

#[test]
fn stop_contact_is_called_in_one_file_and_only_on_a_cleared_leg() {
    let all = whatever_could_call();
    assert!(
        all.iter()
            .any(|(path, _)| path.ends_with("tests/clients/test_connect.py")),
        "it looks everywhere"
    );
    let calls: Vec<_> = all.into_iter().filter(|(_, text)| text.contains(ENDING_CALL)).collect();
    let files: Vec<_> = calls.iter().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(
        files.len(),
        1,
        "StopContact may be called in one file only, and not be spelled in another: {files:?}"
    );
    let (path, text) = &calls[0];
    assert!(path.ends_with("src/connect/calls.rs"));
    assert_eq!(text.matches(ENDING_CALL).count(), 1);
    let call = text.find(ENDING_CALL).expect("there");
    let function = text[..call].rfind("async fn ").expect("in a function");
    assert!(
        text[function..call].contains("leg: &ClearedLeg"),
        "it takes what the interlock cleared"
    );
}

#[test]
fn only_the_interlock_makes_a_leg_or_clears_one() {
    for (path, text) in sources("src") {
        let text = code(&text);
        if !path.ends_with("src/domain/interlock.rs") {
            assert!(!text.contains("ClearedLeg("), "{} makes a ClearedLeg", path.display());
            assert!(!text.contains("LegId("), "{} makes a LegId", path.display());
        }
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for folder in ["src", "tests"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 480, "{} has {lines} lines: one story a file", path.display());
            let documented = text.starts_with("//!") || path.ends_with("config/tests.rs");
            assert!(documented, "{} does not begin by saying what it is", path.display());
        }
    }
    let main = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).expect("readable");
    assert!(
        main.lines().count() < 120,
        "main.rs is the command line and nothing else"
    );
}
