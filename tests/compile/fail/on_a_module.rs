use qdjobs::prelude::*;

#[task("send_email")]
mod send_email {}

fn main() {}
