//! What the service says when it does not do what it was asked: [`Refusal`], always JSON with an `error`.
//!
//! Leans on axum for the answer and on qdjobs for what can go wrong. The one place that maps errors to status codes.

use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use qdjobs::{Error, ErrorKind, Registry};
use serde::Serialize;

use super::body::suggest;

/// An answer that is not a success.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Problem {
    /// The member of the request, `delay`, or of its params, `params.to`.
    pub field: String,
    /// What is wrong with it, and what to write.
    pub problem: String,
}

impl Refusal {
    /// With this status and these words.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Refusal {
        Refusal { status, error: error.into(), help: None, problems: Vec::new() }
    }

    /// And what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Refusal {
        self.help = Some(help.into());
        self
    }

    /// A request that is well-formed but cannot be done, for each of these reasons.
    pub fn unprocessable(what: &str, problems: Vec<Problem>) -> Refusal {
        let list: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.field, problem.problem)).collect();
        let error = format!("{what}: {}", list.join("; "));
        Refusal { problems, ..Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error) }
    }

    /// There is no such job.
    pub fn no_job(id: &str) -> Refusal {
        let shown: String = id.chars().take(40).collect();
        Refusal::new(StatusCode::NOT_FOUND, format!("there is no job {shown}"))
            .help("GET /jobs lists those there are")
    }

    /// There is no such task. The library's own words also say how a task gets into a program, which is not for those who
    /// call a service.
    pub fn no_task(name: &str) -> Refusal {
        let tasks = || Registry::linked().iter().map(|task| task.name);
        let shown: String = name.chars().take(100).collect();
        let meant =
            suggest(name, tasks()).map(|meant| format!(". Did you mean {meant}?")).unwrap_or_default();
        Refusal::new(StatusCode::BAD_REQUEST, format!("Task not registered: {shown}{meant}"))
            .help(format!("the tasks are {}", tasks().collect::<Vec<_>>().join(", ")))
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        if error.kind() == ErrorKind::InvalidParams && !error.problems().is_empty() {
            let problem = |problem: &qdjobs::ParamProblem| Problem {
                field: format!("params.{}", problem.param),
                problem: problem.problem.clone(),
            };
            let what = error.to_string().lines().next().unwrap_or_default().to_owned();
            return Refusal::unprocessable(&what, error.problems().iter().map(problem).collect());
        }
        let status = match error.kind() {
            ErrorKind::UnknownTask => StatusCode::BAD_REQUEST,
            ErrorKind::InvalidInput | ErrorKind::InvalidParams => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Busy | ErrorKind::Overloaded | ErrorKind::Closed | ErrorKind::StoreHalted => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // The suggestion is part of the text.
        Refusal::new(status, one_line(&error))
    }
}

/// The text of an error with what to do about it, as one sentence after the other.
pub(super) fn one_line(error: &Error) -> String {
    error.to_string().replace("\nhelp: ", "; ").replace('\n', " ")
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Three fields of text cannot fail to serialise.
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
