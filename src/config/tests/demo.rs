//! The demo's keys are published with the source code, so no other service accepts them.

use sha2::{Digest, Sha256};

use super::{GOOD, load_with};

/// The keys in the demo's source.
fn demo_keys() -> Vec<&'static str> {
    let source = include_str!("../../../crates/sidedoor-fakes/src/demo.rs");
    let constants = source.lines().filter(|line| line.contains("_KEY: &str = "));
    constants.filter_map(|line| line.split('"').nth(1)).collect()
}

#[test]
fn demo_keys_are_refused_outside_the_demo() {
    let keys = demo_keys();
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in keys {
        let hash = hex::encode(Sha256::digest(key));
        let own = "secret = \"a-long-enough-secret\"";
        for line in [
            format!("secret = \"{key}\""),
            format!("sha256 = \"{hash}\""),
            format!("{own}\nprevious_secret = \"{key}\""),
        ] {
            let config = GOOD.replace(own, &line);
            let wrong = load_with(&config, &[]).expect_err("refused").0;
            assert_eq!(
                (wrong.len(), wrong[0].setting.as_str()),
                (1, "auth.api_keys"),
                "{wrong:?}"
            );
            assert!(wrong[0].problem.contains("published"), "{wrong:?}");
            let demo = ("SIDEDOOR__AUTH__DEMO", "true");
            assert!(load_with(&config, &[demo]).is_ok(), "the demo itself");
            let others = ("SIDEDOOR__HTTP__LISTEN", "0.0.0.0:8080");
            let plain = ("SIDEDOOR__HTTP__PLAINTEXT", "true");
            let wrong = load_with(&config, &[demo, others, plain]).expect_err("refused").0;
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert!(wrong[0].setting.starts_with("auth.demo"), "{wrong:?}");
        }
    }
}
