//! The attribute, with its documentation: it stands here and not in the macro crate, so that its examples run.

/// Makes a background job of a function.
///
/// The function stays exactly as it is written: `send_email(..)` runs now, in a test for instance. Beside it the
/// attribute makes a struct named after it, which runs later:
///
/// ```
/// use qdjobs::prelude::*;
///
/// /// Sends one email.
/// #[task("send_email", queue = "mail", retries = 5, timeout = "30s")]
/// fn send_email(to: &str, subject: &str, body: &str, cc: Option<&str>) -> Result<u64, std::io::Error> {
///     // …
/// #   let _ = (to, subject, body, cc); Ok(1)
/// }
///
/// fn welcome(queue: &JobQueue) -> qdjobs::Result<()> {
///     // The required parameters, in order:
///     SendEmail::new("ann@example.com", "Welcome", "Hello").enqueue(queue)?;
///     // All of them, by name:
///     SendEmail { cc: Some("bob@example.com".into()), ..SendEmail::new("ann@example.com", "Hi", "…") }.enqueue(queue)?;
///     // With options for this one job:
///     SendEmail::new("ann@example.com", "Reminder", "…").priority(5).queue("slow").enqueue(queue)?;
///     Ok(())
/// }
///
/// # fn main() -> std::io::Result<()> {
/// assert_eq!(send_email("ann@example.com", "Hi", "…", None)?, 1);
/// # Ok(()) }
/// ```
///
/// A call that does not fit the function does not compile:
///
/// ```compile_fail
/// # use qdjobs::prelude::*;
/// # #[task("send_email")] fn send_email(to: &str, subject: &str) { let _ = (to, subject); }
/// SendEmail::new("ann@example.com");   // error: argument #2 is missing: `/* subject */`
/// ```
///
/// # The name
///
/// comes first, and is yours to choose: jobs in the database refer to it, so it stays the same when the function is
/// renamed. 1 to 100 of `A-Z a-z 0-9 _ . : / -`. Two tasks of one name do not compile within a crate; across crates a
/// worker refuses to start, and says where both are. When you must rename a task, keep the old name with `aliases`.
///
/// # Parameters
///
/// are stored with the job as JSON, and handed to the function when it runs. Anything may be one that implements
/// serde's traits and owns what it holds. A reference is stored owned and lent: `&str` as `String`, `&[T]` as `Vec<T>`,
/// `&Path` as `PathBuf`, `&T` as `T`, `Option<&str>` as `Option<String>`.
///
/// | attribute | effect |
/// |---|---|
/// | `#[default]`, `#[default("en")]` | may be left out, also of jobs stored before it was added |
/// | `#[alias("old")]` | also read under this key, which jobs stored earlier have |
/// | `#[with(path)]` | written and read by `path::serialize` and `path::deserialize` |
/// | `#[state]` | not stored: a value the worker was given, lent (`&Db`) or cloned (`Arc<Db>`) |
/// | `#[ctx]` | not stored: the [`JobContext`](crate::JobContext) under another name; `ctx: &JobContext` needs no mark |
///
/// ```
/// use std::sync::Arc;
/// use qdjobs::prelude::*;
///
/// struct Smtp;
///
/// #[task("newsletter")]
/// fn newsletter(
///     /// Doc comments are allowed here, and shown wherever tasks are listed.
///     issue: u32,
///     readers: &[String],
///     #[default("en")] lang: &str,
///     dry_run: Option<bool>,
///     ctx: &JobContext,
///     #[state] smtp: &Smtp,
///     #[state] names: Arc<Vec<String>>,
/// ) {
///     for (at, reader) in readers.iter().enumerate() {
///         // … and say how far it has come.
///         ctx.progress(at as f64 / readers.len() as f64);
/// #       let _ = (issue, reader, lang, dry_run, smtp, &names);
///     }
/// }
///
/// // `Option` and `#[default]` parameters are no arguments of `new`: adding one breaks no caller and no stored job.
/// let job = Newsletter { lang: "de".into(), ..Newsletter::new(7, vec!["ann".into()]) };
/// assert_eq!(job.dry_run, None);
/// ```
///
/// Whether each `#[state]` is there is checked when a worker starts.
///
/// # What it returns
///
/// `()`, a plain value, or a `Result` whose error is any standard error, a text, a boxed error, `anyhow::Error` or
/// [`TaskError`](crate::TaskError). An error means another attempt after the backoff; a `TaskError` can say more. The
/// value is stored as JSON, and given to whoever waits for the job, with its type.
///
/// # `async`
///
/// An `async fn` is a task as well, run on tokio: thousands wait at once on a few threads. Its parameters may be
/// borrowed as above. A future that is not `Send` is welcome, and occupies a thread of its own while it runs.
///
/// ```
/// use qdjobs::prelude::*;
///
/// #[task("fetch", backoff = exponential("500ms", factor = 3, max = "10m"))]
/// async fn fetch(url: &str) -> Result<String, TaskError> {
/// #   std::future::ready(()).await;
///     match url.strip_prefix("https://") {
///         Some(host) => Ok(host.to_owned()),
///         None => Err(TaskError::permanent("only https")),
///     }
/// }
/// ```
///
/// # Options
///
/// | option | default | |
/// |---|---|---|
/// | `queue = "mail"` | `"default"` | the queue its jobs wait in |
/// | `priority = 10` | `0` | higher first |
/// | `retries = 5` | `3` | how often a job is tried again after its first attempt |
/// | `backoff = ..` | [`Backoff::DEFAULT`](crate::Backoff::DEFAULT) | the wait before each retry, see below |
/// | `timeout = "30s"` | none | how long one attempt may run |
/// | `aliases("old", ..)` | none | earlier names, under which jobs may still be stored |
/// | `params = SendMail` | CamelCase of the function | the name of the struct |
/// | `crate = path` | `::qdjobs` | where the runtime is, if another crate re-exports it |
///
/// Values are checked by the compiler. A duration is a text of whole numbers with `ms`, `s`, `m`, `h` or `d`, as in
/// `"1h30m"`. In place of a literal any constant expression of the type may stand: `priority = URGENT`,
/// `timeout = Duration::from_secs(TTL)`.
///
/// A backoff is `exponential("1s", factor = 2, max = "1h")`, `fixed("5s")`, a [`Backoff`](crate::Backoff) such as
/// `SLOW` or `Backoff::exponential(..)`, or a `fn(u32) -> Duration` from the number of the retry, written as a
/// closure or as the name of a function. Names are told apart by how Rust writes them: `my_backoff` is a function,
/// `SLOW` a value.
///
/// # What it makes
///
/// For `fn send_email`: the struct `SendEmail` with public fields wherever the function is public, its methods `new`
/// and `enqueue`, and the traits [`Task`](crate::Task) (for the option methods), `Serialize` and `Deserialize`;
/// `Clone`, `Debug` and `PartialEq` if all parameters have them. A task without parameters is also a value:
/// `Cleanup.enqueue(&queue)`.
///
/// A worker finds every task of every crate that the program names. A crate that it only depends on is not linked by
/// Rust: write `use that_crate as _;`.
pub use qdjobs_macros::task;
