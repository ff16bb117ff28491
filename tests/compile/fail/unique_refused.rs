use qdjobs::prelude::*;

#[task("send_email", unique(to, colour, for = "1h"))]
fn send_email(to: &str) {
    let _ = to;
}

fn main() {}
