//! The HTTP interface: the routes, and the response of each.
//!
//! Depends on axum for routing and on the queue's async handle. The files beside it: `guard` (which requests
//! are accepted), `body` (the body of `POST /jobs`), `page` (the HTML page), `error_response`, and `serve`
//! (connections and their limits). Contains no SQL, no thread and no work of a task.

mod body;
mod error_response;
mod guard;
mod page;
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
use serde_json::{Value, json};

use crate::report::Archive;
use body::{CreateRequest, suggest};
pub use error_response::{ErrorResponse, Problem};
pub use guard::Guard;
pub use page::ServiceInfo;
pub use serve::{bind, serve};

/// Largest body: params and metadata of a mebibyte each, and space for the other fields.
const BODY_BYTES_MAX: usize = 2 * Job::JSON_BYTES_MAX + (64 << 10);

/// The number of bytes that are read of a body that is too large.
const BODY_BYTES_READ_MAX: usize = 8 * BODY_BYTES_MAX;

/// Largest list of jobs, in bytes: a thousand of the largest jobs would take three gibibytes. If a list ends
/// earlier, the `Link` header refers to the rest.
const LIST_BYTES_MAX: usize = 8 << 20;

/// The number of jobs of a list that are read together.
const READ_AT_ONCE: usize = 32;

/// The longest duration of a request, for a slow body or a disk that does not respond.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Pages load nothing from other sites, run no script but `/live.js`, and cannot be framed.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                              base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A report loads nothing, runs no script, and contains its style.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The query parameters of `GET /jobs`.
const LIST_PARAMS: [&str; 5] = ["status", "task", "queue", "limit", "after"];

/// The state that the routes share.
#[derive(Debug)]
pub struct Service {
    /// The queue.
    pub queue: AsyncQueue,
    /// The reports that are served.
    pub archive: Archive,
    /// The check of each request.
    pub guard: Guard,
    /// What the page shows about the service.
    pub info: ServiceInfo,
}

type App = State<Arc<Service>>;

/// The routes of the service.
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
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(service.clone(), guard_and_headers))
        .with_state(service)
}

/// Checks every request, limits its duration, and adds the headers of every response.
async fn guard_and_headers(State(service): App, request: Request, next: Next) -> Response {
    let checked = service.guard.check(request.method(), request.uri(), request.version(), request.headers());
    let mut response = match checked {
        Err(error) => error.into_response(),
        Ok(()) => within(next.run(request), REQUEST_TIMEOUT).await,
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

/// The response, or an error after `limit`: whether the request has an effect is then unknown.
///
/// The status is 504 and not 408, since clients repeat a 408 by themselves, and the effect could happen
/// twice.
async fn within(response: impl Future<Output = Response>, limit: Duration) -> Response {
    tokio::time::timeout(limit, response).await.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        let text =
            format!("the request was not finished after {seconds} seconds; whether it had an effect is unknown");
        ErrorResponse::new(StatusCode::GATEWAY_TIMEOUT, text)
            .help("check the jobs before you repeat it; a job with an idempotency_key can be posted again safely")
            .into_response()
    })
}

async fn index(State(service): App) -> Result<Html<String>, ErrorResponse> {
    let mut newest = Filter::default();
    newest.limit = Some(page::JOBS_SHOWN);
    let jobs = service.queue.list(newest).await?.jobs;
    let counts = service.queue.counts().await?;
    Ok(Html(page::index(&service.info, &counts, &jobs)))
}

async fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

async fn create(State(service): App, headers: HeaderMap, body: Body) -> Result<Response, ErrorResponse> {
    must_be_json(&headers)?;
    let body = read_body(body).await?;
    let created = CreateRequest::read(&body)?;
    Registry::linked().get(&created.task).ok_or_else(|| ErrorResponse::no_task(&created.task))?;
    // A repeated request with an idempotency key may return a job that has ended; it is returned as it is.
    let keyed = created.idempotency_key.is_some();
    let id = request(created)?.enqueue(&service.queue).await?.id();
    let job = service.queue.get(id).await?.ok_or_else(|| ErrorResponse::no_job(&id.to_string()))?;
    let job = if keyed { job } else { as_created(job) };
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/jobs/{id}"))], json(&job)).into_response())
}

