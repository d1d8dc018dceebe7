//! Says in `sidedoor --version` which commit the program was built from.
//!
//! Only release builds name it. Cargo compiles the whole package again after it has run this script again, which would be after each
//! commit; in development that would cost minutes. Who builds without the repository sets `SIDEDOOR_COMMIT`.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=scripts/build.rs");
    println!("cargo:rerun-if-env-changed=SIDEDOOR_COMMIT");
    let given: String = variable("SIDEDOOR_COMMIT")
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let build = if !given.is_empty() {
        format!("commit {given}")
    } else if variable("PROFILE") == "release" {
        let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
        format!("commit {}", commit(&folder).unwrap_or_else(|| "unknown".to_owned()))
    } else {
        "development build".to_owned()
    };
    println!("cargo:rustc-env=SIDEDOOR_BUILD={build}");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// What git prints; `None` if it fails or is not installed.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// The commit that is checked out, if the folder is the root of a repository and not merely inside of one.
fn commit(folder: &Path) -> Option<String> {
    let root = PathBuf::from(git(folder, &["rev-parse", "--show-toplevel"])?);
    if root.canonicalize().ok()? != folder.canonicalize().ok()? {
        return None;
    }
    // These change with every commit and every change of the branch.
    for name in ["HEAD", "logs/HEAD", "packed-refs"] {
        let path = folder.join(git(folder, &["rev-parse", "--git-path", name])?);
        // Cargo would run the script at every build for a file that does not exist.
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    git(folder, &["rev-parse", "--short=12", "HEAD"])
}
