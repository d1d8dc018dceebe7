//! Directives to supervisors' browsers.

use sidedoor_domain::directive::{AckOutcome, Acknowledgement};
use sidedoor_domain::ports::store::{DirectiveChange, OrderedDirective};
use sidedoor_domain::ports::{CommitOutcome, Store};
use sidedoor_domain::supervision::{Mode, Requester, Supervision};
use tokio::sync::broadcast::error::TryRecvError;

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    directives_open_are_read_without_a_number,
    directive_gets_a_new_number_only_when_it_changes,
    directives_are_read_after_a_number,
    directive_changes_leave_out_acknowledgements,
    directive_before_the_first_open_one,
    directive_news_name_the_supervisor,
    directive_news_of_a_supervisor_leave_out_others,
    directive_of_an_unknown_user_is_not_ordered,
}

fn acknowledge(s: &mut Supervision) {
    let last = s.directives.last_mut().expect("a directive");
    last.answer = Some(Acknowledgement {
        outcome: AckOutcome::Done,
        at: None,
        received_at: at(1),
        detail: None,
        credential: None,
    });
}

/// Issues a directive to change the mode, and withdraws the one before.
fn direct(s: &mut Supervision) {
    s.direct_mode(Mode::Barge, Requester::Supervisor, at(0), times())
        .expect("fits");
}

async fn of(store: &dyn Store, name: &str, after: Option<i64>, limit: u32) -> Vec<OrderedDirective> {
    store
        .directives_of(&main_instance(), &user(name), after, limit)
        .await
        .expect("read")
}

fn numbers(found: &[OrderedDirective]) -> Vec<i64> {
    found.iter().map(|d| d.seq).collect()
}

async fn directives_open_are_read_without_a_number(store: &dyn Store) {
    let mut first = monitoring("contact-1", "user", "leg-1");
    direct(&mut first);
    done(store, insert(&first)).await;
    let mut other = monitoring("contact-2", "user-2", "leg-2");
    direct(&mut other);
    done(store, insert(&other)).await;
    let open = of(store, "user", None, 10).await;
    assert_eq!((numbers(&open), open[0].directive), (vec![1], first.directives[0].id));
    assert_eq!(
        open[0].stored,
        store.supervision(first.id).await.expect("read").expect("there")
    );
    direct(&mut first);
    done(store, update(&first, 1)).await;
    let open = of(store, "user", None, 10).await;
    assert_eq!((numbers(&open), open[0].directive), (vec![4], first.directives[1].id));
    let elsewhere = store
        .directives_of(&other_instance(), &user("user"), None, 10)
        .await
        .expect("read");
    assert_eq!(elsewhere, []);
    acknowledge(&mut first);
    done(store, update(&first, 2)).await;
    assert_eq!(of(store, "user", None, 10).await, []);
}

async fn directive_gets_a_new_number_only_when_it_changes(store: &dyn Store) {
    assert_eq!(store.last_directive_change().await.expect("read"), 0);
    let mut s = monitoring("contact", "user", "leg");
    direct(&mut s);
    done(store, insert(&s)).await;
    assert_eq!(store.last_directive_change().await.expect("read"), 1);
    s.checks = 5;
    done(store, update(&s, 1)).await;
    assert_eq!(store.last_directive_change().await.expect("read"), 1);
    direct(&mut s);
    done(store, update(&s, 2)).await;
    let all = of(store, "user", Some(0), 10).await;
    assert_eq!(numbers(&all), [2, 3]);
    let directives: Vec<_> = all.iter().map(|d| d.directive).collect();
    assert_eq!(directives, [s.directives[0].id, s.directives[1].id]);
}

