//! One abuser with a valid token beside 100 honest supervisors: whatever the abuser does, the honest ones are answered about as fast as
//! without it, and none of their disconnects is refused.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use tokio::io::AsyncWriteExt;

use crate::support::app::{TestApp, start};
use crate::support::issuer::{Answers, KeyServer, Signer, claims, now};
use crate::support::raw::connect;

const HONEST: usize = 100;
/// How long each attack lasts, and the quiet time before it with which it is compared.
const ATTACK: Duration = Duration::from_millis(1000);
/// An honest supervisor asks something twice in this time.
const ROUND: Duration = Duration::from_millis(800);
/// Below this, a difference says nothing on a busy machine.
const NOISE: Duration = Duration::from_millis(50);
/// How often an attack is repeated if the honest ones are slow, because other work on the machine slows them, too.
const REPEATS: usize = 4;

struct Honest {
    token: String,
    supervision: String,
}

/// What the honest supervisors have seen.
#[derive(Debug)]
struct Seen {
    p99: Duration,
    refused: Vec<u16>,
}

fn token(signer: &Signer, subject: &str) -> String {
    let mut claims = claims(subject);
    claims["exp"] = json!(now() + 600);
    signer.sign(&claims)
}

async fn honest_supervisor(app: &TestApp, signer: &Signer, n: usize) -> Honest {
    let user = format!("honest-{n}");
    app.connect().name_user(&user, &format!("{user}@example"));
    let (token, call) = (token(signer, &user), app.connect().create_call());
    let request = app
        .call("POST", "/v1/supervisions")
        .key(&token)
        .json(&start(&call, &user));
    let started = request.send().await;
    assert!(matches!(started.status, 201 | 202), "{}", started.text);
    // The call ends, so that the disconnects below always cost the same.
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    Honest {
        token,
        supervision: started.id(),
    }
}

/// The status of the answer. It is not validated, because that would cost more than the answer itself.
async fn status(app: &TestApp, method: &str, path: &str, token: &str) -> u16 {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let request = app
        .http
        .request(method, format!("{}{path}", app.url))
        .bearer_auth(token);
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    answer.bytes().await.expect("a body");
    status
}

/// Lets each honest supervisor list their supervisions and disconnect, again and again, until `over`.
async fn honest_work(app: &TestApp, all: &[Honest], over: &AtomicBool) -> Seen {
    let each = all.iter().enumerate().map(|(n, honest)| async move {
        let (mut took, mut refused) = (Vec::new(), Vec::new());
        let share = u32::try_from(n).expect("small") * ROUND / u32::try_from(HONEST).expect("small");
        tokio::time::sleep(share).await;
        while !over.load(Ordering::Relaxed) {
            let path = format!("/v1/supervisions/{}/disconnect", honest.supervision);
            for (method, path) in [("GET", "/v1/supervisions"), ("POST", path.as_str())] {
                let begun = Instant::now();
                let status = status(app, method, path, &honest.token).await;
                took.push(begun.elapsed());
                if !matches!(status, 200 | 202) {
                    refused.push(status);
                }
                tokio::time::sleep(ROUND / 2).await;
            }
        }
        (took, refused)
    });
    let (mut took, mut refused) = (Vec::new(), Vec::new());
    for (times, refusals) in join_all(each).await {
        took.extend(times);
        refused.extend(refusals);
    }
    took.sort_unstable();
    Seen {
        p99: took[took.len() * 99 / 100],
        refused,
    }
}

/// What the honest supervisors see while `attack` runs.
async fn during(app: &TestApp, all: &[Honest], attack: impl Future<Output = ()>) -> Seen {
    let over = AtomicBool::new(false);
    let timed = async {
        let _ = tokio::time::timeout(ATTACK, attack).await;
        over.store(true, Ordering::Relaxed);
    };
    let (seen, ()) = futures::future::join(honest_work(app, all, &over), timed).await;
    seen
}

