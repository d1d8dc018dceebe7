//! Files with secrets and files of the store are for their owner only.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sidedoor::config::Config;
use sidedoor::store::sqlite::{SqliteStore, backup};

use crate::support::write_secret;

const SECRET: &str = "a-secret-of-a-back-end-01";

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

/// The problems of a configuration with these settings, as text.
fn problems(file: Option<&Path>, settings: &[(&str, &str)]) -> String {
    let more = [
        (
            "CONNECT__INSTANCES__MAIN__INSTANCE_ID",
            "11111111-2222-3333-4444-555555555555",
        ),
        ("CONNECT__INSTANCES__MAIN__REGION", "us-west-2"),
        ("SALESFORCE__ENABLED", "false"),
    ];
    let settings = settings.iter().chain(&more);
    let env = settings.map(|(key, value)| (format!("SIDEDOOR__{key}"), (*value).to_owned()));
    match Config::load(file, env) {
        Ok(_) => String::new(),
        Err(e) => e.to_string(),
    }
}

#[test]
fn secret_file_that_others_may_read_is_refused_unless_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (secret, key) = (folder.path().join("secret"), folder.path().join("audit.key"));
    write_secret(&secret, SECRET);
    write_secret(&key, &"ab".repeat(32));
    let settings = [
        ("AUTH__API_KEYS__0__NAME", "test"),
        ("AUTH__API_KEYS__0__SECRET_FILE", secret.to_str().expect("text")),
        ("AUTH__API_KEYS__0__SCOPES", "read"),
        ("AUDIT__KEY_FILE", key.to_str().expect("text")),
    ];
    assert_eq!(problems(None, &settings), "");
    for file in [&secret, &key] {
        for wide in [0o640, 0o604, 0o644, 0o660] {
            set_mode(file, wide);
            let told = problems(None, &settings);
            let expected = format!("others than its owner may read {} (mode {wide:04o})", file.display());
            assert!(told.contains(&expected) && told.contains("1 problem"), "{told}");
            assert!(!told.contains(SECRET) && !told.contains("abab"), "{told}");
            let mut allowed = settings.to_vec();
            allowed.push(("SECRETS__ALLOW_SHARED_FILES", "true"));
            assert_eq!(problems(None, &allowed), "");
        }
        set_mode(file, 0o400);
    }
    // What a link points to counts, as with the secrets that Kubernetes mounts.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&secret, &link).expect("linked");
    let mut by_link = settings.to_vec();
    by_link[1].1 = link.to_str().expect("text");
    assert_eq!(problems(None, &by_link), "");
}

#[test]
fn configuration_file_with_a_secret_is_for_its_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sidedoor.toml");
    let text = format!("[[auth.api_keys]]\nname = \"test\"\nsecret = \"{SECRET}\"\nscopes = [\"read\"]\n");
    write_secret(&file, &text);
    assert_eq!(problems(Some(&file), &[]), "");
    set_mode(&file, 0o644);
    let told = problems(Some(&file), &[]);
    assert!(
        told.contains("auth.api_keys.0.secret: others than its owner may read"),
        "{told}"
    );
    // With a hash or a file it holds no secret.
    let hash = "0".repeat(64);
    let text = format!("[[auth.api_keys]]\nname = \"test\"\nsha256 = \"{hash}\"\nscopes = [\"read\"]\n");
    std::fs::write(&file, text).expect("written");
    assert_eq!(problems(Some(&file), &[]), "");
}

#[test]
fn audit_key_file_that_holds_no_key_is_reported_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("audit.key");
    for (text, expected) in [
        ("", "it contains no key"),
        ("abcd", "has 2 bytes; it needs 32 to 1024"),
        ("not-a-key-but-a-secret!", "line 1 is neither hexadecimal nor base64"),
    ] {
        write_secret(&key, text);
        let told = problems(None, &[("AUDIT__KEY_FILE", key.to_str().expect("text"))]);
        assert!(told.contains(expected) && !told.contains("not-a-key"), "{told}");
    }
}

#[tokio::test]
async fn store_files_that_others_may_read_are_made_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let url = format!("sqlite://{}", path.display());
    SqliteStore::open(&url, 1).await.expect("opens").close().await;
    let lock = folder.path().join("store.db.lock");
    for file in [&path, &lock] {
        set_mode(file, 0o644);
    }
    let store = SqliteStore::open(&url, 1).await.expect("opens");
    for name in ["store.db", "store.db.lock", "store.db-wal", "store.db-shm"] {
        assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
    }
    store.close().await;
    // Restoring a backup that others may read does not make the store readable.
    let copy = folder.path().join("copy.db");
    drop(store);
    backup::back_up(&url, &copy).expect("copied");
    assert_eq!(mode(&copy), 0o600);
    set_mode(&copy, 0o644);
    backup::restore(&url, &copy).expect("restored");
    assert_eq!(mode(&path), 0o600);
}
