use qdjobs::prelude::*;

#[task("send_email", timeout = "30")]
fn send_email() {}

fn main() {}