/// The job as it was stored. A worker may have claimed or even finished it before it was read, and a client
/// that creates a job expects a pending one.
fn as_created(job: Job) -> Job {
    let mut job = job;
    job.status = Status::Pending;
    (job.attempt, job.retry_count, job.crash_count) = (0, 0, 0);
    (job.started_at, job.completed_at, job.worker_id) = (None, None, None);
    (job.result, job.error, job.progress) = (None, None, None);
    job
}

/// The body, if it is not too large. A larger body is still read up to a limit and discarded: a client that
/// is sending when the connection closes may not see the response.
async fn read_body(mut body: Body) -> Result<Vec<u8>, ErrorResponse> {
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ErrorResponse::new(StatusCode::BAD_REQUEST, format!("the body is incomplete: {error}"))
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
    Err(ErrorResponse::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is larger than {BODY_BYTES_MAX} bytes"),
    )
    .help("store the data in a file or a table and pass its name"))
}

/// The job of the request, checked against its task.
fn request(created: CreateRequest) -> qdjobs::Result<JobRequest<Value>> {
    let mut job = match &created.params {
        Some(params) => JobRequest::by_name(&created.task, params)?,
        None => JobRequest::by_name(&created.task, &json!({}))?,
    };
    if let Some(name) = created.name {
        job = job.display_name(name);
    }
    if let Some(queue) = created.queue {
        job = job.queue(queue);
    }
    if let Some(priority) = created.priority {
        job = job.priority(priority);
    }
    if let Some(delay) = created.delay {
        job = job.delay(delay);
    }
    if let Some(at) = created.scheduled_at {
        job = job.at(at);
    }
    if let Some(retries) = created.max_retries {
        job = job.retries(retries);
    }
    if let Some(metadata) = created.metadata {
        job = job.metadata(metadata);
    }
    if let Some(key) = created.idempotency_key {
        job = job.idempotency_key(key);
    }
    Ok(job)
}

/// Requires the content type of JSON. A browser sends it to another site only after a preflight request,
/// which this service does not allow.
fn must_be_json(headers: &HeaderMap) -> Result<(), ErrorResponse> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    let kind = given.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let shown: String = given.chars().take(100).collect();
    Err(ErrorResponse::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!("the Content-Type is {shown} and not application/json"),
    )
    .help("with curl: -H 'Content-Type: application/json'"))
}

