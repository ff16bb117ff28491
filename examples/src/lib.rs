//! The demo service, in parts that can be read and tested alone: three tasks that do real work, and the service that
//! takes jobs for them. `src/bin/job_queue.rs` puts the parts together; the short examples in this folder need none of
//! them.

pub mod email;
pub mod html;
pub mod http;
pub mod image;
pub mod job_output;
pub mod report;
pub mod tasks;
