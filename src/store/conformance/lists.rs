//! Lists of supervisions: filters, order and pages.

use jiff::Timestamp;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::Store;
use sidedoor_domain::ports::store::Filter;
use sidedoor_domain::supervision::{Origin, State, Supervision};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    list_is_newest_first_in_pages,
    list_is_filtered_by_each_field,
    list_is_filtered_by_creation_time,
}

type SetFilter = fn(&mut Filter);

fn all() -> Filter {
    Filter {
        limit: 100,
        ..Filter::default()
    }
}

async fn list(store: &dyn Store, filter: Filter) -> Vec<SupervisionId> {
    ids(&store.list(&filter).await.expect("read"))
}

async fn write(store: &dyn Store, many: &mut [Supervision]) {
    for (s, n) in many.iter_mut().zip(0..) {
        s.id = id_at(i64::from(n), n);
        done(store, insert(s)).await;
    }
}

async fn list_is_newest_first_in_pages(store: &dyn Store) {
    let mut many: Vec<_> = (0..5).map(|n| requested("contact", &format!("user-{n}"))).collect();
    write(store, &mut many).await;
    let mut before = None;
    for expected in [vec![4, 3], vec![2, 1], vec![0], vec![]] {
        let page = Filter {
            before,
            limit: 2,
            ..Filter::default()
        };
        let found = list(store, page).await;
        let expected: Vec<_> = expected.iter().map(|n: &usize| many[*n].id).collect();
        assert_eq!(found, expected);
        before = found.last().copied();
    }
    assert_eq!(list(store, Filter::default()).await, [], "a limit of 0");
}

async fn list_is_filtered_by_each_field(store: &dyn Store) {
    let mut many = [
        monitoring("contact-1", "user-1", "leg-1"),
        leaving("contact-2", "user-2", "leg-2"),
        left("contact-1", "user-2", "leg-3", at(1)),
        failed("contact-3", "user-1", at(1)),
    ];
    many[0].agent = Some(user("agent-1"));
    many[1].overdue = true;
    many[2].origin = Origin::Observed;
    many[3].instance = other_instance();
    write(store, &mut many).await;
    let cases: [(SetFilter, &[usize]); 13] = [
        (|_| (), &[3, 2, 1, 0]),
        (|f| f.states = vec![State::Left], &[2]),
        (|f| f.states = vec![State::Failed, State::Monitoring], &[3, 0]),
        (|f| f.states = vec![State::Requested], &[]),
        (|f| f.contact = Some(contact("contact-1")), &[2, 0]),
        (|f| f.supervisor = Some(user("user-2")), &[2, 1]),
        (|f| f.agent = Some(user("agent-1")), &[0]),
        (|f| f.instance = Some(main_instance()), &[2, 1, 0]),
        (|f| f.origin = Some(Origin::Api), &[3, 1, 0]),
        (|f| f.origin = Some(Origin::Observed), &[2]),
        (|f| f.overdue = Some(true), &[1]),
        (|f| f.overdue = Some(false), &[3, 2, 0]),
        (
            |f| {
                f.states = vec![State::Left, State::Leaving];
                (f.supervisor, f.overdue) = (Some(user("user-2")), Some(false));
            },
            &[2],
        ),
    ];
    for (n, (set, expected)) in cases.into_iter().enumerate() {
        let mut filter = all();
        set(&mut filter);
        let expected: Vec<_> = expected.iter().map(|n| many[*n].id).collect();
        assert_eq!(list(store, filter).await, expected, "case {n}");
    }
}

async fn list_is_filtered_by_creation_time(store: &dyn Store) {
    let mut many: Vec<_> = (0..4).map(|n| requested("contact", &format!("user-{n}"))).collect();
    write(store, &mut many).await;
    let found = async |since: Option<Timestamp>, until: Option<Timestamp>| {
        let filter = Filter { since, until, ..all() };
        list(store, filter).await
    };
    assert_eq!(found(Some(at(2)), None).await, [many[3].id, many[2].id]);
    assert_eq!(found(None, Some(at(2))).await, [many[1].id, many[0].id]);
    assert_eq!(found(Some(at(1)), Some(at(2))).await, [many[1].id]);
}