async fn list(State(service): App, uri: Uri) -> Result<Response, ErrorResponse> {
    let params: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let (jobs, next) = read_list(&service.queue, read_filter(&params)?).await?;
    let mut response = json_text(jobs);
    if let Some(next) = next {
        // The body stays an array, as in the reference: the next page is in a header.
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

/// The JSON array of the jobs up to the largest size, and the cursor of the rest.
async fn read_list(queue: &AsyncQueue, filter: Filter) -> Result<(String, Option<Cursor>), ErrorResponse> {
    let mut filter = filter;
    let mut wanted = filter.limit.unwrap_or(Filter::LIMIT_MAX);
    let (mut list, mut last) = ("[".to_owned(), None);
    loop {
        filter.limit = Some(wanted.min(READ_AT_ONCE));
        let page = queue.list(filter.clone()).await?;
        wanted -= page.jobs.len();
        for job in &page.jobs {
            let text = serde_json::to_string(job).map_err(unwritten)?;
            // A list contains at least one job, whatever its size: else the next page would be the same.
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

fn read_filter(params: &[(String, String)]) -> Result<Filter, ErrorResponse> {
    let bad = |text: String| ErrorResponse::new(StatusCode::BAD_REQUEST, text);
    let mut filter = Filter::default();
    // A client of the reference does not page, so a list without `limit` is as long as possible.
    filter.limit = Some(Filter::LIMIT_MAX);
    for (at, (key, value)) in params.iter().enumerate() {
        if params[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err(bad(format!("`{}` occurs twice; write it once", clip(key))));
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
                let known = || format!("; the parameters are {}", LIST_PARAMS.join(", "));
                return Err(bad(format!(
                    "`{}` is an unknown parameter{}",
                    clip(key),
                    meant.unwrap_or_else(known)
                )));
            }
            // An empty field of a form, such as `?status=`, filters nothing.
            _ if value.is_empty() => {}
            "status" => {
                filter.status =
                    Some(value.parse::<Status>().map_err(|error| bad(error_response::one_line(&error)))?);
            }
            "task" => filter.task_name = Some(value.clone()),
            "queue" => filter.queue = Some(value.clone()),
            "limit" => filter.limit = usize::try_from(number(Filter::LIMIT_MAX as i64)?).ok(),
            _ => {
                let cursor = value.parse::<Cursor>();
                filter.after = Some(
                    cursor.map_err(|error| bad(format!("`after`: {}", error_response::one_line(&error))))?,
                );
            }
        }
    }
    Ok(filter)
}

async fn show(State(service): App, Segment(id): Segment) -> Result<Response, ErrorResponse> {
    let job = service.queue.get(read_id(&id)?).await?.ok_or_else(|| ErrorResponse::no_job(&id))?;
    Ok(json(&job))
}

async fn attempts(State(service): App, Segment(id): Segment) -> Result<Response, ErrorResponse> {
    let number = read_id(&id)?;
    service.queue.get(number).await?.ok_or_else(|| ErrorResponse::no_job(&id))?;
    Ok(json(&service.queue.attempts(number).await?))
}

async fn retry(State(service): App, Segment(id): Segment) -> Result<Response, ErrorResponse> {
    Ok(json(&service.queue.retry(read_id(&id)?).await?))
}

async fn cancel(State(service): App, Segment(id): Segment) -> Result<Response, ErrorResponse> {
    Ok(json(&service.queue.cancel(read_id(&id)?).await?))
}

/// Returns the job as it was.
async fn delete(State(service): App, Segment(id): Segment) -> Result<Response, ErrorResponse> {
    Ok(json(&service.queue.delete(read_id(&id)?).await?))
}

async fn report(State(service): App, Segment(file): Segment) -> Result<Response, ErrorResponse> {
    let missing = ErrorResponse::new(StatusCode::NOT_FOUND, format!("there is no report {}", clip(&file)))
        .help("the result of a generate_report job contains its report_url");
    let read = tokio::task::spawn_blocking(move || service.archive.open(&file)).await;
    let (document, content_type) = read.ok().flatten().ok_or(missing)?;
    let headers = [(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, REPORT_POLICY)];
    Ok((headers, document).into_response())
}

/// The health check: 200 while jobs are stored and run, else 503.
async fn health(State(service): App) -> Response {
    let health = service.queue.health();
    let status = if health.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = json(&health);
    *response.status_mut() = status;
    response
}

async fn not_found() -> ErrorResponse {
    nothing_here()
}

fn nothing_here() -> ErrorResponse {
    ErrorResponse::new(StatusCode::NOT_FOUND, "there is nothing at this path")
        .help("GET / lists the endpoints")
}

/// The router adds the allowed methods in the `Allow` header.
async fn method_not_allowed(method: Method) -> ErrorResponse {
    ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed at this path"))
        .help("the Allow header lists the allowed methods; GET / describes them")
}

/// The variable segment of a path.
struct Segment(String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segment, ErrorResponse> {
        // Bytes that are not UTF-8 name nothing.
        let Path(segment) = Path::from_request_parts(parts, state).await.map_err(|_| nothing_here())?;
        Ok(Segment(segment))
    }
}

/// The job number in a path; 404 if it is not a number.
fn read_id(text: &str) -> Result<JobId, ErrorResponse> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).map(JobId).ok_or_else(|| ErrorResponse::no_job(&clip(text)))
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

fn unwritten(error: serde_json::Error) -> ErrorResponse {
    ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_response_to_a_request_that_timed_out_does_not_make_clients_repeat_it() {
        let answer = within(std::future::pending(), Duration::ZERO).await;
        // Clients repeat a 408 by themselves, and a 503 with a Retry-After.
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        assert!(!answer.headers().contains_key(header::RETRY_AFTER));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(body["error"].as_str().unwrap().contains("whether it had an effect is unknown"), "{body}");
        assert!(body["help"].as_str().unwrap().contains("idempotency_key"), "{body}");
    }
}
