//! The three tasks of the demo. The work of each is in the module that it calls.
//!
//! Depends on `#[task]`, which generates a params struct for each function: `SendEmail`, `ProcessImage` and
//! `GenerateReport`. The values with `#[state]` are passed by the worker.

use qdjobs::Clock;
use qdjobs::prelude::*;
use serde_json::{Map, Value};

use crate::email::{Email, Mailer, Sent};
use crate::image::{Album, Operation, Processed};
use crate::job_output::Run;
use crate::report::{Archive, Generated};

/// Sends one email.
#[task("send_email", queue = "mail", retries = 5, timeout = "60s")]
pub fn send_email(
    /// The recipient, or several recipients separated by commas; with those of a copy at most 100.
    to: &str,
    /// The subject, one line.
    subject: &str,
    /// The text.
    body: &str,
    /// The recipients of a copy.
    cc: Option<&str>,
    /// The text as HTML.
    html: Option<&str>,
    ctx: &JobContext,
    #[state] mailer: &Mailer,
) -> Result<Sent, TaskError> {
    mailer.deliver(&Email { to, subject, body, cc, html }, &Run::of(ctx))
}

/// Processes an image and writes the result to the same directory.
#[task("process_image", queue = "images", timeout = "5m")]
pub fn process_image(
    /// A PNG or JPEG file in the image directory of the service or below it.
    image_path: &str,
    /// Applied in order: resize:WxH, thumbnail:WxH, crop:X,Y,W,H, rotate:90|180|270, grayscale, blur:SIGMA,
    /// optimize.
    operations: &[Operation],
    ctx: &JobContext,
    #[state] album: &Album,
) -> Result<Processed, TaskError> {
    album.process(image_path, operations, &Run::of(ctx), &mut |done, doing| step(ctx, done, doing))
}

/// Writes a report on the jobs of this queue.
#[task("generate_report", queue = "reports", timeout = "5m")]
pub fn generate_report(
    /// The name of the report, for example daily or sales.
    report_type: &str,
    /// Options: format (pdf, csv, html), days or since, until, per (hour, day). Other members are printed as
    /// notes.
    params: Map<String, Value>,
    ctx: &JobContext,
    #[state] archive: &Archive,
) -> Result<Generated, TaskError> {
    let now = Clock::system().now();
    archive.generate(report_type, &params, now, &Run::of(ctx), &mut |done, doing| step(ctx, done, doing))
}

/// Reports the progress of the job; returns an error if the job should stop.
fn step(ctx: &JobContext, done: f64, doing: &str) -> Result<(), TaskError> {
    if ctx.should_stop() {
        return Err(TaskError::retry(format!("stopped before {doing}")));
    }
    ctx.progress_with(done, doing);
    Ok(())
}
