//! A report as HTML and as CSV.
//!
//! Depends on `html`, which escapes, and on `history` for the figures. Reads no database.

use std::fmt::Write;

use qdjobs::Timestamp;

use super::history::{Bucket, History};
use super::{ReportRequest, show_bucket, show_instant, show_share, show_span};
use crate::html::Html;

/// Height of the chart, in units of the SVG.
const CHART_HEIGHT: f64 = 160.0;

/// Width of the chart.
const CHART_WIDTH: f64 = 700.0;

const STYLE: &str = "<style>
:root { color-scheme: light dark; --ink: light-dark(#1d2733, #e6e9ee); --dim: light-dark(#66717f, #97a3b3);
  --line: light-dark(#dfe4ea, #343d49); --good: light-dark(#2f7d5b, #58b98b); --bad: light-dark(#c2453d, #e8776f); }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin: 0; } h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; } .dim { color: var(--dim); }
svg { width: 100%; height: auto; } .good { fill: var(--good); } .bad { fill: var(--bad); }
div { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: normal; } th:first-child, td:first-child { text-align: left; }
li { margin: .5rem 0; overflow-wrap: anywhere; white-space: pre-wrap; }
</style>";

/// The table of tasks: a header line, and one line for each task.
pub(super) fn csv(history: &History) -> String {
    let mut csv = String::from("task,completed,failed,cancelled,success_rate,median_seconds,p95_seconds\r\n");
    for task in &history.tasks {
        let rate = match task.ends.judged() {
            0 => String::new(),
            judged => format!("{:.4}", task.ends.completed as f64 / judged as f64),
        };
        let seconds = |span: Option<f64>| span.map_or(String::new(), |span| format!("{span:.6}"));
        let ends = task.ends;
        // Writing to a `String` cannot fail.
        write!(
            csv,
            "{},{},{},{},{rate},{},{}\r\n",
            quoted(&task.name),
            ends.completed,
            ends.failed,
            ends.cancelled,
            seconds(task.median),
            seconds(task.p95)
        )
        .ok();
    }
    csv
}

/// A quoted field. A field that looks like a formula gets a leading quote, since a spreadsheet would execute
/// it.
fn quoted(field: &str) -> String {
    let guard = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", field.replace('"', "\"\""))
}

/// A page that contains its style and loads nothing.
pub(super) fn html(request: &ReportRequest, history: &History, now: Timestamp) -> String {
    let total = history.total();
    let mut page = Html::new();
    page.raw("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>")
        .text(&request.name);
    page.raw("</title>").raw(STYLE).raw("<h1>").text(&request.name).raw("</h1><p class=\"dim\">");
    page.text(show_instant(request.since)).raw(" to ").text(show_instant(request.until)).raw(" UTC, made ");
    page.text(show_instant(now)).raw("</p>");
    for (key, value) in &request.notes {
        page.raw("<p class=\"dim\">").text(key).raw(": ").text(value).raw("</p>");
    }
    page.raw("<p>").text(total.ended()).raw(" jobs ended: ").text(total.completed).raw(" completed, ");
    page.text(total.failed).raw(" failed, ").text(total.cancelled).raw(" cancelled. Success rate ");
    page.text(show_share(total.completed, total.judged())).raw(". Now ").text(history.pending);
    page.raw(" pending, ").text(history.running).raw(" running.</p>");
    chart(&mut page, request, &history.buckets);
    tasks(&mut page, history);
    errors(&mut page, history);
    page.raw("</html>\n");
    page.finish()
}

fn chart(page: &mut Html, request: &ReportRequest, buckets: &[Bucket]) {
    let highest =
        buckets.iter().map(|bucket| bucket.completed + bucket.failed).max().unwrap_or(0).max(1) as f64;
    let width = CHART_WIDTH / buckets.len().max(1) as f64;
    page.raw("<h2>Throughput</h2><svg viewBox=\"0 0 ").text(CHART_WIDTH).raw(" ").text(CHART_HEIGHT);
    page.raw("\" role=\"img\" aria-label=\"Jobs ended over time\">");
    for (at, bucket) in buckets.iter().enumerate() {
        let height = |count: u64| count as f64 / highest * CHART_HEIGHT;
        let (good, bad) = (height(bucket.completed), height(bucket.failed));
        page.raw("<g><title>").text(show_bucket(bucket.start, request.bucket_micros)).raw(": ");
        page.text(bucket.completed).raw(" completed, ").text(bucket.failed).raw(" failed</title>");
        for (class, top, height) in
            [("good", CHART_HEIGHT - good, good), ("bad", CHART_HEIGHT - good - bad, bad)]
        {
            page.raw("<rect class=\"").text(class).raw("\" x=\"").text(at as f64 * width + width * 0.1);
            page.raw("\" y=\"")
                .text(top)
                .raw("\" width=\"")
                .text(width * 0.8)
                .raw("\" height=\"")
                .text(height);
            page.raw("\"/>");
        }
        page.raw("</g>");
    }
    page.raw("</svg>");
    if let (Some(first), Some(last)) = (buckets.first(), buckets.last()) {
        page.raw("<p class=\"dim\">").text(show_bucket(first.start, request.bucket_micros)).raw(" to ");
        page.text(show_bucket(last.start, request.bucket_micros))
            .raw(", at most ")
            .text(highest)
            .raw(" a bar</p>");
    }
}

fn tasks(page: &mut Html, history: &History) {
    page.raw("<h2>Tasks</h2><div><table><tr><th>Task<th>Completed<th>Failed<th>Cancelled<th>Success<th>Median<th>95 %</tr>");
    for task in &history.tasks {
        let span = |span: Option<f64>| span.map_or("–".to_owned(), show_span);
        page.raw("<tr><td>").text(&task.name).raw("<td>").text(task.ends.completed).raw("<td>");
        page.text(task.ends.failed).raw("<td>").text(task.ends.cancelled).raw("<td>");
        page.text(show_share(task.ends.completed, task.ends.judged())).raw("<td>").text(span(task.median));
        page.raw("<td>").text(span(task.p95)).raw("</tr>");
    }
    page.raw("</table></div>");
}

fn errors(page: &mut Html, history: &History) {
    if history.errors.is_empty() {
        return;
    }
    page.raw("<h2>Newest errors</h2><ul>");
    for error in &history.errors {
        page.raw("<li><span class=\"dim\">")
            .text(show_instant(error.at))
            .raw(" ")
            .text(&error.task)
            .raw(" #");
        page.text(error.job).raw("</span> ").text(&error.error).raw("</li>");
    }
    page.raw("</ul>");
}
