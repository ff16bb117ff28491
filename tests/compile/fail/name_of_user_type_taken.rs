use qdjobs::prelude::*;

struct SendEmail;

#[task("send_email")]
fn send_email() {}

fn main() {}
