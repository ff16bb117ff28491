//! Every form of a parameter, every option, every sort of function.
#![deny(warnings)]
use qdjobs::{Backoff, Enqueue, JobContext, Task, TaskError, task};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub struct Db;
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Address {
    pub street: String,
}
pub type Context = JobContext;

mod seconds {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        value.as_secs().serialize(to)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

/// Sends one email.
///
/// Twice, if need be.
#[task("send_email", queue = "mail", priority = -3, retries = 5, timeout = "1m30s",
       backoff = exponential("1s", factor = 2, max = "1h"), aliases("mail.send", "post"), params = SendMail)]
pub fn send_email(
    /// Recipient.
    to: &str,
    body: String,
    cc: Option<&str>,
    tags: &[String],
    file: &Path,
    other: Option<&Path>,
    home: PathBuf,
    address: &Address,
    maybe: Option<&Address>,
    words: Option<&[String]>,
    cow: Cow<'static, str>,
    mut n: u64,
    #[default] flag: bool,
    #[default("en")] lang: &str,
    #[default(3)]
    #[alias("tries")]
    times: u8,
    #[with(seconds)] wait: Duration,
    #[default(Some(7))] lucky: Option<u8>,
    ctx: &JobContext,
    #[ctx] twin: &Context,
    #[state] db: &Db,
    #[state] pool: Arc<Db>,
    r#type: &str,
) -> Result<BTreeMap<String, u64>, std::io::Error> {
    n += 1;
    let _ =
        (to, body, cc, tags, file, other, home, &address.street, maybe, words, cow, flag, lang, times, wait);
    let _ = (lucky, ctx, twin, db, pool, r#type);
    Ok(BTreeMap::from([("n".to_owned(), n)]))
}

#[task("cleanup")]
fn cleanup() {}

const URGENT: i32 = 7;
const SLOW: Backoff = Backoff::exponential(Duration::from_secs(9), 1.5, Duration::from_secs(90));
fn steady(retry: u32) -> Duration {
    Duration::from_secs(u64::from(retry))
}
#[task("a", priority = URGENT, backoff = SLOW, timeout = Duration::from_secs(2 * 3))]
fn a() -> u8 {
    1
}
#[task("b", backoff = steady, retries = u32::MAX)]
fn b<'a>(text: &'a str) -> Result<(), &'static str>
where
    'a: 'a,
{
    Err(if text.is_empty() { "empty" } else { "full" })
}
#[task("c", backoff = |retry| Duration::from_secs(retry as u64))]
async fn c(
    id: u32,
    name: &str,
    ctx: &JobContext,
    #[state] db: &Db,
    #[state] own: Arc<Db>,
) -> Result<String, TaskError> {
    std::future::ready(()).await;
    let _ = (id, ctx.job_id(), db, own);
    Ok(name.to_owned())
}
#[task("d", backoff = fixed("5s"))]
async fn d() {
    let rc = std::rc::Rc::new(1);
    std::future::ready(()).await;
    drop(rc);
}

fn main() {
    assert!(matches!(C::DEF.run, qdjobs::__private::Run::Async(_)));
    assert!(matches!(D::DEF.run, qdjobs::__private::Run::AsyncLocal(_)));
    assert!(matches!(Cleanup::DEF.run, qdjobs::__private::Run::Blocking(_)));
    let _ = (b("x"), cleanup(), a());
    let queue = qdjobs::JobQueue::in_memory();
    fn take<Q: Enqueue>(q: Q) -> Q::Answer<()> {
        Cleanup.enqueue(q)
    }
    let _ = take(&queue);
    let _ = B::new("x").delay(Duration::from_secs(1)).priority(3).enqueue(&queue);
    let _ = queue.enqueue_all(["a", "b"].map(B::new));
    let mail = |to: &str| SendMail {
        cc: Some("x".into()),
        ..SendMail::new(
            to,
            "b",
            vec![],
            Path::new("/tmp"),
            "/home",
            Address { street: "s".into() },
            "cow",
            1,
            Duration::from_secs(3),
            "t",
        )
    };
    let params = mail("a");
    assert_eq!(params.lang, "en");
    let json = serde_json::to_string(&params).unwrap();
    println!("{json}");
    let back: SendMail = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (back.to, back.wait, back.times, back.lucky),
        ("a".to_owned(), Duration::from_secs(3), 3, Some(7))
    );
    println!("{:#?}", SendMail::DEF);
    println!("{:?}", B::new("x").clone());
    assert_eq!(B::new("x"), B { text: "x".into() });
    let names: Vec<_> = qdjobs::Registry::linked().iter().map(|t| t.name).collect();
    assert_eq!(names, ["a", "b", "c", "cleanup", "d", "send_email"]);
}
