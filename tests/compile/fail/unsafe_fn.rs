use qdjobs::prelude::*;

#[task("send_email")]
unsafe fn send_email() {}

fn main() {}
