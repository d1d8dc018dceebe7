//! What each scope allows.

use super::*;
use crate::test_support::*;

/// A caller with one scope, whose credential names a supervisor.
fn caller(scope: Scope, supervisor: &str) -> Caller {
    Caller::new("caller", vec![scope]).naming(Some(user(supervisor)))
}

#[test]
fn scope_words_parse_back() {
    for scope in Scope::ALL {
        assert_eq!(Scope::parse(scope.as_str()), Some(scope));
    }
    assert_eq!(Scope::SuperviseAny.as_str(), "supervise:any");
    assert_eq!(Scope::parse("Read"), None);
}

#[test]
fn caller_acts_as_its_own_supervisor_or_as_any() {
    let may_act = |caller: Caller| caller.may_act_as(&user("supervisor-1"));
    assert!(may_act(caller(Scope::Supervise, "supervisor-1")));
    assert!(!may_act(caller(Scope::Supervise, "supervisor-2")));
    assert!(!may_act(Caller::new("nobody", vec![Scope::Supervise])));
    assert!(may_act(Caller::new("back end", vec![Scope::SuperviseAny])));
    assert!(!may_act(caller(Scope::Read, "supervisor-1")), "the scope is needed");
}

#[test]
fn caller_ends_a_supervision_as_supervisor_or_operator() {
    let s = monitoring();
    let own = caller(Scope::Supervise, "supervisor-1");
    let any = Caller::new("back end", vec![Scope::SuperviseAny, Scope::Operate]);
    let operator = caller(Scope::Operate, "supervisor-1");
    assert_eq!(own.may_end(&s), Some(Requester::Supervisor));
    assert_eq!(any.may_end(&s), Some(Requester::Supervisor));
    assert_eq!(operator.may_end(&s), Some(Requester::Operator));
    for (scope, supervisor) in [
        (Scope::Supervise, "supervisor-2"),
        (Scope::Read, "supervisor-1"),
        (Scope::Events, "supervisor-1"),
    ] {
        assert_eq!(caller(scope, supervisor).may_end(&s), None, "{scope:?}");
    }
    let mut of_nobody = monitoring();
    of_nobody.supervisor.connect_user_id = None;
    assert_eq!(own.may_end(&of_nobody), None);
    assert_eq!(any.may_end(&of_nobody), Some(Requester::Supervisor));
}

#[test]
fn caller_sees_its_own_supervisions_or_all() {
    let s = monitoring();
    for (scope, supervisor, sees_this, sees_all) in [
        (Scope::Supervise, "supervisor-1", true, false),
        (Scope::Supervise, "supervisor-2", false, false),
        (Scope::Events, "supervisor-1", false, false),
        (Scope::Read, "supervisor-2", true, true),
        (Scope::Operate, "supervisor-2", true, true),
        (Scope::SuperviseAny, "supervisor-2", true, true),
    ] {
        let caller = caller(scope, supervisor);
        assert_eq!(
            (caller.may_see(&s), caller.sees_all()),
            (sees_this, sees_all),
            "{scope:?}"
        );
    }
}

#[test]
fn board_limits_show_queues_and_hierarchy_groups_only() {
    let limited = Caller::new("board", vec![Scope::Board]).seeing(BoardLimits {
        queues: BTreeSet::from(["sales".into()]),
        hierarchy_groups: BTreeSet::from(["north".into()]),
    });
    assert!(limited.sees_agent(&["all".into(), "north".into()]) && !limited.sees_agent(&["south".into()]));
    assert!(limited.sees_queue(Some("sales")) && !limited.sees_queue(Some("support")) && !limited.sees_queue(None));
    let all = Caller::new("board", vec![Scope::Board]);
    assert!(all.sees_agent(&[]) && all.sees_queue(None));
    for scope in [Scope::Read, Scope::Operate, Scope::SuperviseAny] {
        let both = Caller {
            scopes: vec![Scope::Board, scope],
            ..limited.clone()
        };
        assert!(both.sees_agent(&[]) && both.sees_queue(None), "{scope:?} has no limits");
    }
    let other = caller(Scope::Supervise, "supervisor-1");
    assert!(!other.may_see_board() && !other.sees_agent(&[]) && !other.sees_queue(Some("sales")));
}

#[test]
fn only_a_scope_that_speaks_lets_a_supervisor_barge() {
    for scope in Scope::ALL {
        let speaks = matches!(scope, Scope::Barge | Scope::SuperviseAny);
        assert_eq!(caller(scope, "supervisor-1").may_barge(), speaks, "{scope:?}");
    }
}

#[test]
fn caller_records_as_the_salesforce_user_it_names() {
    let naming = |id: Option<&str>| Caller {
        salesforce_user: id.map(ToOwned::to_owned),
        ..caller(Scope::Supervise, "supervisor-1")
    };
    let own = naming(Some("005000000000001AAA"));
    assert!(own.may_record_as("005000000000001AAA"));
    assert!(own.may_record_as("005000000000001"), "15 and 18 characters are one id");
    assert!(!own.may_record_as("005000000000002AAA") && !own.may_record_as("005"));
    assert!(!naming(None).may_record_as("005000000000001AAA"));
    assert!(
        !naming(Some("short")).may_record_as("other"),
        "ids that are too short differ"
    );
    assert!(caller(Scope::SuperviseAny, "supervisor-1").may_record_as("005000000000002AAA"));
}

#[test]
fn caller_with_supervise_alone_or_beside_others_names_one_supervisor() {
    let names_one = |scopes: &[Scope]| Caller::new("caller", scopes.to_vec()).names_one_supervisor();
    for scope in Scope::ALL {
        assert_eq!(names_one(&[scope]), scope == Scope::Supervise, "{scope:?}");
        let is_one = scope != Scope::SuperviseAny;
        assert_eq!(names_one(&[Scope::Supervise, scope]), is_one, "{scope:?}");
    }
}

#[test]
fn caller_delivers_events_only_with_no_other_scope() {
    let caller = |scopes: &[Scope]| Caller::new("bus", scopes.to_vec());
    assert!(caller(&[Scope::Events]).delivers_events());
    assert!(!caller(&[Scope::Events, Scope::Read]).delivers_events());
    assert!(!caller(&[Scope::Read]).delivers_events() && !caller(&[]).delivers_events());
}

#[test]
fn event_source_covers_its_vendor_and_instances_only() {
    let [main, east] = ["main", "east"].map(|name| InstanceName::parse(name).expect("a name"));
    let source = |instances| EventSource::Vendor {
        name: "acme".into(),
        instances,
        is_authentic: false,
    };
    let caller = |source| Caller::new("bus", vec![Scope::Events]).delivering(Some(source));
    let listed = caller(source(EventInstances::Listed(BTreeSet::from([main.clone()]))));
    assert!(listed.may_deliver("acme", &main) && !listed.may_deliver("acme", &east));
    assert!(!listed.may_deliver("amazon-connect", &main) && !listed.may_deliver_for("amazon-connect"));
    let all = caller(source(EventInstances::All));
    assert!(all.may_deliver("acme", &east) && !all.may_deliver("other", &east));
    assert!(caller(EventSource::Any).may_deliver("anything", &east));
    assert!(
        !Caller::new("bus", vec![Scope::Events]).may_deliver("acme", &main),
        "a source is needed"
    );
    let other_scope = Caller::new("x", vec![Scope::Operate]).delivering(Some(EventSource::Any));
    assert!(!other_scope.may_deliver("acme", &main), "the scope is needed");
}
