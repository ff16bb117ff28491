use qdjobs::prelude::*;

#[task]
fn send_email() {}

fn main() {}
