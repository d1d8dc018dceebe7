//! The adapter against the fake of Amazon Connect.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::telephony::LegsFound;
use sidedoor_domain::ports::{Priority, Telephony};
use sidedoor_fakes::connect::{ACCESS_KEY, ACCOUNT, INSTANCE, REGION, SECRET_KEY};
use sidedoor_fakes::{Fakes, FakesConfig};

use super::AmazonConnect;
use crate::clock::SystemClock;
use crate::config::Config;

async fn adapter_of(fakes: &Fakes) -> AmazonConnect {
    let settings = [
        ("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE),
        ("CONNECT__INSTANCES__MAIN__REGION", REGION),
        ("CONNECT__INSTANCES__MAIN__ACCOUNT_ID", ACCOUNT),
        ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", fakes.connect_url()),
        ("CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND", "2000"),
        ("SALESFORCE__LOGIN_URL", fakes.salesforce_url()),
        ("SALESFORCE__CLIENT_ID", "fake-client-id"),
        ("SALESFORCE__CLIENT_SECRET", "fake-client-secret"),
        ("AUTH__API_KEYS__0__NAME", "test"),
        ("AUTH__API_KEYS__0__SECRET", "a-key-that-nobody-must-see"),
        ("AUTH__API_KEYS__0__SCOPES", "read"),
    ];
    let settings = settings.map(|(name, value)| (format!("SIDEDOOR__{name}"), value.to_owned()));
    let config = Config::parse("", settings).expect("a configuration");
    let credentials = Some((ACCESS_KEY.to_owned(), SECRET_KEY.to_owned().into()));
    let clock = Arc::new(SystemClock::start());
    let adapter = AmazonConnect::new(&config.connect, credentials, clock, Arc::new(|_| ())).await;
    adapter.expect("an adapter")
}

/// Begins and ends this many legs of a supervisor. Returns their ids, the oldest first.
fn begin_and_end_legs(fakes: &Fakes, user: &str, count: usize) -> Vec<String> {
    let connect = fakes.connect();
    let call = connect.create_call();
    let begin_and_end = |_| {
        let leg = connect.begin_leg_by_hand(&call, user).expect("a leg");
        connect.end_leg_in_ccp(user, &leg).expect("ended");
        leg
    };
    (0..count).map(begin_and_end).collect()
}

async fn search(adapter: &AmazonConnect, user: &str, since: Timestamp) -> LegsFound {
    let instance = InstanceName::parse("main").expect("a name");
    let user = UserId::parse(user).expect("an id");
    let range = (since, adapter.clock.now() + SignedDuration::from_secs(1));
    let found = adapter.legs_begun(&instance, &[user], range, Priority::Claim).await;
    found.expect("an answer")
}

#[tokio::test]
async fn legs_begun_reads_page_after_page_up_to_the_limit() {
    let fakes = sidedoor_fakes::start(FakesConfig::default())
        .await
        .expect("fakes start");
    let adapter = adapter_of(&fakes).await;
    // The vendor's stamps are in whole seconds.
    let since = adapter.clock.now() - SignedDuration::from_secs(1);
    let mut begun = begin_and_end_legs(&fakes, "supervisor-1", 250);
    begin_and_end_legs(&fakes, "supervisor-2", 10);
    let mut found = search(&adapter, "supervisor-1", since).await;
    assert!(found.is_complete);
    begun.sort();
    found.legs.sort();
    assert_eq!(found.legs, begun, "the three pages have every leg once");
    assert_eq!(fakes.connect().calls("SearchContacts"), 3);

    // The limit is five pages of a hundred. A full fifth page is complete, and one leg more is not.
    begin_and_end_legs(&fakes, "supervisor-1", 250);
    assert!(search(&adapter, "supervisor-1", since).await.is_complete);
    begin_and_end_legs(&fakes, "supervisor-1", 1);
    let found = search(&adapter, "supervisor-1", since).await;
    assert_eq!((found.legs.len(), found.is_complete), (500, false));
    assert_eq!(fakes.connect().calls("SearchContacts"), 13);
}
