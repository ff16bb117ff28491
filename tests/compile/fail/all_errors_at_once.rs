use qdjobs::prelude::*;

#[task("send email", retry = 5, timout = "3s", colour = "red", priority = "high", queue = 3, cron = "* * * * *")]
fn send_email(#[stat] to: &str, (x, y): (u8, u8), n: u128, list: Vec<&str>) -> impl Sized {
    let _ = (to, x, y, n, list);
}

fn main() {
    // The function is still there, as it was.
    let _ = send_email("a", (1, 2), 3, vec![]);
}
