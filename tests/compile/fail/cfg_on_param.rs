use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(to: &str, #[cfg(unix)] mode: u32) {
    let _ = (to, mode);
}

fn main() {}
