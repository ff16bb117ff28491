#![deny(unused_must_use)]

use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(to: &str) {
    let _ = to;
}

fn main() {
    let queue = JobQueue::in_memory();
    SendEmail::new("a@b").enqueue(&queue);
}
