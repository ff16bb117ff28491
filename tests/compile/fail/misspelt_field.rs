use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(to: &str, body: &str) {
    let _ = (to, body);
}

fn main() {
    let _ = SendEmail { to: "a@b".into(), bdoy: "Hi".into() };
}
