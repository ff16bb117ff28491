use qdjobs::prelude::*;

#[task("send_email", max_attempts = 5)]
fn send_email() {}

fn main() {}
