use qdjobs::prelude::*;

#[task("send_email", retries = 3, queue = "mail", retries = 5)]
fn send_email() {}

fn main() {}
