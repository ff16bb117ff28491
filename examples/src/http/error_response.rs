//! [`ErrorResponse`], the response to a request that failed: JSON with a member `error`.
//!
//! Depends on axum and on the errors of qdjobs. The only file that maps errors to status codes.

use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use qdjobs::{Error, ErrorKind, Registry};
use serde::Serialize;

use super::body::suggest;

/// A response with an error status.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorResponse {
    #[serde(skip)]
    status: StatusCode,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

/// One invalid field of a request.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Problem {
    /// The field: `delay`, or `params.to` for a param.
    pub field: String,
    /// What is wrong with it, and what to write.
    pub problem: String,
}

impl ErrorResponse {
    /// A response with this status and text.
    pub fn new(status: StatusCode, error: impl Into<String>) -> ErrorResponse {
        ErrorResponse { status, error: error.into(), help: None, problems: Vec::new() }
    }

    /// Adds what to do about the error.
    pub fn help(mut self, help: impl Into<String>) -> ErrorResponse {
        self.help = Some(help.into());
        self
    }

    /// The response to a request with these invalid fields.
    pub fn unprocessable(what: &str, problems: Vec<Problem>) -> ErrorResponse {
        let list: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.field, problem.problem)).collect();
        let error = format!("{what}: {}", list.join("; "));
        ErrorResponse { problems, ..ErrorResponse::new(StatusCode::UNPROCESSABLE_ENTITY, error) }
    }

    /// The response for a job that is not stored.
    pub fn no_job(id: &str) -> ErrorResponse {
        let shown: String = id.chars().take(40).collect();
        ErrorResponse::new(StatusCode::NOT_FOUND, format!("there is no job {shown}"))
            .help("GET /jobs lists the jobs")
    }

    /// The response for an unknown task. The error of the library would also explain how to link a task,
    /// which does not concern a client.
    pub fn no_task(name: &str) -> ErrorResponse {
        let tasks = || Registry::linked().iter().map(|task| task.name);
        let shown: String = name.chars().take(100).collect();
        let meant =
            suggest(name, tasks()).map(|meant| format!(". Did you mean {meant}?")).unwrap_or_default();
        ErrorResponse::new(StatusCode::BAD_REQUEST, format!("Task not registered: {shown}{meant}"))
            .help(format!("the tasks are {}", tasks().collect::<Vec<_>>().join(", ")))
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Error> for ErrorResponse {
    fn from(error: Error) -> ErrorResponse {
        if error.kind() == ErrorKind::InvalidParams && !error.problems().is_empty() {
            let problem = |problem: &qdjobs::ParamProblem| Problem {
                field: format!("params.{}", problem.param),
                problem: problem.problem.clone(),
            };
            let what = error.to_string().lines().next().unwrap_or_default().to_owned();
            return ErrorResponse::unprocessable(&what, error.problems().iter().map(problem).collect());
        }
        let status = match error.kind() {
            ErrorKind::UnknownTask => StatusCode::BAD_REQUEST,
            ErrorKind::InvalidInput | ErrorKind::InvalidParams => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Busy
            | ErrorKind::Overloaded
            | ErrorKind::Closed
            | ErrorKind::StoreHalted
            | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // The text contains the suggestion.
        ErrorResponse::new(status, one_line(&error))
    }
}

/// The text of an error and what to do about it, in one line.
pub(super) fn one_line(error: &Error) -> String {
    error.to_string().replace("\nhelp: ", "; ").replace('\n', " ")
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        // Serializing three fields of text cannot fail.
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
