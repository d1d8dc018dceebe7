//! `[secrets]`: files with secrets that others than their owner may read are refused, unless the platform mounts them so.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Reader;

const ALLOW: &str = "secrets.allow_shared_files";

/// `[secrets]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretsConfig {
    /// Files with secrets that others than their owner may read, and their permissions. Empty unless they are allowed.
    pub shared_files: Vec<(PathBuf, u32)>,
}

impl SecretsConfig {
    /// Checks all files that hold a secret of this configuration. Comes after all other sections, which name these files.
    pub(super) fn read(r: &mut Reader) -> Self {
        let allowed = r.flag(ALLOW, false);
        let mut shared = Vec::new();
        for (setting, path) in r.secret_files() {
            // A file that cannot be read has its own problem.
            let Some(mode) = readable_by_others(&path) else {
                continue;
            };
            if !allowed {
                let problem = format!("others than its owner may read {} (mode {mode:04o})", path.display());
                let remedy = format!(
                    "run chmod 600 {}; where the platform mounts secrets so, as Kubernetes and Docker do, set {ALLOW} = true",
                    path.display()
                );
                r.problem(&setting, problem, remedy);
            }
            if !shared.iter().any(|(known, _)| *known == path) {
                shared.push((path, mode));
            }
        }
        Self { shared_files: shared }
    }
}

/// The permissions of a file that its group or everybody may read or write.
fn readable_by_others(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}
