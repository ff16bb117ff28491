use qdjobs::prelude::*;

#[task("send")]
fn send() {}

fn main() {}
