use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(to: &str) {
    let _ = to;
}

fn main() {
    let _ = SendEmail::new("a@b").enqueue("jobs.db");
}
