//! The HTML page of the service: its tasks, its endpoints and the latest jobs.
//!
//! Depends on `html`, which escapes, and on the registry, which lists the tasks. Every text of a job comes
//! from outside and appears as text only.

use qdjobs::store::Counts;
use qdjobs::{Job, Registry, Status, TaskDef};
use serde_json::Value;

use crate::html::Html;

/// The number of jobs on the page.
pub(super) const JOBS_SHOWN: usize = 20;

/// The style of the page.
pub(super) const STYLE: &str = include_str!("style.css");

/// The script that updates the page.
pub(super) const SCRIPT: &str = include_str!("live.js");

/// The number of characters that are shown of a result or an error.
const NOTE_LETTERS_MAX: usize = 160;

const ENDPOINTS: [(&str, &str, &str); 10] = [
    (
        "POST",
        "/jobs",
        "Create a job: task, params; also name, queue, priority, delay, scheduled_at, max_retries, metadata, idempotency_key",
    ),
    (
        "GET",
        "/jobs",
        "List jobs, newest first, at most 1000 and 8 MiB; ?limit= and ?after= select a page, the Link header refers to the next one",
    ),
    (
        "GET",
        "/jobs?status=completed",
        "Filter by status: pending, running, completed, failed, cancelled; also ?task=, ?queue=",
    ),
    ("GET", "/jobs/:id", "Get the details of a job"),
    ("GET", "/jobs/:id/attempts", "List the ended attempts of a job"),
    ("POST", "/jobs/:id/retry", "Retry a failed or cancelled job, or run a scheduled one now"),
    ("POST", "/jobs/:id/cancel", "Cancel a pending job"),
    ("DELETE", "/jobs/:id", "Delete a job that is not running"),
    ("GET", "/reports/:file", "Get a report that generate_report has written"),
    (
        "GET",
        "/health",
        "Check whether jobs are stored and run (200) or not (503), with the state of the database",
    ),
];

/// What the page shows about the service.
#[derive(Clone, Debug)]
pub struct ServiceInfo {
    /// The address: `http://127.0.0.1:5004`.
    pub url: String,
    /// The path of the database.
    pub database: String,
    /// The destination of emails.
    pub mail: String,
    /// The image directory.
    pub images: String,
}

impl ServiceInfo {
    /// The command that creates a job.
    pub fn curl(&self) -> String {
        let body = r#"{"task": "send_email", "params": {"to": "user@example.com", "subject": "Test", "body": "Hello World"}}"#;
        format!("{} -H 'Content-Type: application/json' -d '{body}'", self.curl_of("/jobs"))
    }

    /// The command that gets a page. The URL is quoted: some shells expand the brackets of an IPv6 address.
    pub fn curl_of(&self, path: &str) -> String {
        format!("curl '{}{path}'", self.url)
    }
}

/// The page at `/`.
pub(super) fn index(info: &ServiceInfo, counts: &Counts, jobs: &[Job]) -> String {
    let mut page = Html::new();
    page.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>qdjobs demo</title>");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    page.raw("<link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/style.css\">");
    page.raw("<script src=\"/live.js\" defer></script></head><body>");
    page.raw("<header><h1>qdjobs demo</h1><p>Background jobs in <code>").text(&info.database);
    page.raw("</code>. Mail is ").text(&info.mail).raw("; images are those below <code>").text(&info.images);
    page.raw("</code>.</p></header><main><div id=\"live\">");
    live(&mut page, counts, jobs);
    page.raw("</div>");
    tasks(&mut page);
    endpoints(&mut page, info);
    page.raw("</main></body></html>\n");
    page.finish()
}

/// The part of the page that is updated.
fn live(page: &mut Html, counts: &Counts, jobs: &[Job]) {
    page.raw("<ul class=\"counts\">");
    for status in Status::ALL {
        page.raw("<li class=\"").text(status).raw("\"><a href=\"/jobs?status=").text(status).raw("\"><b>");
        page.text(counts.of(status)).raw("</b> ").text(status).raw("</a></li>");
    }
    page.raw("</ul><section><h2>Latest jobs</h2>");
    if jobs.is_empty() {
        page.raw("<p class=\"dim\">No jobs yet. The command below creates one.</p></section>");
        return;
    }
    page.raw("<div class=\"wide\"><table class=\"jobs\"><thead><tr><th>Job</th><th>Name</th><th>Status</th>");
    page.raw("<th>Created (UTC)</th><th>Duration</th><th>Result</th></tr></thead><tbody>");
    for job in jobs {
        row(page, job);
    }
    page.raw("</tbody></table></div></section>");
}

