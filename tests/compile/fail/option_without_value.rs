use qdjobs::prelude::*;

#[task("send_email", retries)]
fn send_email() {}

fn main() {}
