use qdjobs::prelude::*;

#[task("send_email", backoff = exponential("2h", factor = 0.5))]
fn send_email() {}

#[task("send_mail", backoff = "5s")]
fn send_mail() {}

#[task("send_post", backoff = exponential("2h"))]
fn send_post() {}

fn main() {}
