//! The demo's three tasks, and nothing else: what each does stands in the module it calls.
//!
//! Leans on `#[task]`, which makes a type to enqueue of each function (`SendEmail`, `ProcessImage`, `GenerateReport`) and
//! leaves the function as it is. What is shared by all jobs (`#[state]`) comes from the worker.

use qdjobs::Clock;
use qdjobs::prelude::*;
use serde_json::{Map, Value};

use crate::email::{Letter, Mailer, Sent};
use crate::image::{Album, Operation, Processed};
use crate::job_output::Run;
use crate::report::{Archive, Generated};

/// Sends one email.
#[task("send_email", queue = "mail", retries = 5, timeout = "60s")]
pub fn send_email(
    /// Who gets it; several addresses with commas between them.
    to: &str,
    /// One line.
    subject: &str,
    /// The text.
    body: &str,
    /// Who gets a copy.
    cc: Option<&str>,
    /// The text once more as HTML.
    html: Option<&str>,
    ctx: &JobContext,
    #[state] mailer: &Mailer,
) -> Result<Sent, TaskError> {
    mailer.deliver(&Letter { to, subject, body, cc, html }, &Run::of(ctx))
}

/// Changes a picture and writes the outcome beside it.
#[task("process_image", queue = "images", timeout = "5m")]
pub fn process_image(
    /// A PNG or JPEG in the folder of the service or below it.
    image_path: &str,
    /// In this order: resize:WxH, thumbnail:WxH, crop:X,Y,W,H, rotate:90|180|270, grayscale, blur:SIGMA, optimize.
    operations: &[Operation],
    ctx: &JobContext,
    #[state] album: &Album,
) -> Result<Processed, TaskError> {
    album.process(image_path, operations, &Run::of(ctx), &mut |done, doing| step(ctx, done, doing))
}

/// Writes a report on the jobs of this queue.
#[task("generate_report", queue = "reports", timeout = "5m")]
pub fn generate_report(
    /// Its name, as in daily or sales.
    report_type: &str,
    /// Any of format (pdf, csv, html), days or since, until, per (hour, day); the rest is printed.
    params: Map<String, Value>,
    ctx: &JobContext,
    #[state] archive: &Archive,
) -> Result<Generated, TaskError> {
    let now = Clock::system().now();
    archive.generate(report_type, &params, now, &Run::of(ctx), &mut |done, doing| step(ctx, done, doing))
}

/// Tells the queue how far the job is, and the job when it is wanted no longer.
fn step(ctx: &JobContext, done: f64, doing: &str) -> Result<(), TaskError> {
    if ctx.should_stop() {
        return Err(TaskError::retry(format!("stopped before {doing}")));
    }
    ctx.progress_with(done, doing);
    Ok(())
}