async fn directives_are_read_after_a_number(store: &dyn Store) {
    for n in 0..3 {
        let mut s = monitoring("contact", "user", &format!("leg-{n}"));
        s.channel = Some(sidedoor_domain::supervision::Channel::Chat);
        direct(&mut s);
        done(store, insert(&s)).await;
    }
    assert_eq!(numbers(&of(store, "user", Some(1), 10).await), [2, 3]);
    assert_eq!(numbers(&of(store, "user", Some(0), 2).await), [1, 2]);
    assert_eq!(numbers(&of(store, "user", None, 2).await), [1, 2]);
    assert_eq!(of(store, "user", Some(3), 10).await, []);
}

async fn directive_changes_leave_out_acknowledgements(store: &dyn Store) {
    let mut first = monitoring("contact", "user-1", "leg-1");
    direct(&mut first);
    done(store, insert(&first)).await;
    direct(&mut first);
    done(store, update(&first, 1)).await;
    let mut second = monitoring("contact", "user-2", "leg-2");
    direct(&mut second);
    done(store, insert(&second)).await;
    acknowledge(&mut second);
    done(store, update(&second, 1)).await;
    let change = |seq, name| DirectiveChange { seq, user: user(name) };
    let changes = async |after, limit| store.directive_changes(after, limit).await.expect("read");
    assert_eq!(changes(0, 10).await, [change(2, "user-1"), change(3, "user-1")]);
    assert_eq!(changes(2, 10).await, [change(3, "user-1")]);
    assert_eq!(changes(0, 1).await, [change(2, "user-1")]);
    assert_eq!(store.last_directive_change().await.expect("read"), 5);
}

async fn directive_before_the_first_open_one(store: &dyn Store) {
    let before = async || store.before_open_directives().await.expect("read");
    assert_eq!(before().await, 0);
    let mut s = monitoring("contact", "user", "leg");
    direct(&mut s);
    done(store, insert(&s)).await;
    assert_eq!(before().await, 0);
    direct(&mut s);
    done(store, update(&s, 1)).await;
    assert_eq!(before().await, 2);
    acknowledge(&mut s);
    done(store, update(&s, 2)).await;
    assert_eq!(before().await, 4, "none is open");
}

async fn directive_news_name_the_supervisor(store: &dyn Store) {
    let mut news = store.directive_news();
    let mut s = monitoring("contact", "user", "leg");
    done(store, insert(&s)).await;
    assert_eq!(news.try_recv(), Err(TryRecvError::Empty), "it has no directive");
    direct(&mut s);
    done(store, update(&s, 1)).await;
    assert_eq!(news.try_recv(), Ok((main_instance(), user("user"))));
    assert_eq!(outcome(store, update(&s, 1)).await, CommitOutcome::Stale);
    assert_eq!(news.try_recv(), Err(TryRecvError::Empty), "nothing was written");
    direct(&mut s);
    store.transact_later(update(&s, 2));
    store.flush().await.expect("done");
    assert_eq!(news.try_recv(), Ok((main_instance(), user("user"))));
}

async fn directive_of_an_unknown_user_is_not_ordered(store: &dyn Store) {
    let mut s = monitoring("contact", "user", "leg");
    direct(&mut s);
    s.supervisor.connect_user_id = None;
    done(store, insert(&s)).await;
    assert_eq!(store.last_directive_change().await.expect("read"), 0);
}

async fn directive_news_of_a_supervisor_leave_out_others(store: &dyn Store) {
    let mut mine = store.directive_news_of((main_instance(), user("user")));
    let elsewhere = store.directive_news_of((other_instance(), user("user")));
    let mut other = monitoring("contact-2", "user-2", "leg-2");
    direct(&mut other);
    done(store, insert(&other)).await;
    assert!(!mine.has_changed());
    let mut first = monitoring("contact-1", "user", "leg-1");
    direct(&mut first);
    done(store, insert(&first)).await;
    mine.changed().await;
    assert!(!mine.has_changed() && !elsewhere.has_changed());
    assert_eq!(outcome(store, update(&first, 7)).await, CommitOutcome::Stale);
    assert!(!mine.has_changed(), "nothing was written");
}
