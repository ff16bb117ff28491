use qdjobs::prelude::*;

#[task("send_email")]
fn send_email(to: &str, subject: &str, body: &str) {
    let _ = (to, subject, body);
}

fn main() {
    let _ = SendEmail::new("a@b", "Hi");
}
