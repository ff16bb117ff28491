use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(ctx: JobContext) {
    let _ = ctx;
}

fn main() {}
