//! A supervisor may be named by their Connect user name: looked up once, remembered, and nothing is learnt about others.

use serde_json::json;
use sidedoor_fakes::Fault;

use crate::support::house::{Answer, BACK_END, House, READER, SUPERVISOR_1};

async fn listen(house: &House, contact: &str, name: &str, key: &str) -> Answer {
    let body = json!({"contactId": contact, "supervisor": {"username": name}});
    house.call("POST", "/v1/supervisions").key(key).json(&body).send().await
}

#[tokio::test]
async fn a_supervisor_is_named_by_user_name_and_looked_up_once() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let first = listen(&house, &call, "Supervisor-1@Example", BACK_END).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.body["supervisor"]["connectUserId"], "supervisor-1");
    assert_eq!(first.body["supervisor"]["username"], "Supervisor-1@Example");
    let again = listen(&house, &call, "supervisor-1@example", SUPERVISOR_1).await;
    assert_eq!(
        (again.status, again.id()),
        (200, first.id()),
        "the same supervisor on the same contact"
    );
    assert_eq!(house.connect().calls("SearchUsers"), 1, "remembered");
    let left = house.disconnect(&first.id()).await;
    house.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    house.until_left(&first.id()).await;
    house.finish().await;
}

#[tokio::test]
async fn unknown_and_ambiguous_names_are_told_only_to_whom_they_concern() {
    let house = House::start().await;
    let call = house.connect().create_call();
    for user in ["twin-1", "twin-2"] {
        house.connect().name_user(user, "twin@example");
    }
    for (name, key, status, code) in [
        ("nobody@example", BACK_END, 404, "supervisor_unknown"),
        ("twin@example", BACK_END, 409, "supervisor_ambiguous"),
        ("nobody@example", SUPERVISOR_1, 403, "forbidden"),
        ("twin@example", SUPERVISOR_1, 403, "forbidden"),
        ("supervisor-2@example", SUPERVISOR_1, 403, "forbidden"),
        ("supervisor-1@example", READER, 403, "forbidden"),
    ] {
        let answer = listen(&house, &call, name, key).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{name} {key}");
    }
    for supervisor in [
        json!({}),
        json!({"connectUserId": "supervisor-1", "username": "supervisor-1@example"}),
        json!({"username": ""}),
    ] {
        let body = json!({"contactId": call, "supervisor": supervisor});
        let answer = house.call("POST", "/v1/supervisions").json(&body).send().await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{supervisor}");
    }
    assert_eq!(house.connect().calls("MonitorContact"), 0);
    house.finish().await;
}

#[tokio::test]
async fn a_vendor_that_cannot_say_who_it_is_is_told_as_such() {
    let house = House::start().await;
    let call = house.connect().create_call();
    house
        .connect()
        .fault(Fault::error("SearchUsers", 429, "ThrottlingException"));
    let answer = listen(&house, &call, "supervisor-1@example", BACK_END).await;
    assert_eq!(
        (answer.status, answer.code()),
        (502, "connect_throttled"),
        "{}",
        answer.text
    );
    let again = listen(&house, &call, "supervisor-1@example", BACK_END).await;
    assert_eq!(again.status, 201, "{}", again.text);
    let left = house.disconnect(&again.id()).await;
    house.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    house.until_left(&again.id()).await;
    house.finish().await;
}
