//! `sidedoor --version`, and the build script that gives it the commit.

use std::path::{Path, PathBuf};
use std::process::Command;

fn printed(program: &Path, arguments: &[&str], env: &[(&str, &str)]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env_remove("SIDEDOOR_COMMIT")
        .envs(env.iter().copied())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn version_names_the_build() {
    let text = printed(Path::new(env!("CARGO_BIN_EXE_sidedoor")), &["--version"], &[]);
    let version = env!("CARGO_PKG_VERSION");
    let build = text.trim().strip_prefix(&format!("sidedoor {version} ("));
    let build = build.unwrap_or_else(|| panic!("{text}"));
    assert!(
        build.starts_with("development build)") || build.starts_with("commit "),
        "{text}"
    );
}

#[test]
fn version_commit_is_that_of_the_source_or_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("build-script");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc)
        .args(["--edition", "2024", "-o"])
        .arg(&script)
        .arg(source)
        .status();
    assert!(compiled.expect("rustc runs").success());
    let build = |at: &Path, profile: &str, more: &[(&str, &str)]| {
        let at = at.display().to_string();
        let env = [&[("PROFILE", profile), ("CARGO_MANIFEST_DIR", &at)], more].concat();
        let text = printed(&script, &[], &env);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("cargo:rustc-env=SIDEDOOR_BUILD="));
        let watched = text
            .lines()
            .filter_map(|line| line.strip_prefix("cargo:rerun-if-changed="));
        let watched: Vec<PathBuf> = watched.map(PathBuf::from).collect();
        (line.expect("a line").to_owned(), watched)
    };
    let repository = folder.path().join("repository");
    std::fs::create_dir_all(repository.join("inner")).expect("made");
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(&repository)
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@t.example",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .output()
            .expect("git runs");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    git(&["init", "--quiet"]);
    assert_eq!(build(&repository, "release", &[]).0, "commit unknown", "no commit yet");
    git(&["commit", "--quiet", "--allow-empty", "-m", "one"]);
    let (named, watched) = build(&repository, "release", &[]);
    assert_eq!(named, format!("commit {}", git(&["rev-parse", "--short=12", "HEAD"])));
    // A commit changes a file that cargo watches, and every watched file exists.
    let log = watched
        .iter()
        .find(|path| path.ends_with("logs/HEAD"))
        .expect("watched");
    let before = std::fs::read(log).expect("there");
    git(&["commit", "--quiet", "--allow-empty", "-m", "two"]);
    assert_ne!(std::fs::read(log).expect("there"), before);
    let git_files: Vec<_> = watched.iter().filter(|path| path.is_absolute()).collect();
    assert!(
        git_files.len() >= 2 && git_files.iter().all(|path| path.exists()),
        "{watched:?}"
    );
    // Neither a folder without a repository nor one inside of another's has a commit of its own.
    assert_eq!(build(folder.path(), "release", &[]).0, "commit unknown");
    assert_eq!(build(&repository.join("inner"), "release", &[]).0, "commit unknown");
    // In development nothing of git is watched, so that a commit compiles nothing again.
    let (named, watched) = build(&repository, "debug", &[]);
    assert_eq!((named.as_str(), watched.len()), ("development build", 1));
    let given = [("SIDEDOOR_COMMIT", "0123abc\n")];
    assert_eq!(build(folder.path(), "debug", &given).0, "commit 0123abc");
}
