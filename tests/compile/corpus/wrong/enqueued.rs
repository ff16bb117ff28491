//! Wrong signatures of tasks that are enqueued: the mistake is one error, and the call is none.

//# mutable
#[task("send")]
fn send_it(to: &mut String) {}
//              ^^^ `mut`
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new("a").enqueue(queue)?;
    Ok(())
}

//# bare_str
#[task("send")]
fn send_it(to: str) {}
//             ^^^ `&str`
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    send_it("a");
    SendIt::new("a").enqueue(queue)?;
    Ok(())
}

//# u128
#[task("send")]
fn send_it(n: u128, to: &str) {}
//            ^^^^ `String`
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new(5, "a").priority(3).enqueue(queue)?;
    Ok(())
}

//# inner_borrow
#[task("send")]
fn send_it(to: Vec<&str>, cc: Option<&str>) {}
//                 ^ owned types
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    let job = SendIt { cc: Some("b".into()), ..SendIt::new(vec!["a"]) };
    job.enqueue(queue)?;
    Ok(())
}

//# dyn_type
#[task("send")]
fn send_it(to: Box<dyn std::fmt::Debug>) {}
//             ^^^ concrete type
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new(Box::new(5)).enqueue(queue)?;
    Ok(())
}

//# inferred
#[task("send")]
fn send_it(to: Vec<_>) {
//                 ^ placeholder
    let _: Vec<u8> = to;
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new(vec![1]).enqueue(queue)?;
    Ok(())
}

//# parameter_twice
#[task("send")]
fn send_it(to: &str, to: &str) {}
//                   ^^ more than once
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new("a", "b").enqueue(queue)?;
    Ok(())
}

//# context_by_value
#[task("send")]
fn send_it(to: &str, ctx: JobContext) {}
//                        ^^^^^^^^^^ `&JobContext`
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new("a").enqueue(queue)?;
    Ok(())
}

//# pattern
#[task("send")]
fn send_it((x, y): (u8, u8)) {
//         ^^^^^^ plain name
    let _ = x + y;
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new((1, 2)).enqueue(queue)?;
    Ok(())
}

//# misspelt_default
#[task("send")]
fn send_it(to: &str, #[defualt] n: u8) {}
//                   ^^^^^^^^^^ #[default]
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new("a").enqueue(queue)?;
    Ok(())
}

//# mutable_state
#[task("send")]
fn send_it(to: &str, #[state] db: &mut u8) {}
//                                ^^^^^^^ Mutex
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new("a").enqueue(queue)?;
    Ok(())
}

//# generic
#[task("send")]
fn send_it<T: std::fmt::Debug>(to: T) {
//         ^ generic
    println!("{to:?}");
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new(5).enqueue(queue)?;
    Ok(())
}

//# const_fn
#[task("send")]
const fn send_it() {}
//^^^ remove `const`
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    send_it();
    SendIt.enqueue(queue)?;
    Ok(())
}

//# never
#[task("send")]
fn send_it() -> ! {
//              ^ return `()`
    loop {}
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt.enqueue(queue)?;
    Ok(())
}

//# borrowed_result
#[task("send")]
fn send_it(to: &str) -> Result<&str, String> {
//                             ^ `String`
    Ok(to)
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    let _ = SendIt::new("a").enqueue(queue)?.wait()?;
    Ok(())
}

//# borrowed_from_two
#[task("send")]
fn send_it(to: &str, body: &str) -> &str {
//                                  ^ `String`
    if to.is_empty() { to } else { body }
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    let text: &str = send_it("a", "b");
    SendIt::new(text, "b").enqueue(queue)?;
    Ok(())
}

//# static_text
#[task("send")]
fn send_it(n: u8) -> &'static str {
//                   ^ `String`
    "sent"
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    queue.enqueue_all([SendIt::new(1), SendIt::new(2)])?;
    Ok(())
}

//# error_of_another_value
#[task("send")]
fn send_it(to: &'static str) -> Result<u8, String> {
//              ^^^^^^^ `'static`
    Ok(1)
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    let sent: u8 = SendIt::new("a").enqueue(queue)?.wait()?;
    Ok(())
}

//# wrong_result_and_a_worker
#[task("send")]
fn send_it() -> Box<dyn std::fmt::Debug> {
//              ^^^ `dyn`
    Box::new(1)
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    let _ = Worker::new(queue).task::<SendIt>();
    Ok(())
}

//# unknown_option
#[task("send", retry = 5)]
//             ^^^^^ `retries`
fn send_it(to: &str) {}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    SendIt::new("a").enqueue(queue)?;
    Ok(())
}

//# async_task
#[task("send")]
async fn send_it(to: &mut String) -> Result<u8, String> {
//                    ^^^ `mut`
    Ok(1)
}
async fn call(queue: &AsyncQueue) -> qdjobs::Result<()> {
    let job = SendIt::new("a").enqueue(queue).await?;
    Ok(())
}

//# borrowed_result_that_is_shown
#[task("send")]
fn send_it(to: &str) -> Result<Option<&str>, String> {
//                                    ^ `String`
    Ok(Some(to))
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    let sent = SendIt::new("a").enqueue(queue)?.wait()?;
    println!("{}", sent.unwrap_or_default().len());
    Ok(())
}

//# static_text_that_is_shown
#[task("send")]
fn send_it(n: u8) -> &'static str {
//                   ^ `String`
    "sent"
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    let sent = SendIt::new(5).enqueue(queue)?.wait()?;
    println!("{sent}");
    Ok(())
}
