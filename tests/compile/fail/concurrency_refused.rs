use qdjobs::prelude::*;

#[task("send_email", concurrency = 4)]
fn send_email() {}

fn main() {}
