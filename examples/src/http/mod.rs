//! The service over HTTP: the routes, and what each answers.
//!
//! Leans on axum for routing and on the queue's async handle. Split by question: who may ask (`guard`), what was asked for
//! (`body`), what it looks like to people (`page`), what is said instead of yes (`refusal`), how connections are kept in
//! bounds (`serve`). Never comes in: SQL, threads, the work of a task.

mod body;
mod guard;
mod page;
mod refusal;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use qdjobs::store::{Cursor, Filter};
use qdjobs::{AsyncQueue, Job, JobId, JobRequest, Registry, Status};
use serde::Serialize;
use serde_json::Value;

use crate::report::Archive;
use body::{Posted, suggest};
pub use guard::Guard;
pub use page::Facts;
pub use refusal::{Problem, Refusal};
pub use serve::serve;

/// Largest body: params and metadata of a mebibyte each, and room for what stands around them.
const BODY_BYTES_MAX: usize = 2 * Job::JSON_BYTES_MAX + (64 << 10);

/// Most bytes that are read of a body that is too large.
const BODY_BYTES_READ_MAX: usize = 8 * BODY_BYTES_MAX;

/// Largest list of jobs, whatever their number: a thousand of the largest would take three gibibytes. Where it ends earlier the
/// `Link` goes on.
const LIST_BYTES_MAX: usize = 8 << 20;

/// Jobs of a list that are read at a time.
const READ_AT_ONCE: usize = 32;

/// How long a request may take as a whole: a body that trickles in, a disk that does not answer.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);

/// Nothing is loaded from anywhere else, nothing in a page runs but `/live.js`, and nobody may put a frame around it.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                              base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A report is a page of its own: it loads nothing, runs nothing, and brings its style along.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// Parameters of `GET /jobs`.
const LIST_PARAMS: [&str; 5] = ["status", "task", "queue", "limit", "after"];

/// What the routes share.
#[derive(Debug)]
pub struct Service {
    /// Where jobs go to and come from.
    pub queue: AsyncQueue,
    /// The reports to serve.
    pub archive: Archive,
    /// Who may speak.
    pub guard: Guard,
    /// What the page tells of the service.
    pub facts: Facts,
}

type App = State<Arc<Service>>;

/// The service, ready to be served.
pub fn router(service: Service) -> Router {
    let service = Arc::new(service);
    Router::new()
        .route("/", get(index))
        .route("/style.css", get(|| asset("text/css; charset=utf-8", page::STYLE)))
        .route("/live.js", get(|| asset("text/javascript; charset=utf-8", page::SCRIPT)))
        .route("/jobs", post(create).get(list))
        .route("/jobs/{id}", get(show).delete(delete))
        .route("/jobs/{id}/attempts", get(attempts))
        .route("/jobs/{id}/retry", post(retry))
        .route("/jobs/{id}/cancel", post(cancel))
        .route("/reports/{file}", get(report))
        .route("/health", get(health))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_this_way)
        .layer(middleware::from_fn_with_state(service.clone(), front_door))
        .with_state(service)
}

/// What every request passes, whatever its route, and what every answer carries.
async fn front_door(State(service): App, request: Request, next: Next) -> Response {
    let checked = service.guard.check(request.method(), request.uri(), request.headers());
    let mut response = match checked {
        Err(refusal) => refusal.into_response(),
        Ok(()) => in_time(next.run(request), REQUEST_PATIENCE).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The answer, or after `patience` a refusal that leaves open what became of the request. It is a 504, since clients repeat a
/// 408 by themselves, and whoever repeats this one may have everything done twice.
async fn in_time(answer: impl Future<Output = Response>, patience: Duration) -> Response {
    tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| {
        let seconds = patience.as_secs();
        let text = format!(
            "the request was not done after {seconds} seconds; whether it had an effect is not known"
        );
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, text)
            .help("look before you repeat it; a job with an idempotency_key can be posted again without harm")
            .into_response()
    })
}

async fn index(State(service): App) -> Result<Html<String>, Refusal> {
    let mut newest = Filter::default();
    newest.limit = Some(page::JOBS_SHOWN);
    let jobs = service.queue.list(newest).await?.jobs;
    let counts = service.queue.counts().await?;
    Ok(Html(page::index(&service.facts, &counts, &jobs)))
}

async fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

async fn create(State(service): App, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    must_be_json(&headers)?;
    let body = read_body(body).await?;
    let posted = Posted::read(&body)?;
    Registry::linked().get(&posted.task).ok_or_else(|| Refusal::no_task(&posted.task))?;
    // Posted again under its key it may be a job that is long done, and is told as it stands.
    let keyed = posted.idempotency_key.is_some();
    let id = request(posted)?.enqueue(&service.queue).await?.id();
    let job = service.queue.get(id).await?.ok_or_else(|| Refusal::no_job(&id.to_string()))?;
    let job = if keyed { job } else { as_created(job) };
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/jobs/{id}"))], json(&job)).into_response())
}

