//! The rules of the architecture: which module may import which, which module may use a library, what the domain crate may depend
//! on, and that StopContact is called in one place.

use std::path::{Path, PathBuf};

/// The root package's modules, each with the other modules that it may import. The crates `sidedoor-domain` and
/// `clock-calibration` are below all of them. A module that spawns tasks imports `telemetry`, so that a task keeps its span.
const RULES: [(&str, &[&str]); 14] = [
    ("usecases", &["telemetry"]),
    ("store", &[]),
    ("clock", &[]),
    ("random", &[]),
    // The configuration builds the settings types that these modules own.
    ("config", &["http", "telemetry", "usecases"]),
    // Each adapter reads its own section of the configuration.
    ("connect", &["config", "telemetry"]),
    ("salesforce", &["config", "telemetry"]),
    ("telemetry", &[]),
    ("http", &["usecases", "telemetry"]),
    // It reports to the HTTP layer whether the process is ready.
    ("lifecycle", &["http"]),
    // The composition root connects everything.
    (
        "app",
        &[
            "clock",
            "random",
            "config",
            "connect",
            "http",
            "lifecycle",
            "salesforce",
            "store",
            "telemetry",
            "usecases",
        ],
    ),
    // `sidedoor check` tests every adapter by itself; `sidedoor timing` reads the store.
    ("cli", &["clock", "config", "connect", "http", "salesforce", "store"]),
    // Compiled for tests only. The world around the use cases is simulated, but the rate budget is the real one.
    ("simulation", &["config", "connect", "store", "usecases"]),
    // For fuzz targets and tests.
    ("untrusted", &["connect", "salesforce"]),
];

/// What `src/main.rs` may import: it parses the command line and starts the rest.
const MAIN: &[&str] = &["app", "cli", "config", "lifecycle", "telemetry"];

/// Which modules may use a library or a crate of this workspace.
const CRATES: [(&str, &[&str]); 13] = [
    ("aws_config", &["connect"]),
    ("aws_sdk", &["connect"]),
    ("aws_smithy", &["connect"]),
    ("oauth2::", &["salesforce"]),
    ("rusqlite::", &["store"]),
    ("governor::", &["connect", "http"]),
    ("axum::", &["http", "untrusted"]),
    ("hyper", &["http"]),
    ("rustls", &["http"]),
    ("clap::", &["main", "cli"]),
    ("opentelemetry", &["telemetry"]),
    (
        "clock_calibration",
        &["cli", "config", "simulation", "store", "usecases"],
    ),
    ("sidedoor_fakes", &[]),
];

/// What `sidedoor-domain` may depend on: no library that does I/O, and no other crate of this workspace.
const DOMAIN_DEPENDENCIES: [&str; 12] = [
    "async-trait",
    "base64",
    "clock-calibration",
    "hex",
    "hmac",
    "jiff",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "tokio",
    "uuid",
];

/// What the domain's code may not name: adapters, and the parts of allowed libraries that do I/O.
const DENIED_IN_DOMAIN: [&str; 13] = [
    "aws_",
    "axum",
    "clap::",
    "governor",
    "hyper",
    "oauth2",
    "reqwest",
    "rusqlite",
    "sidedoor::",
    "sidedoor_fakes",
    "std::fs",
    "std::net",
    "tokio::net",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    walkdir::WalkDir::new(root().join(folder))
        .into_iter()
        .map(|entry| entry.expect("readable").into_path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| (path.clone(), std::fs::read_to_string(path).expect("readable")))
        .collect()
}

/// The module of the root package that a file of `src` belongs to.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).expect("below src");
    let first = below.components().next().expect("a name");
    let first = first.as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without its comments.
