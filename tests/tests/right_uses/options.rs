//! Options that are constants and expressions.

use std::time::Duration;

use qdjobs::Backoff;
use qdjobs::prelude::*;

use super::Running;

mod names {
    pub(super) const QUEUE: &str = "mail.slow";
}
const LIMIT: Duration = Duration::from_secs(30);
const FACTOR: f64 = 1.5;
const FIRST: Duration = Duration::from_secs(2);
const SLOW: Backoff = Backoff::exponential(FIRST, FACTOR, LIMIT);
const URGENT: i32 = -7;

const fn tries() -> u32 {
    9
}

fn steady(retry: u32) -> Duration {
    Duration::from_secs(u64::from(retry))
}

#[task("option.constants", queue = names::QUEUE, priority = URGENT, retries = tries(), timeout = LIMIT, backoff = SLOW)]
fn constants() -> u8 {
    1
}

#[task(
    "option.expressions",
    queue = concat!("a", "/", "b"),
    priority = 2 * 3,
    retries = u32::MAX,
    timeout = Duration::from_millis(1_500),
    backoff = exponential(FIRST, factor = FACTOR, max = LIMIT),
)]
async fn expressions() -> u8 {
    2
}

#[task("option.literals", queue = "q", timeout = "1d2h3m4s5ms", backoff = exponential("1500ms"), aliases("option.old"))]
fn literals() -> u8 {
    3
}

#[task("option.function", backoff = steady)]
fn function() -> u8 {
    4
}

#[task("option.closure", backoff = |retry| Duration::from_secs(u64::from(retry)), params = Call)]
fn closure() -> u8 {
    5
}

#[task("option.fixed", backoff = fixed("0s"), crate = ::qdjobs)]
fn with_crate() -> u8 {
    6
}

#[test]
fn constants_and_expressions_are_options() {
    let running = Running::new();
    let all = [
        running.result(Constants),
        running.result(Expressions),
        running.result(Literals),
        running.result(Function),
        running.result(Call),
        running.result(WithCrate),
    ];
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    let options = Constants::DEF.options;
    assert_eq!((options.queue, options.priority, options.retries), ("mail.slow", -7, 9));
    assert_eq!(options.timeout, Some(LIMIT));
    assert_eq!(Expressions::DEF.options.queue, "a/b");
    let exact = Duration::from_millis(93_784_005);
    assert_eq!(Literals::DEF.options.timeout, Some(exact));
}
