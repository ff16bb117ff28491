use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(#[serde(default)] to: String) {
    let _ = to;
}

fn main() {}
