//! The documentation of `#[task]`, with its re-export.
//!
//! What the attribute accepts and generates is decided in the crate `qdjobs-macros`.
//!
//! Depends on the macro crate. The documentation is in this crate so that its examples are compiled and run.

/// Turns a function into a background job.
///
/// The attribute leaves the function as it is: `send_email(..)` still runs immediately, for example in a
/// test. It adds a struct, named after the function, that holds the parameters. The struct enqueues a job
/// that calls the function later:
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
///     // All parameters, by name:
///     let email = SendEmail::new("ann@example.com", "Hi", "…");
///     SendEmail { cc: Some("bob@example.com".into()), ..email }.enqueue(queue)?;
///     // With options for this job:
///     SendEmail::new("ann@example.com", "Reminder", "…").priority(5).queue("slow").enqueue(queue)?;
///     Ok(())
/// }
///
/// # fn main() -> std::io::Result<()> {
/// assert_eq!(send_email("ann@example.com", "Hi", "…", None)?, 1);
/// # Ok(()) }
/// ```
///
/// Arguments that do not match the function are compile errors:
///
/// ```compile_fail
/// # use qdjobs::prelude::*;
/// # #[task("send_email")] fn send_email(to: &str, subject: &str) { let _ = (to, subject); }
/// SendEmail::new("ann@example.com");   // error: argument #2 is missing: `/* subject */`
/// ```
///
/// # Name
///
/// The first argument of `task` is the task's name. Stored jobs refer to the task by this name, so it does
/// not change when the function is renamed. A name has 1 to 100 of the characters `A-Z a-z 0-9 _ . : / -` and
/// begins with a letter or a digit.
///
/// Two tasks with the same name in one crate are a compile error. Two in different crates are an error when a
/// worker starts; the error gives both places.
///
/// # Rename
///
/// | to rename | do |
/// |---|---|
/// | the task | change the name, and keep the old one: `#[task("new", aliases("old"))]` |
/// | the function | rename it in the editor. The struct has its name: also rename the struct where it is used, or keep its name with `params = SendEmail` |
/// | the struct alone | set its name: `params = SendMail`, and rename it where it is used |
/// | a parameter | rename it in the editor, which also changes struct literals, and keep the old key: `#[alias("old")]` |
///
/// # Parameters
///
/// Parameters are stored with the job as JSON and passed to the function when the job runs. A parameter can
/// have any owned type that implements serde's `Serialize` and `Deserialize`, and arrays of any length. A
/// reference is stored as an owned value and passed as a reference. `&str` is stored as `String`, `&[T]` as
/// `Vec<T>`, `&Path` as `PathBuf`, `&T` as `T`, and `Option<&str>` as `Option<String>`. For texts, paths and
/// `&[T]`, `new` takes anything that converts to the owned type: `"text"`, `[1, 2]`, `&list[..]`. A value whose
/// type Rust infers from the parameter, such as `.collect()`, needs its type there: `.collect::<Vec<_>>()`.
///
/// A `Mutex`, an atomic number, or another type that is changed through a shared reference is a compile error: each
/// attempt would change a value of its own. Mark such a value with `#[state]`. `Path` by value is taken for the one
/// of the standard library, which has no known size; a type of your own that has this name is `self::Path`.
///
/// | attribute | effect |
/// |---|---|
/// | `#[default]`, `#[default("en")]` | optional; a job stored without the parameter gets the default |
/// | `#[alias("old")]` | also read from this key, for jobs stored before a rename |
/// | `#[with(path)]` | serialized and deserialized by `path::serialize` and `path::deserialize`, for what serde cannot store |
/// | `#[state]` | not stored: a value of the worker, passed by reference (`&Db`) or cloned (`Arc<Db>`) |
/// | `#[ctx]` | not stored: the job's context, if its type is not named `JobContext` |
///
/// A parameter of type `&JobContext` needs no attribute. It is the [`JobContext`](crate::JobContext) of the
/// running job and is not stored.
///
/// ```
/// use std::sync::Arc;
/// use qdjobs::prelude::*;
///
/// struct Smtp;
///
/// #[task("newsletter")]
/// fn newsletter(
///     /// A parameter can have a doc comment. Lists of tasks show it.
///     issue: u32,
///     readers: &[String],
///     #[default("en")] lang: &str,
///     dry_run: Option<bool>,
///     ctx: &JobContext,
///     #[state] smtp: &Smtp,
///     #[state] names: Arc<Vec<String>>,
/// ) {
///     for (at, reader) in readers.iter().enumerate() {
///         // … and report the progress.
///         ctx.progress(at as f64 / readers.len() as f64);
/// #       let _ = (issue, reader, lang, dry_run, smtp, &names);
///     }
/// }
///
/// // `Option` and `#[default]` parameters are not arguments of `new`. When one is added, callers still
/// // compile and stored jobs still run.
/// let job = Newsletter { lang: "de".into(), ..Newsletter::new(7, vec!["ann".into()]) };
/// assert_eq!(job.dry_run, None);
/// ```
///
/// A worker checks at its start that it has a value for each `#[state]` parameter.
///
/// # Return type
///
/// A task returns a value, or a `Result`. The value can have any owned type that implements serde's `Serialize`
/// and `Deserialize`. It is stored as JSON, and callers that wait for the job receive it with its type.
///
/// The error of the `Result` can be any standard error, a string, a boxed error, an `anyhow::Error`, or a
/// [`TaskError`](crate::TaskError). After an error, the job waits for its backoff and is then retried. A
/// `TaskError` can set another wait, fail the job without a retry, or cancel it.
///
/// A return type is a `Result` if it is written by this name: `Result<..>`, `io::Result<..>`,
/// `anyhow::Result<..>`. An alias of another name that hides a `Result`, and a `Result` inside of an `Option` or a
/// `Box`, are compile errors, since an `Err` would be stored as a success.
///
/// # Async tasks
///
/// An `async fn` is also a task. Thousands of them can wait on a few threads of the worker; tokio provides
/// sockets and timers. Its parameters can be references as described above. A future that is not `Send` is
/// supported; it occupies one of the worker's `concurrency` threads while it runs.
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
/// | option | default | meaning |
/// |---|---|---|
/// | `queue = "mail"` | `"default"` | the queue of its jobs |
/// | `priority = 10` | `0` | jobs with a higher priority run first |
/// | `retries = 5` | `3` | the number of retries after the first attempt |
/// | `backoff = ..` | [`Backoff::DEFAULT`](crate::Backoff::DEFAULT) | the wait before each retry, see below |
/// | `timeout = "30s"` | none | the longest duration of one attempt |
/// | `aliases("old", ..)` | none | earlier names of the task, for jobs that were stored under them |
/// | `params = SendMail` | the function's name in CamelCase | the name of the struct |
/// | `crate = path` | `::qdjobs` | the path of this crate, if another crate re-exports it |
///
/// The compiler checks the values. A duration is a string of integers with the units `d`, `h`, `m`, `s` or
/// `ms`, in this order and without spaces, such as `"1h30m"`. Instead of a literal, a value can be a constant
/// expression of the right type, which is checked in the same way: `queue = QUEUE`, `priority = URGENT`,
/// `timeout = Duration::from_secs(TTL)`.
///
/// A backoff is one of these:
///
/// - `exponential("1s", factor = 2, max = "1h")`
/// - `fixed("5s")`
/// - a function `fn(u32) -> Duration` from the number of the retry to the wait: a closure, or the name of a
///   function
/// - a [`Backoff`](crate::Backoff), such as `SLOW` or `Backoff::exponential(..)`
///
/// The macro distinguishes functions and values by spelling: `my_backoff` is a function, `SLOW` is a value.
///
/// # Generated items
///
/// For `fn send_email` the attribute generates the struct `SendEmail`. The struct and its fields have the
/// visibility of the function. It has the methods `new` and `enqueue`, and implements [`Task`](crate::Task)
/// (with the option methods), `Serialize` and `Deserialize`. It implements `Clone`, `Debug` and `PartialEq`
/// if all parameters do. The struct of a task without parameters is also a value: `Cleanup.enqueue(&queue)`.
/// A lint that is allowed on the function, or on a parameter, is also allowed in what is generated from it.
///
/// `Deserialize` is as strict as an enqueue by name: it refuses a missing, unknown or repeated parameter, an
/// unknown field of a nested type, and an integer that would become another number. From JSON text it keeps the
/// order of members, raw JSON and every digit. From a `serde_json::Value`, behind `#[serde(flatten)]` and in an
/// untagged enum, it gets what is left of them there. Beside it, no other flattened field can have members of its
/// own. A format that marks newtypes, such as RON, cannot be read.
///
/// A worker finds the tasks of every crate that is linked into the program. Rust does not link a crate that
/// the program depends on but does not name. To link it, write `use that_crate as _;`.
pub use qdjobs_macros::task;