fn row(page: &mut Html, job: &Job) {
    page.raw("<tr><td><a href=\"/jobs/")
        .text(job.id)
        .raw("\">")
        .text(job.id)
        .raw("</a></td><td>")
        .text(clip(&job.name));
    page.raw("</td><td><span class=\"pill ")
        .text(job.status)
        .raw("\">")
        .text(job.status)
        .raw("</span></td><td>");
    page.text(job.created_at.strftime("%Y-%m-%d %H:%M:%S")).raw("</td><td>");
    if let Some(span) = job.duration() {
        page.text(format_args!("{:.3} s", span.as_secs_f64()));
    }
    page.raw("</td><td>");
    outcome(page, job);
    page.raw("</td></tr>");
}

/// The result, the error or the progress of the job.
fn outcome(page: &mut Html, job: &Job) {
    let result: Option<Value> = job.result.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let report = result.as_ref().and_then(|result| result["report_url"].as_str());
    match (job.status, &job.progress, report) {
        // A result comes from a task: only a path of this service becomes a link.
        (Status::Completed, _, Some(url)) if url.starts_with("/reports/") => {
            page.raw("<a href=\"").text(url).raw("\">").text(url).raw("</a>");
        }
        (Status::Completed, ..) => {
            page.text(clip(&result.as_ref().map(in_words).unwrap_or_default()));
        }
        (Status::Running, Some(progress), _) => {
            page.raw("<progress value=\"").text(progress.fraction).raw("\"></progress> ");
            page.text(clip(progress.message.as_deref().unwrap_or_default()));
        }
        (Status::Pending, ..) => {
            if job.scheduled_at > job.created_at {
                page.raw("due ").text(job.scheduled_at.strftime("%Y-%m-%d %H:%M:%S")).raw(" ");
            }
            page.text(clip(job.error.as_deref().unwrap_or_default()));
        }
        _ => {
            page.text(clip(job.error.as_deref().unwrap_or_default()));
        }
    }
}

/// A result without the quotes and braces of JSON. `true` is left out, since the status shows the success.
fn in_words(result: &Value) -> String {
    match result {
        Value::Null | Value::Bool(true) => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let said = members
                .iter()
                .map(|(name, value)| (name, in_words(value)))
                .filter(|(_, words)| !words.is_empty());
            said.map(|(name, words)| format!("{name} {words}")).collect::<Vec<_>>().join(" · ")
        }
        other => other.to_string(),
    }
}

fn tasks(page: &mut Html) {
    page.raw("<section><h2>Tasks</h2><div class=\"cards\">");
    for task in Registry::linked().iter() {
        card(page, task);
    }
    page.raw("</div></section>");
}

fn card(page: &mut Html, task: &TaskDef) {
    page.raw("<article><h3>").text(task.name).raw("</h3><p>").text(task.doc).raw("</p><dl>");
    for param in task.params {
        page.raw("<dt><code>").text(param.name).raw("</code> <span class=\"dim\">").text(param.ty);
        page.raw("</span></dt><dd>").text(param.doc).raw("</dd>");
    }
    page.raw("</dl><p class=\"dim\">queue ").text(task.options.queue).raw(", ").text(task.options.retries);
    page.raw(" retries</p></article>");
}

fn endpoints(page: &mut Html, info: &ServiceInfo) {
    page.raw("<section><h2>Create a job</h2><pre><code>")
        .text(info.curl())
        .raw("</code></pre><pre><code>")
        .text(info.curl_of("/jobs/1"))
        .raw("</code></pre><pre><code>")
        .text(info.curl_of("/jobs"))
        .raw("</code></pre></section>");
    page.raw(
        "<section><h2>Endpoints</h2><div class=\"wide\"><table><thead><tr><th>Method</th><th>Endpoint</th>",
    );
    page.raw("<th>Description</th></tr></thead><tbody>");
    for (method, path, what) in ENDPOINTS {
        page.raw("<tr><td>")
            .text(method)
            .raw("</td><td><code>")
            .text(path)
            .raw("</code></td><td>")
            .text(what);
        page.raw("</td></tr>");
    }
    page.raw("</tbody></table></div></section>");
}

fn clip(text: &str) -> String {
    if text.chars().count() <= NOTE_LETTERS_MAX {
        return text.to_owned();
    }
    text.chars().take(NOTE_LETTERS_MAX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_the_page_are_the_same_in_every_shell() {
        let info = ServiceInfo {
            url: "http://[::1]:5004".to_owned(),
            database: String::new(),
            mail: String::new(),
            images: String::new(),
        };
        assert_eq!(info.curl_of("/jobs?status=completed"), "curl 'http://[::1]:5004/jobs?status=completed'");
        assert!(info.curl().starts_with("curl 'http://[::1]:5004/jobs' -H "), "{}", info.curl());
        let page = index(&info, &qdjobs::JobQueue::in_memory().counts().unwrap(), &[]);
        let commands: Vec<_> = page.match_indices("curl ").collect();
        assert_eq!(commands.len(), 3);
        // As HTML, with its quotes escaped.
        assert!(commands.iter().all(|(at, _)| page[*at..].starts_with("curl &#39;http")), "{page}");
    }
}
