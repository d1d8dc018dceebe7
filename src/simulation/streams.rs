//! Hundreds of open streams of directives: a directive wakes only those of its own supervisor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sidedoor_domain::authority::{Caller, Scope};
use sidedoor_domain::ports::store::{DirectiveStore as _, SupervisionWrite};
use sidedoor_domain::ports::{Store as _, Transaction};
use sidedoor_domain::supervision::{LeaveTimes, Mode, Requester, Supervision, Supervisor};

use super::deliveries::{Desk, run, times};
use super::world::{World, main_instance, supervisor};
use crate::store::memory::StoreFaults;
use crate::usecases::directives::feed::DirectiveListener;

const STREAMS: usize = 300;

/// Counts how often streams look for changes.
#[derive(Default)]
pub(super) struct LookCounter(AtomicUsize);

#[async_trait]
impl StoreFaults for LookCounter {
    async fn before(&self, call: &'static str) {
        if call == "last_directive_change" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A supervision whose browser is told to change the mode.
fn directed(desk: &Desk<LookCounter>, i: usize) -> Supervision {
    let now = desk.clock.now();
    let contact = super::world::contact(i);
    let who = Supervisor {
        connect_user_id: Some(supervisor(i)),
        username: None,
        salesforce_user_id: None,
    };
    let id = sidedoor_domain::ids::SupervisionId::new(now, 0, i as u64);
    let ttl = jiff::SignedDuration::from_secs(30);
    let mut s = Supervision::request(id, main_instance(), contact.clone(), who, Mode::Silent, now, ttl);
    s.start_joining(now).expect("fits");
    let leg = sidedoor_domain::interlock::LegId::from_monitor_answer(&format!("leg-{i}"), &contact).expect("a leg");
    let times: LeaveTimes = times();
    s.leg_given(leg, now, now, times).expect("fits");
    s.direct_mode(Mode::Barge, Requester::Supervisor, now, times)
        .expect("fits");
    s
}

#[test]
fn directive_wakes_only_the_streams_of_its_supervisor() {
    run(|| async {
        let desk = Arc::new(Desk::<LookCounter>::new(false));
        let received = Arc::new(AtomicUsize::new(0));
        let mut readers = Vec::new();
        for i in 0..STREAMS {
            let caller = Caller::new(format!("browser-{i}"), vec![Scope::Supervise]).naming(Some(supervisor(i)));
            let listener = DirectiveListener {
                user: supervisor(i),
                instance: None,
                after: None,
                acts: true,
                tab: None,
            };
            let directives = desk.usecases.directives.clone();
            let mut stream = directives
                .follow_directives(&listener, &World::request(caller, None))
                .expect("a free place");
            let received = received.clone();
            readers.push(tokio::spawn(async move {
                while let Ok(Some(events)) = stream.next().await {
                    received.fetch_add(events.len(), Ordering::Relaxed);
                }
            }));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = desk.faults.0.load(Ordering::Relaxed);
        for i in [7, 8, 9] {
            let change = Transaction {
                supervision: Some(SupervisionWrite::Insert(Box::new(directed(&desk, i)))),
                ..Transaction::default()
            };
            assert!(desk.store.transact(change).await.expect("answered").is_done());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(received.load(Ordering::Relaxed), 3);
        let looks = desk.faults.0.load(Ordering::Relaxed) - before;
        // Each of the three looks when it wakes, and once more before it sleeps again.
        assert!(looks <= 6, "{looks} looks for three directives with {STREAMS} streams");

        // A tab that opens or closes concerns only the other tabs of its supervisor.
        let before = desk.faults.0.load(Ordering::Relaxed);
        for reader in readers.drain(10..) {
            reader.abort();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let looks = desk.faults.0.load(Ordering::Relaxed) - before;
        assert!(looks <= 10, "{looks} looks after {} streams closed", STREAMS - 10);
        assert_eq!(desk.usecases.directives.open_streams(), 10);
        assert_eq!(desk.store.last_directive_change().await.expect("read"), 3);
    });
}
