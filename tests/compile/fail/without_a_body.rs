use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(to: &str) -> bool;

fn main() {}