/// The job as it was stored. A worker may have taken it on, or even have finished it, before it was read back, and a
/// client that created a job expects to be told of a pending one.
fn as_created(job: Job) -> Job {
    let mut job = job;
    job.status = Status::Pending;
    (job.attempt, job.retry_count, job.crash_count) = (0, 0, 0);
    (job.started_at, job.completed_at, job.worker_id) = (None, None, None);
    (job.result, job.error, job.progress) = (None, None, None);
    job
}

/// The whole body, if it is not too large. One that is too large is read to its end nevertheless, within reason, and
/// thrown away: a client that is still sending when the connection closes may never see why.
async fn read_body(mut body: Body) -> Result<Vec<u8>, Refusal> {
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Refusal::new(StatusCode::BAD_REQUEST, format!("the body did not come to its end: {error}"))
        })?;
        let data = frame.into_data().unwrap_or_default();
        length += data.len();
        match length {
            0..=BODY_BYTES_MAX => kept.extend_from_slice(&data),
            _ => kept = Vec::new(),
        }
        if length > BODY_BYTES_READ_MAX {
            break;
        }
    }
    if length <= BODY_BYTES_MAX {
        return Ok(kept);
    }
    Err(Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is larger than {BODY_BYTES_MAX} bytes"),
    )
    .help("store the data in a file or a table and pass its name"))
}

/// The job that was asked for, checked against its task.
fn request(posted: Posted) -> qdjobs::Result<JobRequest<Value>> {
    let mut job = JobRequest::by_name(&posted.task, &posted.params)?;
    if let Some(name) = posted.name {
        job = job.display_name(name);
    }
    if let Some(queue) = posted.queue {
        job = job.queue(queue);
    }
    if let Some(priority) = posted.priority {
        job = job.priority(priority);
    }
    if let Some(delay) = posted.delay {
        job = job.delay(delay);
    }
    if let Some(at) = posted.scheduled_at {
        job = job.at(at);
    }
    if let Some(retries) = posted.max_retries {
        job = job.retries(retries);
    }
    if let Some(metadata) = posted.metadata {
        job = job.metadata(metadata);
    }
    if let Some(key) = posted.idempotency_key {
        job = job.idempotency_key(key);
    }
    Ok(job)
}

/// A form of another site cannot send this type without being asked first, which nobody here answers.
fn must_be_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    let kind = given.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let shown: String = given.chars().take(100).collect();
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!("the Content-Type is {shown}, not application/json"),
    )
    .help("with curl: -H 'Content-Type: application/json'"))
}

