use qdjobs::prelude::*;

#[task("send_email", retry = 5)]
fn send_email() {}

fn main() {}
