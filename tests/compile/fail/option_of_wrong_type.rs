use qdjobs::prelude::*;

const MANY: &str = "5";

#[task("send_email", retries = MANY)]
fn send_email() {}

fn main() {}
