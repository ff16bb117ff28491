//! The modules of the demo service: three tasks that do real work, and an HTTP interface that enqueues jobs.
//!
//! `src/bin/job_queue.rs` combines them. The short examples in this directory use none of them.

pub mod cli;
pub mod email;
pub mod html;
pub mod http;
pub mod image;
pub mod job_output;
pub mod report;
pub mod setting;
pub mod tasks;