/// Sends requests of the abuser as fast as a few connections can, with a body or path made from their number.
async fn flood(app: &TestApp, token: &str, request: impl Fn(usize) -> (&'static str, String, Value)) {
    let next = Arc::new(AtomicUsize::new(0));
    let each = (0..8).map(|_| async {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let (method, path, body) = request(n);
            let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
            let call = app
                .http
                .request(method, format!("{}{path}", app.url))
                .bearer_auth(token);
            let call = call.header("Idempotency-Key", format!("abuse-{n}")).json(&body);
            let _ = call.send().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    join_all(each).await;
}

/// Keeps many connections open that have sent this much of a request.
async fn hold(app: &TestApp, number: usize, sent: &str) {
    let mut open = Vec::new();
    loop {
        open.clear();
        for _ in 0..number {
            let mut stream = connect(app).await;
            let _ = stream.write_all(sent.as_bytes()).await;
            open.push(stream);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Whether the time with an attack is at most twice the time without it.
fn is_as_fast(seen: Option<(Duration, Duration)>) -> bool {
    seen.is_some_and(|(quiet, attacked)| attacked <= 2 * quiet.max(NOISE))
}

#[tokio::test]
async fn load_of_one_abuser_slows_and_refuses_no_others() {
    let signer = Signer::ec("a");
    let server = KeyServer::start(Answers::Keys(vec![signer.jwk()])).await;
    let app = TestApp::build()
        .issuer("JWKS_URL", &server.url)
        .set("AUTH__ISSUERS__0__SCOPES", "supervise,board")
        .set("HTTP__MAX_IN_FLIGHT", "64")
        .start()
        .await;
    let starts = (0..HONEST).map(|n| honest_supervisor(&app, &signer, n));
    let all: Vec<Honest> = stream::iter(starts).buffer_unordered(8).collect().await;
    let unfinished = "/v1/supervisions?state=REQUESTED,JOINING,MONITORING,LEAVING&pageSize=1";
    while app.call("GET", unfinished).send().await.body["items"] != json!([]) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let abuser = token(&signer, "abuser");
    app.connect().name_user("abuser", "abuser@example");
    // Only the abuser starts from here on.
    app.connect().fault(Fault::late("MonitorContact", 5000).times(10_000));
    let (app, abuser) = (&app, abuser.as_str());
    let half = format!(
        "POST /v1/supervisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {abuser}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    );
    let starts = |body: fn(usize) -> Value| flood(app, abuser, move |n| ("POST", "/v1/supervisions".into(), body(n)));
    for attack in [
        "half-sent bodies",
        "idle connections",
        "made-up user names",
        "made-up Salesforce Users",
        "starts on made-up agents",
        "starts that hang",
        "tickets",
        "guesses",
    ] {
        let mut seen = Vec::new();
        for _ in 0..REPEATS {
            let quiet = during(app, &all, std::future::pending()).await;
            assert_eq!(quiet.refused, Vec::<u16>::new());
            let attacked = match attack {
                "half-sent bodies" => during(app, &all, hold(app, 100, &half)).await,
                "idle connections" => during(app, &all, hold(app, 200, "GET ")).await,
                "made-up user names" => {
                    let body = |n| json!({"contactId": "c", "supervisor": {"username": format!("made-up-{n}")}});
                    during(app, &all, starts(body)).await
                }
                "made-up Salesforce Users" => {
                    let body = |n| json!({"contactId": "c", "salesforceUserId": format!("005{n:012}")});
                    during(app, &all, starts(body)).await
                }
                "starts on made-up agents" => {
                    during(app, &all, starts(|n| json!({"agentUserId": format!("made-up-{n}")}))).await
                }
                "starts that hang" => during(app, &all, starts(|n| json!({"contactId": format!("c-{n}")}))).await,
                "tickets" => {
                    let ticket = |_| ("POST", "/v1/supervisors/me/tickets".to_owned(), json!({}));
                    during(app, &all, flood(app, abuser, ticket)).await
                }
                _ => {
                    let guess = |_| ("GET", "/v1/supervisions".to_owned(), json!({}));
                    during(app, &all, flood(app, "a-guess-at-a-key-of-others", guess)).await
                }
            };
            assert_eq!(attacked.refused, Vec::<u16>::new(), "{attack}");
            seen.push((quiet.p99, attacked.p99));
            if is_as_fast(seen.last().copied()) {
                break;
            }
        }
        println!("{attack}: p99 without it and with it {seen:?}");
        assert!(
            is_as_fast(seen.last().copied()),
            "{attack}: without it and with it {seen:?}"
        );
    }
    app.assert_invariants().await;
}
