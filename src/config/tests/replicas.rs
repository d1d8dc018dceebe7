//! `replica_region` of an instance.

use super::{GOOD, load_with};

#[test]
fn replica_is_in_another_region() {
    let with = |lines: &str| GOOD.replace("region =", &format!("{lines}\nregion ="));
    let good = load_with(&with("replica_region = \"us-east-1\""), &[]).expect("good");
    let replica = good.connect.instances.values().next().and_then(|i| i.replica.as_ref());
    assert_eq!(replica.map(|replica| replica.region.as_str()), Some("us-east-1"));
    let settings = good.usecases.instances.values().next().expect("one");
    assert_eq!(settings.regions(), ["us-west-2", "us-east-1"]);
    assert_eq!(settings.other_region(None).map(|r| r.as_str()), Some("us-east-1"));
    let replica = settings.replica_region.as_ref();
    assert_eq!(settings.other_region(replica).map(|r| r.as_str()), Some("us-west-2"));
    for (lines, setting) in [
        ("replica_region = \"us-west-2\"", "replica_region"),
        ("replica_region = \"Oregon\"", "replica_region"),
        (
            "replica_endpoint_url = \"https://connect.example\"",
            "replica_endpoint_url",
        ),
        (
            "replica_region = \"us-east-1\"\nreplica_endpoint_url = \"http://connect.example\"",
            "replica_endpoint_url",
        ),
    ] {
        let problems = load_with(&with(lines), &[]).expect_err(lines).0;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(
            problems[0].setting,
            format!("connect.instances.main.{setting}"),
            "{lines}"
        );
    }
}
