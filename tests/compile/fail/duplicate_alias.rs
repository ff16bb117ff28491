use qdjobs::prelude::*;

#[task("send_email")]
fn send_email() {}

#[task("mail", aliases("send_email"))]
fn mail() {}

fn main() {}
