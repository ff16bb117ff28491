#![deny(unused_must_use)]

use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(to: &str) {
    let _ = to;
}

fn main() {
    SendEmail::new("a@b");
}
