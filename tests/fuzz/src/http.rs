//! Requests to the demo's service, as text: a line with method and address, headers, an empty line, the body.
//!
//! They go to the routes directly, without a port: hyper parses the bytes of a request, not this code. The
//! answer is never a server error, it carries the common headers, and nothing changes unless the answer
//! reports it.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use qdjobs::store::memory::MemoryStore;
use qdjobs::store::{Filter, Store};
use qdjobs::store::{NewJob, RunAt};
use qdjobs::{Clock, JobQueue};
use qdjobs_examples::http::{Guard, Service, ServiceInfo, router};
use qdjobs_examples::report::Archive;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::panics;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    panics::install_hook();
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
});

/// The headers of every answer.
const ALWAYS: [&str; 6] = [
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cache-control",
    "cross-origin-resource-policy",
    "cross-origin-opener-policy",
];

/// The longest refusal. The request's own text is shown only in part.
const ANSWER_BYTES_MAX: usize = 64 << 10;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

/// Reads the bytes as one request.
pub fn http(bytes: &[u8]) {
    let Some(request) = read(bytes) else { return };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    RUNTIME.block_on(async {
        let (router, queue) = service();
        let before = all(&queue);
        let answer = ask(&router, request).await;
        let shown = format!("{method} {path}: {} {}", answer.status, answer.body);
        assert!(!answer.status.is_server_error(), "{shown}");
        for name in ALWAYS {
            assert!(answer.headers.contains_key(name), "{name} is missing: {shown}");
        }
        let answer_json = read_body(&answer, &method);
        match answer.status {
            StatusCode::CREATED => created(&router, &answer, answer_json.unwrap()).await,
            StatusCode::OK if !method.is_safe() => {}
            _ => assert_eq!(before, all(&queue), "a change that the answer does not report: {shown}"),
        }
    });
    panics::assert_none();
}

/// The request, if hyper would accept it.
fn read(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, address) = first.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(address);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    request.body(Body::from(body.to_vec())).ok()
}

/// A service with a waiting job, a cancelled one and a scheduled one.
fn service() -> (Router, JobQueue) {
    let store = MemoryStore::new(Clock::system());
    let mut jobs: Vec<NewJob> = (0..3).map(|_| NewJob::new("send_email", r#"{"to":"<ann>"}"#)).collect();
    jobs[0].name = Some("\"><script>alert(1)</script>".into());
    jobs[1].queue = "a".into();
    jobs[2].run_at = RunAt::After(Duration::from_secs(3600));
    let ids = store.insert_blocking(jobs).unwrap();
    let queue = JobQueue::with_store(store);
    queue.cancel(ids[1]).unwrap();
    let info = ServiceInfo {
        url: "http://127.0.0.1:5004".into(),
        database: "jobs.db".into(),
        mail: "outbox".into(),
        images: ".".into(),
    };
    let archive = Archive::new(Path::new("jobs.db"), Path::new("no-such-folder"));
    let guard = Guard::new(([127, 0, 0, 1], 5004).into());
    (router(Service { queue: queue.to_async(), archive, guard, info }), queue)
}

async fn ask(router: &Router, request: Request<Body>) -> Answer {
    // The error type is `Infallible`.
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// The JSON of an answer; checks the form of the answer.
fn read_body(answer: &Answer, method: &Method) -> Option<Value> {
    let kind = answer.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
    if *method == Method::HEAD {
        assert_eq!(answer.body, "");
        return None;
    }
    if kind.as_deref() != Some("application/json") {
        assert!(answer.status.is_success(), "{kind:?} {}", answer.body);
        assert!(!answer.body.contains("<script>alert"), "a job's own text is escaped");
        return None;
    }
    let answer_json: Value = serde_json::from_str(&answer.body).unwrap();
    if !answer.status.is_success() {
        let error = answer_json["error"].as_str().unwrap();
        assert!(!error.is_empty() && answer.body.len() < ANSWER_BYTES_MAX, "{} bytes", answer.body.len());
    }
    Some(answer_json)
}

/// A job that is reported as created exists, and can be deleted.
async fn created(router: &Router, answer: &Answer, answer_json: Value) {
    let place = answer.headers[header::LOCATION].to_str().unwrap();
    assert_eq!(place, format!("/jobs/{}", answer_json["id"]));
    for method in [Method::GET, Method::DELETE] {
        let request = Request::builder().method(method).uri(place).header(header::HOST, "localhost");
        let found = ask(router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(found.status, StatusCode::OK, "{}", found.body);
        let found: Value = serde_json::from_str(&found.body).unwrap();
        assert_eq!((&found["id"], &found["params"]), (&answer_json["id"], &answer_json["params"]));
    }
}

/// All jobs, as they would be shown.
fn all(queue: &JobQueue) -> String {
    serde_json::to_string(&queue.list(Filter::default()).unwrap().jobs).unwrap()
}
