use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(to: &str, #[default("three")] times: u8) {
    let _ = (to, times);
}

fn main() {}
