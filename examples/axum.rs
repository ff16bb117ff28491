//! A web service that responds at once and does the work later, in one program. It runs until it is stopped.
//!
//! `cargo run --example axum`, then `curl localhost:3000/register -d email=ann@example.com`
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::future::IntoFuture as _;
use std::time::Duration;

use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use qdjobs::prelude::*;
use qdjobs::{AsyncQueue, Job, JobId};

/// Sends a welcome mail.
#[task("welcome")]
async fn welcome(email: &str) {
    println!("welcome, {email}");
}

#[derive(serde::Deserialize)]
struct Registration {
    email: String,
}

/// The job is durable before the response is sent, and the response does not wait for the mail.
async fn register(
    State(queue): State<AsyncQueue>,
    Form(user): Form<Registration>,
) -> Result<String, StatusCode> {
    let job = Welcome::new(user.email).enqueue(&queue).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(format!("Registration complete! Check your email. (/jobs/{})\n", job.id()))
}

async fn status(State(queue): State<AsyncQueue>, Path(id): Path<i64>) -> Result<Json<Job>, StatusCode> {
    let job = queue.get(JobId(id)).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    job.map(Json).ok_or(StatusCode::NOT_FOUND)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // First, so that a port in use leaves no database and starts no second worker.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let queue = JobQueue::open("web.db")?;
    let worker = Worker::new(&queue).start()?;

    let routes = Router::new().route("/register", post(register)).route("/jobs/{id}", get(status));
    let server = axum::serve(listener, routes.with_state(queue.to_async()));
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    let serving = tokio::spawn(server.with_graceful_shutdown(stop).into_future());

    tokio::signal::ctrl_c().await?;
    // At once: after the last response would be too late, since a client that stalls would keep the worker claiming
    // jobs. It blocks until the running jobs are done, so it is not called on a thread of the runtime.
    let stopping = tokio::task::spawn_blocking(|| worker.stop());
    tokio::time::timeout(Duration::from_secs(5), serving).await.ok();
    Ok(stopping.await??)
}
