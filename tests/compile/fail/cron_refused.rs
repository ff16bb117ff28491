use qdjobs::prelude::*;

#[task("nightly", cron = "0 3 * * *")]
fn nightly() {}

fn main() {}
