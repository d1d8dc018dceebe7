//! `[audit]`

use std::path::Path;

use sidedoor_domain::audit_chain::AuditKeys;

use super::Reader;

const KEY_FILE: &str = "audit.key_file";

/// `[audit]`
#[derive(Debug, Clone, Default)]
pub struct AuditConfig {
    /// The keys that sign lines and seals; none without a key file.
    pub keys: AuditKeys,
}

impl AuditConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let Some(path) = r.secret_file(KEY_FILE) else {
            return Self::default();
        };
        let remedy = "write a key into it (openssl rand -hex 32), and older keys below it";
        let keys =
            super::reader::read_bounded(&path).and_then(|text| AuditKeys::parse(&text).map_err(|e| e.to_string()));
        match keys {
            Ok(keys) => Self { keys },
            Err(problem) => {
                r.problem(
                    KEY_FILE,
                    format!("the file {} cannot be used: {problem}", path.display()),
                    remedy,
                );
                Self::default()
            }
        }
    }

    /// Reads the keys of a file, for commands without a configuration.
    ///
    /// # Errors
    /// Why the file cannot be used.
    pub fn keys_of(path: &Path) -> Result<AuditKeys, String> {
        let text = super::reader::read_bounded(path)?;
        AuditKeys::parse(&text).map_err(|e| e.to_string())
    }
}