fn code(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The modules of the root package that the code names by `crate::` or `sidedoor::`.
fn named_modules(text: &str) -> Vec<String> {
    let word = |rest: &str| {
        rest.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut modules = Vec::new();
    for prefix in ["crate::", "sidedoor::"] {
        for (at, _) in text.match_indices(prefix) {
            let rest = &text[at + prefix.len()..];
            if let Some(group) = rest.strip_prefix('{') {
                let group = group.split('}').next().unwrap_or_default();
                modules.extend(group.split(',').map(|part| word(part.trim())));
            } else {
                modules.push(word(rest));
            }
        }
    }
    modules.retain(|module| !module.is_empty());
    modules
}

#[test]
fn architecture_modules_import_only_what_they_may() {
    let mut broken = Vec::new();
    for (path, text) in sources("src") {
        let here = module(&path);
        let allowed = match here.as_str() {
            "lib" => continue,
            "main" => Some(&MAIN),
            _ => RULES.iter().find(|(name, _)| *name == here).map(|(_, allowed)| allowed),
        };
        let Some(allowed) = allowed else {
            broken.push(format!("{}: the module {here} has no rule", path.display()));
            continue;
        };
        for named in named_modules(&code(&text)) {
            if named != here && !allowed.contains(&named.as_str()) {
                broken.push(format!("{} imports {named}", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn architecture_rules_name_only_modules_that_exist() {
    let modules: Vec<String> = sources("src").iter().map(|(path, _)| module(path)).collect();
    let rules = RULES.iter().map(|(name, _)| *name);
    let users = CRATES.iter().flat_map(|(_, users)| users.iter().copied());
    let missing: Vec<&str> = rules.chain(users).filter(|m| !modules.iter().any(|n| n == m)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn architecture_libraries_are_used_only_in_their_modules() {
    let mut broken = Vec::new();
    for (path, text) in sources("src") {
        for (name, modules) in CRATES {
            if code(&text).contains(name) && !modules.contains(&module(&path).as_str()) {
                broken.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

/// The names in a table of a crate's manifest, without those of its tests.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("readable");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let dependencies = manifest["dependencies"].as_table().expect("a table");
    dependencies.keys().cloned().collect()
}

#[test]
fn architecture_domain_crate_names_no_adapter() {
    let dependencies = dependencies("crates/sidedoor-domain");
    let denied: Vec<_> = dependencies
        .iter()
        .filter(|d| !DOMAIN_DEPENDENCIES.contains(&d.as_str()))
        .collect();
    assert_eq!(denied, Vec::<&String>::new(), "the domain does no I/O");
    for (path, text) in sources("crates/sidedoor-domain/src") {
        for name in DENIED_IN_DOMAIN {
            assert!(!code(&text).contains(name), "{} names {name}", path.display());
        }
    }
}

#[test]
fn architecture_crates_do_not_depend_on_the_service() {
    for (folder, allowed) in [
        ("crates/clock-calibration", &[][..]),
        ("crates/sidedoor-domain", &["clock-calibration"][..]),
        ("crates/sidedoor-fakes", &["clock-calibration", "sidedoor-domain"][..]),
    ] {
        let ours = ["sidedoor", "sidedoor-domain", "sidedoor-fakes", "clock-calibration"];
        for dependency in dependencies(folder) {
            let fits = !ours.contains(&dependency.as_str()) || allowed.contains(&dependency.as_str());
            assert!(fits, "{folder} depends on {dependency}");
        }
    }
    assert!(
        !dependencies("").contains(&"sidedoor-fakes".to_owned()),
        "the service depends on the fakes only for its tests"
    );
}

/// The paths that a file re-exports: what follows `pub use` or `pub(…) use`.
fn reexports(text: &str) -> Vec<String> {
    let text = code(text);
    let items = text.split(';').filter_map(|item| {
        let (before, path) = item.rsplit_once("use ")?;
        let before = before.rsplit('\n').next().unwrap_or_default().trim();
        before
            .starts_with("pub")
            .then(|| path.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    items.collect()
}

#[test]
fn architecture_no_reexport_crosses_areas() {
    let outside = [
        "crate::",
        "super::",
        "sidedoor::",
        "sidedoor_domain::",
        "clock_calibration::",
        "sidedoor_fakes::",
    ];
    let mut crossing = Vec::new();
    for (path, text) in sources("src") {
        let path = path.strip_prefix(root()).expect("below the root").display().to_string();
        let paths = reexports(&text);
        let paths = paths.iter().filter(|used| outside.iter().any(|o| used.starts_with(o)));
        crossing.extend(paths.map(|used| format!("{path}: {used}")));
    }
    assert!(
        crossing.is_empty(),
        "import these from where they are declared: {crossing:#?}"
    );
    assert_eq!(
        reexports("pub(crate) use crate::a::{\n    B,\n};\nuse c::D;"),
        ["crate::a::{ B, }"]
    );
}

/// The SDK's call that ends a contact, put together so that this file does not contain it.
const ENDING_CALL: &str = concat!(".stop_", "contact(");

/// Every file of the repository that could contain a call, with its comments, so that a text search finds the same places.
fn files_that_could_call() -> Vec<(PathBuf, String)> {
    let kinds = ["rs", "py", "js", "ts", "sh", "cls"];
    let ours = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || name == "target" || name == "node_modules")
    };
    walkdir::WalkDir::new(root())
        .into_iter()
        .filter_entry(ours)
        .map(|entry| entry.expect("readable").into_path())
        .filter(|path| path.extension().is_some_and(|e| kinds.iter().any(|k| e == *k)))
        .map(|path| (path.clone(), std::fs::read_to_string(path).expect("readable")))
        .collect()
}

#[test]
fn stop_contact_is_called_in_one_file_on_a_cleared_leg() {
    let all = files_that_could_call();
    assert!(
        all.iter()
            .any(|(path, _)| path.ends_with("tests/clients/test_connect.py")),
        "the search covers the whole repository"
    );
    let calls: Vec<_> = all.into_iter().filter(|(_, text)| text.contains(ENDING_CALL)).collect();
    let files: Vec<_> = calls.iter().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(
        files.len(),
        1,
        "StopContact may be called in one file only, and no other file may contain the call's text: {files:?}"
    );
    let (path, text) = &calls[0];
    assert!(path.ends_with("src/connect/calls.rs"));
    assert_eq!(text.matches(ENDING_CALL).count(), 1);
    let call = text.find(ENDING_CALL).expect("there");
    let function = text[..call].rfind("async fn ").expect("in a function");
    assert!(
        text[function..call].contains("leg: &ClearedLeg"),
        "the function takes a leg that the interlock cleared"
    );
}

#[test]
fn interlock_alone_makes_and_clears_legs() {
    let interlock = Path::new("crates/sidedoor-domain/src/interlock.rs");
    let mut seen = false;
    for (path, text) in sources("src").into_iter().chain(sources("crates")) {
        let text = code(&text);
        if path.ends_with(interlock) {
            seen = text.contains("ClearedLeg(") && text.contains("LegId(");
        } else {
            assert!(!text.contains("ClearedLeg("), "{} makes a ClearedLeg", path.display());
            assert!(!text.contains("LegId("), "{} makes a LegId", path.display());
        }
    }
    assert!(seen, "the interlock is in {}", interlock.display());
}

/// The simulation repeats a run exactly only if the use cases take time, random numbers and order from injected ports. `moka` has
/// a clock of its own, so only `expiring_cache.rs` uses it.
#[test]
fn usecases_take_time_order_and_chance_from_outside() {
    let denied = [
        "HashMap",
        "HashSet",
        "RandomState",
        "fastrand",
        "Uuid::new_v4",
        "Uuid::now_v7",
        "moka::",
        "std::time::Instant",
    ];
    for folder in ["src/usecases", "crates/sidedoor-domain/src"] {
        for (path, text) in sources(folder) {
            let text = code(text.split("#[cfg(test)]").next().unwrap_or_default());
            for word in denied.iter().filter(|word| text.contains(**word)) {
                let allowed = (*word == "moka::" && path.ends_with("expiring_cache.rs"))
                    || (*word == "Uuid::new_v4" && path.ends_with("ids.rs"));
                assert!(allowed, "{} names {word}", path.display());
            }
            for (at, _) in text.match_indices("select! {") {
                let first = text[at + "select! {".len()..].trim_start();
                assert!(
                    first.starts_with("biased;"),
                    "{}: a select! is not biased",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn files_are_short_and_begin_with_a_description() {
    for folder in ["src", "crates", "tests", "benches"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 480, "{} has {lines} lines: one feature a file", path.display());
            let documented = text.starts_with("//!") || path.ends_with("config/tests.rs");
            assert!(documented, "{} does not begin with a description", path.display());
        }
    }
    let main = std::fs::read_to_string(root().join("src/main.rs")).expect("readable");
    assert!(
        main.lines().count() < 120,
        "main.rs has the command line and nothing else"
    );
}