async fn list(State(service): App, uri: Uri) -> Result<Response, Refusal> {
    let params: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let (jobs, next) = read_list(&service.queue, read_filter(&params)?).await?;
    let mut response = json_text(jobs);
    if let Some(next) = next {
        // The body stays the array that it always was: where it goes on is said beside it.
        let kept = params.iter().filter(|(key, value)| key != "after" && !value.is_empty());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("after", &next.to_string())
            .extend_pairs(kept)
            .finish();
        let link = format!("</jobs?{query}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// The array of the jobs, as far as it may become, and where it goes on.
async fn read_list(queue: &AsyncQueue, filter: Filter) -> Result<(String, Option<Cursor>), Refusal> {
    let mut filter = filter;
    let mut wanted = filter.limit.unwrap_or(Filter::LIMIT_MAX);
    let (mut list, mut last) = ("[".to_owned(), None);
    loop {
        filter.limit = Some(wanted.min(READ_AT_ONCE));
        let page = queue.list(filter.clone()).await?;
        wanted -= page.jobs.len();
        for job in &page.jobs {
            let text = serde_json::to_string(job).map_err(unwritten)?;
            // The first one is there whatever its size, or the list would never go on.
            if last.is_some() && list.len() + ",]".len() + text.len() > LIST_BYTES_MAX {
                return Ok((list + "]", last));
            }
            if last.replace(Cursor::after(job)).is_some() {
                list.push(',');
            }
            list.push_str(&text);
        }
        if wanted == 0 || page.next.is_none() {
            return Ok((list + "]", page.next));
        }
        filter.after = page.next;
    }
}

fn read_filter(params: &[(String, String)]) -> Result<Filter, Refusal> {
    let bad = |text: String| Refusal::new(StatusCode::BAD_REQUEST, text);
    let mut filter = Filter::default();
    // All jobs, as far as an answer may hold them: a client that does not page expects no less.
    filter.limit = Some(Filter::LIMIT_MAX);
    for (at, (key, value)) in params.iter().enumerate() {
        if params[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err(bad(format!("`{}` is there twice", clip(key))));
        }
        let number = |max: i64| {
            let number = value.parse().ok().filter(|number| (1..=max).contains(number));
            number.ok_or_else(|| {
                bad(format!("`{key}` is `{}`; write a whole number from 1 to {max}", clip(value)))
            })
        };
        match key.as_str() {
            key if !LIST_PARAMS.contains(&key) => {
                let meant = suggest(key, LIST_PARAMS).map(|known| format!("; did you mean `{known}`?"));
                let known = || format!("; known are {}", LIST_PARAMS.join(", "));
                return Err(bad(format!("`{}` is not known here{}", clip(key), meant.unwrap_or_else(known))));
            }
            // `?status=` from an empty field of a form filters nothing.
            _ if value.is_empty() => {}
            "status" => {
                filter.status =
                    Some(value.parse::<Status>().map_err(|error| bad(refusal::one_line(&error)))?);
            }
            "task" => filter.task_name = Some(value.clone()),
            "queue" => filter.queue = Some(value.clone()),
            "limit" => filter.limit = usize::try_from(number(Filter::LIMIT_MAX as i64)?).ok(),
            _ => {
                let cursor = value.parse::<Cursor>();
                filter.after =
                    Some(cursor.map_err(|error| bad(format!("`after`: {}", refusal::one_line(&error))))?);
            }
        }
    }
    Ok(filter)
}

async fn show(State(service): App, Segment(id): Segment) -> Result<Response, Refusal> {
    let job = service.queue.get(read_id(&id)?).await?.ok_or_else(|| Refusal::no_job(&id))?;
    Ok(json(&job))
}

async fn attempts(State(service): App, Segment(id): Segment) -> Result<Response, Refusal> {
    let number = read_id(&id)?;
    service.queue.get(number).await?.ok_or_else(|| Refusal::no_job(&id))?;
    Ok(json(&service.queue.attempts(number).await?))
}

async fn retry(State(service): App, Segment(id): Segment) -> Result<Response, Refusal> {
    Ok(json(&service.queue.retry(read_id(&id)?).await?))
}

async fn cancel(State(service): App, Segment(id): Segment) -> Result<Response, Refusal> {
    Ok(json(&service.queue.cancel(read_id(&id)?).await?))
}

/// Answers the job as it was.
async fn delete(State(service): App, Segment(id): Segment) -> Result<Response, Refusal> {
    Ok(json(&service.queue.delete(read_id(&id)?).await?))
}

async fn report(State(service): App, Segment(file): Segment) -> Result<Response, Refusal> {
    let missing = Refusal::new(StatusCode::NOT_FOUND, format!("there is no report {}", clip(&file)))
        .help("the result of a generate_report job names its report_url");
    let read = tokio::task::spawn_blocking(move || service.archive.open(&file)).await;
    let (document, content_type) = read.ok().flatten().ok_or(missing)?;
    let headers = [(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, REPORT_POLICY)];
    Ok((headers, document).into_response())
}

/// 200 while jobs are stored and run, 503 while they are not: made for whoever restarts or routes by it.
async fn health(State(service): App) -> Response {
    let health = service.queue.health();
    let status = if health.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = json(&health);
    *response.status_mut() = status;
    response
}

async fn nowhere() -> Refusal {
    nothing()
}

fn nothing() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is nothing here").help("GET / names what there is")
}

/// The router has written which methods there are into `Allow`.
async fn not_this_way(method: Method) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not a method of this address"))
        .help("the Allow header names those that are; GET / tells what they do")
}

/// The part of a path that a route leaves open.
struct Segment(String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segment, Refusal> {
        // Bytes that are no text name nothing.
        let Path(segment) = Path::from_request_parts(parts, state).await.map_err(|_| nothing())?;
        Ok(Segment(segment))
    }
}

/// Whatever is no number of a job names no job.
fn read_id(text: &str) -> Result<JobId, Refusal> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).map(JobId).ok_or_else(|| Refusal::no_job(&clip(text)))
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => json_text(text),
        Err(error) => unwritten(error).into_response(),
    }
}

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn unwritten(error: serde_json::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_request_whose_effect_is_not_known_is_not_answered_with_an_invitation_to_repeat_it() {
        let answer = in_time(std::future::pending(), Duration::ZERO).await;
        // Clients repeat a 408 by themselves, and a 503 with a Retry-After.
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        assert!(!answer.headers().contains_key(header::RETRY_AFTER));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(body["error"].as_str().unwrap().contains("whether it had an effect is not known"), "{body}");
        assert!(body["help"].as_str().unwrap().contains("idempotency_key"), "{body}");
    }
}
