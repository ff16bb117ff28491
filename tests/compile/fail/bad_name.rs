use qdjobs::prelude::*;

#[task("send email")]
fn send_email() {}

fn main() {}
