//! Tests of tasks: how params are read and checked, what an attempt returns, and the errors of the registry.

use std::any::TypeId;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::context::{JobContext, States, StopSignal};
use crate::model::clock::Timestamp;
use crate::model::error::ErrorKind;
use crate::model::job::{JSON_BYTES_MAX, JSON_DEPTH_MAX, JobId, WorkerId};
use crate::model::outcome::Outcome;
use crate::queue::JobQueue;
use crate::queue::request::JobRequest;
use crate::store::{Claim, ClaimedJob, Ticket};
use crate::task::registry::Registry;

struct Greeting(&'static str);

/// Greets.
#[task("tests.greet", retries = 7, aliases("tests.hello"))]
fn greet(
    /// Whom.
    name: &str,
    times: u8,
    #[alias("language")]
    #[default("en")]
    lang: &str,
    note: Option<String>,
    #[state] greeting: &Greeting,
) -> Result<String, TaskError> {
    Ok(format!("{} {name} {times} {lang} {note:?}", greeting.0))
}

/// The macro refuses such a map if it sees it.
type Pairs = HashMap<(u8, u8), u8>;

#[task("tests.map")]
fn map_of_pairs() -> Result<Pairs, String> {
    Ok(HashMap::from([((1, 2), 3)]))
}

#[task("tests.large")]
fn large() -> String {
    "x".repeat(JSON_BYTES_MAX)
}

#[task("tests.double")]
async fn double(n: u32, ctx: &JobContext) -> u32 {
    std::future::ready(()).await;
    n * 2 + ctx.attempt()
}

#[task("tests.stays")]
async fn stays() -> u8 {
    let local = std::rc::Rc::new(5);
    std::future::ready(()).await;
    *local
}

fn context(states: States) -> JobContext {
    let epoch = Timestamp::UNIX_EPOCH;
    let job = ClaimedJob {
        ticket: Ticket::new(epoch),
        claim: Claim { id: JobId(1), attempt: 1, worker: WorkerId(1) },
        task_name: "tests".to_owned(),
        params: String::new(),
        name: None,
        queue: "default".to_owned(),
        priority: 0,
        retry_count: 0,
        max_retries: 0,
        created_at: epoch,
        scheduled_at: epoch,
        claimed_at: epoch,
        metadata: None,
        idempotency_key: None,
    };
    let queue = JobQueue::in_memory();
    JobContext::new(job, Duration::ZERO, Arc::new(states), queue, Arc::new(StopSignal::default()))
}

fn run(def: &TaskDef, params: &str) -> Outcome {
    let mut states = States::default();
    states.put(Greeting("hello"));
    let ctx = context(states);
    match def.run {
        Run::Blocking(run) => run(&ctx, params),
        Run::Async(run) => finished(run(ctx, params.to_owned())),
        Run::AsyncLocal(run) => finished(run(ctx, params.to_owned())),
    }
}

fn finished(mut future: impl Future<Output = Outcome> + Unpin) -> Outcome {
    let mut ctx = Context::from_waker(Waker::noop());
    match std::pin::Pin::new(&mut future).poll(&mut ctx) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn failure(outcome: Outcome) -> (TaskErrorKind, String) {
    let error = outcome.unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn a_task_runs_with_stored_params_defaults_and_state() {
    let outcome = run(Greet::DEF, r#"{"name": "Ann", "times": 2}"#);
    assert_eq!(outcome.unwrap(), r#""hello Ann 2 en None""#);
    let outcome = run(Greet::DEF, r#"{"name": "Ann", "times": 2, "language": "de", "note": "x"}"#);
    assert_eq!(outcome.unwrap(), r#""hello Ann 2 de Some(\"x\")""#);
}

#[test]
fn a_future_that_is_send_is_shared_and_any_other_one_is_local() {
    assert!(matches!(Double::DEF.run, Run::Async(_)));
    assert!(matches!(Stays::DEF.run, Run::AsyncLocal(_)));
    assert_eq!(run(Double::DEF, r#"{"n": 4}"#).unwrap(), "9");
    assert_eq!(run(Stays::DEF, "{}").unwrap(), "5");
}

#[test]
fn of_params_that_do_not_fit_the_error_names_every_problem_the_place_and_the_remedy() {
    for (params, problems) in [
        (r#"{"name": "Ann"}"#, &["times: missing; expected u8"][..]),
        (
            r#"{"name": 1, "times": "x", "new": 1, "nam": 2}"#,
            &[
                "name: expected a string, found integer `1`",
                "times: expected u8, found string \"x\"",
                "new: not a parameter of the task; the task takes name, times, lang, note",
                "nam: not a parameter of the task; did you mean `name`?",
            ],
        ),
        (
            r#"{"name": "a", "times": 1, "lang": "x", "language": "y"}"#,
            &["lang: given twice, the second time as `language`"],
        ),
        (r#"{"name": "a", "name": "b", "times": 1}"#, &["name: given twice, the second time as `name`"]),
        ("[]", &["params: not a JSON object: invalid type: sequence, expected an object at line 1 column 0"]),
    ] {
        let (kind, text) = failure(run(Greet::DEF, params));
        let is_object = params.starts_with('{');
        assert_eq!(kind, if is_object { TaskErrorKind::Unreadable } else { TaskErrorKind::Permanent });
        let lines: Vec<&str> = text.lines().collect();
        let [first, found @ .., help] = &lines[..] else { panic!("{text}") };
        assert_eq!(*first, format!("the params do not fit the task `tests.greet` at {}", Greet::DEF.place()));
        assert_eq!(found.iter().map(|line| line.trim()).collect::<Vec<_>>(), problems);
        if is_object {
            assert!(help.contains("#[default]") && help.contains("#[alias("), "{help}");
        } else {
            assert!(help.contains("delete it"), "{help}");
        }
    }
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Lines {
    count: u64,
    share: f32,
    any: serde_json::Value,
}

#[task("tests.total")]
fn total(lines: Vec<Lines>, factor: f64, raw: Option<Box<serde_json::value::RawValue>>) -> String {
    format!("{} {factor} {:?}", lines.len(), raw.map(|raw| raw.get().to_owned()))
}

#[test]
fn params_by_name_that_would_be_read_as_other_values_are_refused_by_their_place() {
    let of = |lines: &str, factor: &str| format!("{{\"lines\": [{lines}], \"factor\": {factor}}}");
    let line = |count: &str, share: &str, any: &str| {
        of(&format!("{{\"count\": {count}, \"share\": {share}, \"any\": {any}}}"), "1")
    };
    for (json, place, words) in [
        (line("1", "0.5", "[18446744073709551616]"), "lines[0].any[0]", "more than 64 bits"),
        (line("18446744073709551616", "0.5", "1"), "lines[0].count", "more than 64 bits"),
        (line("1", "1e300", "1"), "lines", "out of range"),
        (of("", "9007199254740993"), "factor", "would be read as another number"),
        (of("", "-99999999999999999999"), "factor", "more than 64 bits"),
        (r#"{"lines": [], "lines": [], "factor": 1}"#.to_owned(), "lines", "given twice"),
    ] {
        let refused = check_params(Total::DEF, &json).map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidParams);
        let problem = &refused.problems()[0];
        assert!(problem.param == place && problem.problem.contains(words), "{json}: {refused}");
    }
    let kept = r#"{"factor":1e2,"lines":[{"any":{"z":1.50,"a":18446744073709551615},"share":0.1,"count":9007199254740993}]}"#;
    assert_eq!(check_params(Total::DEF, kept).unwrap(), kept, "no digit and no order is changed");
}

#[test]
fn raw_json_and_the_order_of_a_map_are_read_back_as_they_were_written() {
    /// A map that keeps the order of its members.
    #[derive(Clone, Debug, PartialEq)]
    struct Ordered(Vec<(String, u8)>);

    impl serde::Serialize for Ordered {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
        }
    }

    impl<'de> serde::Deserialize<'de> for Ordered {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Ordered, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Ordered;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a map")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                    let mut members = Vec::new();
                    while let Some(member) = map.next_entry()? {
                        members.push(member);
                    }
                    Ok(Ordered(members))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }

    #[crate::task("tests.ordered", params = Ordered_)]
    #[expect(clippy::boxed_local, reason = "only the box of raw JSON can be a parameter")]
    fn ordered(map: Ordered, raw: Box<serde_json::value::RawValue>) -> String {
        format!("{:?} {}", map.0, raw.get())
    }

    let map = Ordered(["z", "a", "m"].into_iter().zip(0..).map(|(key, at)| (key.to_owned(), at)).collect());
    let raw = serde_json::value::RawValue::from_string("{\"b\" : 1.50,  \"a\":[ ]}".to_owned()).unwrap();
    let expected = serde_json::to_string(&format!("{:?} {}", map.0, raw.get())).unwrap();
    let params = Ordered_::new(map, raw);
    let text = serde_json::to_string(&params).unwrap();
    assert_eq!(stored_and_run(params).unwrap().unwrap(), expected);
    // The same for a params struct that was read from JSON before it is enqueued.
    let read: Ordered_ = serde_json::from_str(&text).unwrap();
    assert_eq!(stored_and_run(read).unwrap().unwrap(), expected);
    let read: Ordered_ = serde_json::from_slice(text.as_bytes()).unwrap();
    assert_eq!(stored_and_run(read).unwrap().unwrap(), expected);
}

#[test]
fn a_result_that_cannot_be_stored_is_a_permanent_error() {
    let (kind, text) = failure(run(MapOfPairs::DEF, "{}"));
    assert_eq!(kind, TaskErrorKind::Permanent);
    assert!(
        text.contains("the result of the task cannot be stored: `[1,2]`: key must be a string"),
        "{text}"
    );
    let (kind, text) = failure(run(Large::DEF, "{}"));
    assert_eq!(kind, TaskErrorKind::Permanent);
    assert!(text.contains("1048578 bytes of JSON, more than 1048576"), "{text}");
}

#[test]
fn the_error_for_params_by_name_lists_all_problems() {
    let json = r#"{"nmae": "Ann", "times": "x", "color": 1}"#;
    let error = check_params(Greet::DEF, json).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidParams);
    assert_eq!(
        error.to_string(),
        "the params do not fit the task `tests.greet`\n  \
         name: missing; expected String\n  \
         times: expected u8, found string \"x\"\n  \
         nmae: not a parameter of the task; did you mean `name`?\n  \
         color: not a parameter of the task; the task takes name, times, lang, note"
    );
    assert_eq!(error.problems().len(), 4);
}

#[test]
fn valid_params_by_name_are_returned_as_the_text_to_store() {
    let json = "{ \"times\": 2, \"name\": \"Ann\",\n \"note\": null }";
    let stored = check_params(Greet::DEF, json).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&stored).unwrap(),
        json!({"name": "Ann", "times": 2, "note": null})
    );
    assert!(!stored.contains([' ', '\n']));
}

#[test]
fn params_by_name_must_be_an_object_within_the_limits_of_depth_and_size() {
    for (json, kind, words) in [
        ("[1]".to_owned(), ErrorKind::InvalidParams, "are an array and not a JSON object"),
        ("null".to_owned(), ErrorKind::InvalidParams, "are null and not a JSON object"),
        ("{".to_owned(), ErrorKind::InvalidParams, "cannot be read as JSON: EOF"),
        (
            format!("{{\"a\": {}{}}}", "[".repeat(64), "]".repeat(64)),
            ErrorKind::InvalidParams,
            "nested deeper than 64 levels",
        ),
        (format!("{{\"a\": \"{}\"}}", "x".repeat(JSON_BYTES_MAX)), ErrorKind::TooLarge, "more than 1048576"),
    ] {
        let error = check_params(Cleanup::DEF, &json).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(words), "{error}");
    }
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(63), "]".repeat(63));
    let error = check_params(Cleanup::DEF, &deep).unwrap_err().to_string();
    assert!(error.contains("a: not a parameter of the task; the task has no parameters"), "{error}");
}

#[task("tests.cleanup", aliases("tests.sweep"))]
fn cleanup() {}

#[test]
fn a_params_struct_is_written_to_json_and_read_back() {
    let params = Greet { note: Some("x".into()), ..Greet::new("Ann", 2) };
    let text = serde_json::to_string(&params).unwrap();
    assert_eq!(text, r#"{"name":"Ann","times":2,"lang":"en","note":"x"}"#);
    assert_eq!(serde_json::from_str::<Greet>(&text).unwrap(), params.clone());
    assert_eq!(format!("{params:?}"), r#"Greet { name: "Ann", times: 2, lang: "en", note: Some("x") }"#);
    assert_eq!(serde_json::to_string(&Cleanup).unwrap(), "{}");
}

#[test]
fn the_description_of_a_task_matches_its_source() {
    let def = Greet::DEF;
    assert_eq!(
        (def.name, def.aliases, def.krate, def.doc),
        ("tests.greet", &["tests.hello"][..], "qdjobs", "Greets.")
    );
    assert!(def.file.ends_with("tests.rs") && def.line > 0);
    assert_eq!(def.options.retries, 7);
    let params: Vec<_> =
        def.params.iter().map(|param| (param.name, param.ty, param.required, param.doc)).collect();
    assert_eq!(
        params,
        [
            ("name", "String", true, "Whom."),
            ("times", "u8", true, ""),
            ("lang", "String", false, ""),
            ("note", "Option<String>", false, "")
        ]
    );
    assert_eq!((def.state[0].param, def.state[0].ty), ("greeting", "Greeting"));
}

#[test]
fn the_registry_finds_tasks_by_name_and_by_alias() {
    let registry = Registry::linked();
    assert!(registry.iter().is_sorted_by_key(|task| task.name));
    assert_eq!(registry.get("tests.greet").unwrap().name, "tests.greet");
    assert_eq!(registry.get("tests.hello").unwrap().name, "tests.greet");
    assert!(registry.check().is_ok());
    let mut again = registry.clone();
    again.add(Greet::DEF);
    assert_eq!(again.len(), registry.len());
}

#[test]
fn the_error_stays_short_however_many_problems_there_are() {
    let mut params = serde_json::Map::from_iter([("name".to_owned(), json!(["x".repeat(500_000)]))]);
    params.insert("times".to_owned(), json!("y".repeat(300_000)));
    params.extend((0..1_000).map(|n| (format!("unknown {n} {}", "z".repeat(100)), json!(n))));
    let error = check_params(Greet::DEF, &serde_json::Value::Object(params).to_string()).unwrap_err();
    let reported = error.problems();
    assert_eq!(reported.len(), 2 + 20 + 1, "{error}");
    assert!(
        reported.iter().all(|it| it.param.chars().count() <= 101 && it.problem.chars().count() <= 501),
        "{error}"
    );
    assert_eq!(reported[22].problem, "980 further members are not parameters of the task");
}

#[test]
fn the_error_for_an_unknown_name_suggests_a_known_one_and_says_why_a_task_may_be_missing() {
    let registry: Registry = [Greet::DEF, Cleanup::DEF].into_iter().collect();
    let error = registry.find("tests.greed").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownTask);
    assert_eq!(
        error.to_string(),
        "Task not registered: `tests.greed`\n\
         help: did you mean `tests.greet`? the tasks are tests.cleanup, tests.greet; if your tasks are in another \
         crate, add `use that_crate as _;` to this program"
    );
}

#[test]
fn the_error_for_an_unknown_name_mentions_tasks_that_only_a_worker_knows() {
    let error = JobRequest::<()>::by_name("tests.nowhere", &json!({})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownTask);
    assert!(
        error.to_string().ends_with("a task that only `Worker::register` adds must be enqueued by its type"),
        "{error}"
    );
}

#[test]
fn an_empty_selection_of_tasks_is_not_reported_as_a_crate_that_was_not_linked() {
    let error = Registry::default().check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    for text in [error.to_string(), Registry::default().unknown("nope").to_string()] {
        assert!(text.contains("none of the tasks of this program was chosen"), "{text}");
        assert!(!text.contains("linked"), "{text}");
    }
}

#[test]
fn the_error_for_two_tasks_of_one_name_or_alias_contains_both_places() {
    static TWIN: TaskDef =
        TaskDef::new("tests.sweep", &[], |_| Vec::new(), Run::Blocking(|_, _| Ok(String::new()))).declared(
            "src/twin.rs",
            3,
            "shop::twin",
        );
    let registry: Registry = [Greet::DEF, Cleanup::DEF, &TWIN].into_iter().collect();
    let text = registry.duplicates().unwrap().to_string();
    let place = Cleanup::DEF.place();
    assert!(text.starts_with("two tasks have the name or alias `tests.sweep`:\n  "), "{text}");
    assert!(
        text.contains(&format!("\n  {place}")) && text.contains("\n  src/twin.rs:3 (crate shop)"),
        "{text}"
    );
}

#[test]
fn the_error_for_missing_state_contains_the_task_and_its_place() {
    let registry: Registry = [Greet::DEF, Cleanup::DEF].into_iter().collect();
    assert!(registry.missing_state(|id| id == TypeId::of::<Greeting>()).is_none());
    let text = registry.missing_state(|_| false).unwrap().to_string();
    let line = format!("`tests.greet`: `#[state] greeting` takes a `Greeting`, {}", Greet::DEF.place());
    assert!(text.contains(&line), "{text}");
}

#[derive(Debug)]
struct Outer(Option<Box<dyn StdError>>);
impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("while sending")
    }
}
impl StdError for Outer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.as_deref()
    }
}

#[test]
fn every_kind_of_error_becomes_a_task_error_with_its_causes() {
    use std::borrow::Cow;

    use super::macro_support::{ErrorOf, OtherError as _, TaskFailure};
    fn kind_and_text(failed: impl TaskFailure) -> (TaskErrorKind, String) {
        failure(failed.failed())
    }
    // As the generated code converts an error: the function that `unsend` names depends on the type.
    macro_rules! converted {
        ($ty:ty, $error:expr) => {
            kind_and_text(<ErrorOf<Result<(), $ty>>>::unsend($error))
        };
    }
    let io = || std::io::Error::other("no route");
    assert_eq!(converted!(&str, "text"), (TaskErrorKind::Retry, "text".into()));
    assert_eq!(converted!(String, "text".to_owned()).1, "text");
    assert_eq!(converted!(Cow<'static, str>, Cow::Borrowed("text")).1, "text");
    assert_eq!(converted!(std::io::Error, io()).1, "no route");
    assert_eq!(converted!(Box<dyn StdError>, "boxed".into()).1, "boxed");
    assert_eq!(converted!(Box<dyn StdError + Send + Sync>, "boxed".into()).1, "boxed");
    assert_eq!(converted!(Box<dyn StdError + Send>, Box::new(io())).1, "no route");
    assert_eq!(converted!(Outer, Outer(Some(io().into()))).1, "while sending: no route");
    assert_eq!(converted!(TaskError, TaskError::permanent("no")), (TaskErrorKind::Permanent, "no".into()));
    // The kind of a task error stays when a caller adds context.
    let wrapped = Outer(Some(TaskError::permanent("no such user").into()));
    assert_eq!(converted!(Outer, wrapped), (TaskErrorKind::Permanent, "while sending: no such user".into()));
}

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Point {
    x: f64,
    label: Option<Option<u8>>,
}

#[task("tests.scale")]
fn scale(by: f64, offset: Option<f64>, points: Vec<Point>, nested: Option<Option<u8>>) -> f64 {
    by + offset.unwrap_or(0.0) + points.len() as f64 + f64::from(nested.flatten().unwrap_or(0))
}

#[test]
fn params_that_would_be_read_back_as_other_values_are_refused_by_their_place() {
    use crate::Task as _;
    let queue = JobQueue::in_memory();
    let sound = || Scale::new(0.5, vec![Point { x: 1.5, label: Some(Some(1)) }]);
    let point = |x, label| vec![Point::default(), Point { x, label }];
    for (params, place) in [
        (Scale { by: f64::NAN, ..sound() }, "by"),
        (Scale { by: f64::INFINITY, ..sound() }, "by"),
        (Scale { offset: Some(f64::NAN), ..sound() }, "offset"),
        (Scale { points: point(f64::NEG_INFINITY, None), ..sound() }, "points[1].x"),
        (Scale { points: point(0.5, Some(None)), ..sound() }, "points[1].label"),
        (Scale { nested: Some(None), ..sound() }, "nested"),
    ] {
        let refused = params.enqueue(&queue).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidParams);
        assert_eq!(refused.problems()[0].param, place, "{refused}");
    }
    // The same by name.
    let refused = JobRequest::<f64>::by_name("tests.scale", &Scale { offset: Some(f64::NAN), ..sound() });
    assert_eq!(refused.map(drop).unwrap_err().problems()[0].param, "offset");
    assert!(sound().priority(1).enqueue(&queue).is_ok());
    assert_eq!(stored_and_run(sound()).unwrap().unwrap(), "1.5");
}

/// As in a request that changes some members, sets others to nothing, and leaves out the rest.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Patch {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    name: Option<Option<String>>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    serde::Deserialize::deserialize(deserializer).map(Some)
}

#[task("tests.patch", params = Patch_)]
fn patch(patch: Patch) -> Patch {
    patch
}

#[test]
fn a_type_with_three_states_is_stored_and_read_back_in_each_of_them() {
    for (name, expected) in
        [(None, "{}"), (Some(None), r#"{"name":null}"#), (Some(Some("Ann".to_owned())), r#"{"name":"Ann"}"#)]
    {
        assert_eq!(stored_and_run(Patch_::new(Patch { name })).unwrap().unwrap(), expected);
        let by_name = format!("{{\"patch\":{expected}}}");
        assert_eq!(check_params(Patch_::DEF, &by_name).unwrap(), by_name, "the same by name");
    }
}

#[test]
fn a_result_that_would_be_read_back_as_another_value_fails_at_once() {
    #[crate::task("tests.odd_result")]
    fn odd_result(kind: u8) -> Vec<Option<Option<f64>>> {
        vec![None, Some([None, Some(f64::NAN), Some(1.5)][usize::from(kind)])]
    }
    for (kind, words) in
        [(0, "stored: `[1]`: `Some` of a value that JSON writes as `null`"), (1, "stored: `[1]`: a NaN")]
    {
        let failed = failure(stored_and_run(OddResult::new(kind)).unwrap());
        assert_eq!(failed.0, TaskErrorKind::Permanent);
        assert!(failed.1.contains("the result of the task cannot be stored") && failed.1.contains(words));
    }
    assert_eq!(stored_and_run(OddResult::new(2)).unwrap().unwrap(), "[null,1.5]");
}

/// Enqueues the task, reads its params back and runs it.
fn stored_and_run<T: Task>(task: T) -> crate::Result<Outcome>
where
    T::Output: 'static,
{
    let queue = JobQueue::in_memory();
    let id = task.request().enqueue(&queue)?.id();
    Ok(run(T::DEF, &queue.get(id)?.unwrap().params))
}

#[test]
fn typed_params_that_are_nested_too_deep_are_refused_before_they_are_stored() {
    #[crate::task("tests.deep")]
    fn deep(value: serde_json::Value, raw: Option<Box<serde_json::value::RawValue>>) -> bool {
        value.is_array() && raw.is_some()
    }
    fn nested(levels: usize) -> serde_json::Value {
        (1..levels).fold(json!([]), |inside, _| json!([inside]))
    }
    let params = |value: usize, raw: usize| {
        let raw = serde_json::value::RawValue::from_string("[".repeat(raw) + &"]".repeat(raw)).unwrap();
        Deep { raw: Some(raw), ..Deep::new(nested(value)) }
    };
    // The object of the params is the first level.
    let most = JSON_DEPTH_MAX - 1;
    assert_eq!(stored_and_run(params(most, most)).unwrap().unwrap(), "true");
    for too_deep in [params(most + 1, 1), params(1_000, 1), params(1, most + 1), params(1, 100_000)] {
        let refused = stored_and_run(too_deep).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidParams);
        let text = refused.to_string();
        assert!(
            text.starts_with("the params of `tests.deep` cannot be stored\n  ")
                && text.contains(": nested deeper than 64 levels\nhelp: "),
            "{text}"
        );
    }
}

#[test]
fn an_integer_of_more_than_64_bits_is_refused_before_it_is_stored() {
    // As the type of a parameter they do not compile. Inside another type only serde sees them.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Numbers {
        n: u128,
        m: i128,
        by_key: HashMap<u128, i8>,
    }
    #[crate::task("tests.wide")]
    fn wide(numbers: Numbers) -> String {
        format!("{} {} {:?}", numbers.n, numbers.m, numbers.by_key)
    }
    let params = |n, m| Wide::new(Numbers { n, m, by_key: HashMap::from([(u128::MAX, -1)]) });
    // A number that fits is read back, and a key is a text, whatever its size.
    let (most, least) = (u64::MAX.into(), i64::MIN.into());
    let expected = format!("\"{most} {least} {{{}: -1}}\"", u128::MAX);
    assert_eq!(stored_and_run(params(most, least)).unwrap().unwrap(), expected);
    for (too_wide, shown) in [
        (params(most + 1, 0), "18446744073709551616"),
        (params(u128::MAX, 0), "340282366920938463463374607431768211455"),
        (params(0, least - 1), "-9223372036854775809"),
        (params(0, i128::MAX), "170141183460469231731687303715884105727"),
    ] {
        let refused = stored_and_run(too_wide).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidParams);
        let text = refused.to_string();
        assert!(text.contains(shown) && text.contains("more than 64 bits\nhelp: "), "{text}");
    }
}

#[test]
fn a_float_is_read_back_exactly() {
    #[crate::task("tests.exact")]
    fn exact(x: f64) -> String {
        x.to_bits().to_string()
    }
    // A fixed sequence over all magnitudes.
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2_000 {
        bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let x = f64::from_bits(bits);
        if x.is_finite() {
            let text = serde_json::to_string(&Exact::new(x)).unwrap();
            assert_eq!(run(Exact::DEF, &text).unwrap(), format!("\"{bits}\""), "{x:e}");
        }
    }
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Letter {
    to: String,
    #[serde(default)]
    copy: Option<String>,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Event {
    Sent(Letter),
    Bounced { letter: Letter, reason: String },
    Answered(Letter, Vec<Letter>),
    Opened,
}

#[task("tests.letters")]
fn letters(
    #[alias("mail")] letter: Letter,
    more: Option<Vec<Letter>>,
    by_day: Option<HashMap<u8, Letter>>,
    event: Option<Event>,
) -> String {
    format!("{letter:?} {more:?} {by_day:?} {event:?}")
}

#[test]
fn a_member_that_a_nested_type_does_not_read_is_refused_and_left_to_other_workers_with_its_path() {
    let old = r#"{"to": "ann", "cc": "bob"}"#;
    for (params, path, problem) in [
        (format!("{{\"letter\": {old}}}"), "letter.cc", "not a field of `Letter`; it has to, copy"),
        (
            r#"{"letter": {"to": "ann", "copi": null}}"#.to_owned(),
            "letter.copi",
            "not a field of `Letter`; did you mean `copy`?",
        ),
        (format!("{{\"mail\": {old}}}"), "mail.cc", "not a field of `Letter`; it has to, copy"),
        (
            format!("{{\"letter\": {{\"to\": \"x\"}}, \"more\": [{{\"to\": \"y\"}}, {old}, {old}]}}"),
            "more[1].cc",
            "not a field of `Letter`",
        ),
        (
            format!("{{\"letter\": {{\"to\": \"x\"}}, \"by_day\": {{\"7\": {old}}}}}"),
            "by_day.7.cc",
            "not a field of `Letter`",
        ),
        (
            format!("{{\"letter\": {{\"to\": \"x\"}}, \"event\": {{\"Sent\": {old}}}}}"),
            "event.Sent.cc",
            "not a field of `Letter`",
        ),
        (
            r#"{"letter": {"to": "x"}, "event": {"Bounced": {"letter": {"to": "y"}, "reason": "", "code": 5}}}"#
                .to_owned(),
            "event.Bounced.code",
            "not a field of this variant of `Event`; it has letter, reason",
        ),
        (
            format!("{{\"letter\": {{\"to\": \"x\"}}, \"event\": {{\"Answered\": [{{\"to\": \"y\"}}, [{old}]]}}}}"),
            "event.Answered[1][0].cc",
            "not a field of `Letter`",
        ),
    ] {
        let refused = check_params(Letters::DEF, &params).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidParams);
        let [found] = refused.problems() else { panic!("{params}: {refused}") };
        assert!(found.param == path && found.problem.starts_with(problem), "{params}: {refused}");
        let (kind, text) = failure(run(Letters::DEF, &params));
        assert_eq!(kind, TaskErrorKind::Unreadable);
        assert!(text.contains(&format!("\n  {path}: {problem}")) && text.contains("#[serde(alias"), "{text}");
    }
    let known = r#"{"letter":{"to":"x","copy":null},"event":"Opened"}"#;
    assert_eq!(check_params(Letters::DEF, known).unwrap(), known);
    assert!(run(Letters::DEF, known).is_ok());
}

#[test]
fn all_members_that_nested_types_do_not_read_are_named_at_once() {
    let old = r#"{"too": "ann", "cc": "bob"}"#;
    let params = format!("{{\"letter\": {old}, \"more\": [{old}], \"extra\": 1}}");
    let refused = check_params(Letters::DEF, &params).unwrap_err();
    let found: Vec<&str> = refused.problems().iter().map(|problem| problem.param.as_str()).collect();
    let expected = ["letter", "more", "extra", "letter.too", "letter.cc", "more[0].too", "more[0].cc"];
    assert_eq!(found, expected, "{refused}");
    // However many there are, the error stays short.
    let many: Vec<String> = (0..1_000).map(|n| format!("\"unknown {n}\": 1")).collect();
    let params = format!("{{\"letter\": {{\"to\": \"x\", {}}}}}", many.join(", "));
    let refused = check_params(Letters::DEF, &params).unwrap_err();
    assert_eq!(refused.problems().len(), 20 + 1, "{refused}");
    assert_eq!(refused.problems()[20].problem, "980 further members are not fields of their types");
}

mod ignoring {
    //! Types that do not read every member of their JSON, on purpose.

    use serde::de::IgnoredAny;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Known {
        pub(super) n: u8,
        #[serde(default, skip_serializing)]
        pub(super) removed: IgnoredAny,
    }

    /// Writes a member that it does not read.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Derived {
        pub(super) n: u8,
        #[serde(skip_deserializing)]
        pub(super) doubled: u8,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    pub(super) enum Tagged {
        Dot { n: u8 },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Untagged {
        Known(Known),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Flat {
        #[serde(flatten)]
        pub(super) known: Known,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub(super) struct Loose {
        pub(super) any: serde_json::Value,
        pub(super) raw: Box<serde_json::value::RawValue>,
    }
}

#[test]
fn types_that_ignore_members_on_purpose_or_write_them_themselves_are_read() {
    use self::ignoring::*;

    #[crate::task("tests.ignoring", params = Ignoring)]
    fn ignoring(
        known: Option<Known>,
        derived: Option<Vec<Derived>>,
        tagged: Option<Tagged>,
        untagged: Option<Untagged>,
        flat: Option<Flat>,
        loose: Option<Loose>,
    ) -> String {
        format!("{known:?} {derived:?} {tagged:?} {untagged:?} {flat:?} {loose:?}")
    }

    for params in [
        r#"{"known":{"n":1,"removed":{"old":[1]}}}"#,
        r#"{"derived":[{"n":1,"doubled":2}]}"#,
        r#"{"tagged":{"kind":"Dot","n":1,"more":2}}"#,
        r#"{"untagged":{"n":1,"more":2}}"#,
        r#"{"flat":{"n":1,"more":2}}"#,
        r#"{"loose":{"any":{"a":{"b":1}},"raw":{"b":1.50,"b":2}}}"#,
    ] {
        assert_eq!(check_params(Ignoring::DEF, params).unwrap(), params);
        assert!(run(Ignoring::DEF, params).is_ok(), "{params}");
    }
    let derived = vec![Derived { n: 1, doubled: 2 }];
    let outcome = stored_and_run(Ignoring { derived: Some(derived), ..Ignoring::new() }).unwrap();
    assert!(outcome.unwrap().contains("Derived { n: 1, doubled: 0 }"), "it is not read back");
    // Beside its own member, an unknown one is found.
    let refused =
        check_params(Ignoring::DEF, r#"{"derived": [{"n": 1, "doubled": 2, "more": 3}]}"#).unwrap_err();
    assert_eq!(refused.problems().len(), 1, "{refused}");
    assert_eq!(refused.problems()[0].param, "derived[0].more");
}

#[test]
fn a_params_struct_is_read_as_strictly_as_the_params_of_a_job() {
    for (text, problems) in [
        (
            r#"{"name": "a", "times": 1, "nam": 2, "color": 3}"#,
            &[
                "parameter `nam`: not a parameter of the task; did you mean `name`?",
                "parameter `color`: not a parameter of the task; the task takes name, times, lang, note",
            ][..],
        ),
        (
            r#"{"name": "a", "times": 1, "lang": "x", "language": "y"}"#,
            &["parameter `lang`: given twice, the second time as `language`"],
        ),
        (
            r#"{"name": "a", "name": "b"}"#,
            &[
                "parameter `name`: given twice, the second time as `name`",
                "parameter `times`: missing; expected u8",
            ],
        ),
    ] {
        let error = serde_json::from_str::<Greet>(text).unwrap_err().to_string();
        let found: Vec<&str> = error.split('\n').collect();
        assert_eq!(found.len(), problems.len(), "{error}");
        for (found, problem) in found.iter().zip(problems) {
            assert!(found.starts_with(problem), "{error}");
        }
    }
    let nested = r#"{"letter": {"to": "ann", "cc": "bob"}}"#;
    let error = serde_json::from_str::<Letters>(nested).unwrap_err().to_string();
    assert!(error.contains("parameter `letter.cc`: not a field of `Letter`"), "{error}");
    let rough = serde_json::from_str::<Rough>(r#"{"share": 16777217, "exact": 1}"#).unwrap_err().to_string();
    assert!(rough.contains("parameter `share`: 16777217 would be read as another number"), "{rough}");
}

#[test]
fn a_params_struct_is_read_through_other_formats_of_serde() {
    #[derive(serde::Deserialize)]
    struct Request {
        priority: i32,
        #[serde(flatten)]
        greet: Greet,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Either {
        Letters(Letters),
        Greet(Greet),
    }
    let expected = Greet { note: Some("x".into()), ..Greet::new("Ann", 2) };
    let text = r#"{"name": "Ann", "times": 2, "note": "x"}"#;
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::from_value::<Greet>(value.clone()).unwrap(), expected);
    assert_eq!(<Greet as serde::Deserialize>::deserialize(&value).unwrap(), expected);
    assert_eq!(serde_json::from_reader::<_, Greet>(text.as_bytes()).unwrap(), expected);
    let request: Request = serde_json::from_str(&text.replacen('{', "{\"priority\": 3, ", 1)).unwrap();
    assert_eq!((request.priority, request.greet), (3, expected.clone()));
    assert!(matches!(serde_json::from_str(text), Ok(Either::Greet(greet)) if greet == expected));
    let letters = r#"{"letter": {"to": "ann"}, "more": [{"to": "bob", "copy": "cid"}], "event": "Opened"}"#;
    let Ok(Either::Letters(read)) = serde_json::from_str(letters) else { panic!("not read: {letters}") };
    assert_eq!(read, serde_json::from_str::<Letters>(letters).unwrap());
    serde_json::from_str::<Greet>("[]").unwrap_err();
    serde_json::from_str::<Greet>("1").unwrap_err();
}

#[task("tests.rough")]
fn rough(share: f32, #[alias("old", "older")] exact: f64, shares: Option<Vec<f32>>) -> String {
    format!("{share} {exact} {shares:?}")
}

#[test]
fn an_integer_that_a_float_of_the_task_does_not_hold_is_refused_under_every_name() {
    for (json, place) in [
        (r#"{"share": 16777217, "exact": 1}"#, "share"),
        (r#"{"share": -16777217, "exact": 1}"#, "share"),
        // It is printed like the `f32` beside it.
        (r#"{"share": 123456790, "exact": 1}"#, "share"),
        (r#"{"share": 1, "exact": 1, "shares": [0, 16777216, 16777217]}"#, "shares[2]"),
        (r#"{"share": 1, "exact": 9007199254740993}"#, "exact"),
        (r#"{"share": 1, "old": 9007199254740993}"#, "old"),
        (r#"{"share": 1, "older": 9007199254740993}"#, "older"),
    ] {
        let refused = check_params(Rough::DEF, json).map(drop).unwrap_err();
        let [problem] = refused.problems() else { panic!("{json}: {refused}") };
        assert!(
            problem.param == place && problem.problem.contains("would be read as another number"),
            "{json}: {refused}"
        );
    }
    for json in [
        r#"{"share":16777216,"old":9007199254740992}"#,
        r#"{"share":16777218,"exact":16777217}"#,
        r#"{"share":0.1,"exact":1234567890123,"shares":[1099511627776,-33554432,1e30]}"#,
    ] {
        assert_eq!(check_params(Rough::DEF, json).unwrap(), json);
    }
}

/// Reads seconds, and writes milliseconds.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(from = "u64", into = "u64")]
struct Millis(u64);

impl From<u64> for Millis {
    fn from(seconds: u64) -> Millis {
        Millis(seconds * 1_000)
    }
}

impl From<Millis> for u64 {
    fn from(millis: Millis) -> u64 {
        millis.0
    }
}

#[task("tests.converted")]
fn converted(
    ids: std::collections::HashSet<u64>,
    sorted: std::collections::BTreeSet<u64>,
    at: Option<Millis>,
) -> usize {
    ids.len() + sorted.len() + usize::from(at.is_some())
}

#[test]
fn integers_that_a_type_sorts_or_converts_are_not_taken_for_rounded_ones() {
    let json = r#"{"ids":[16777217,16777216,30000001,20000001],"sorted":[30000001,20000001,16777217,16777216],"at":1700000001}"#;
    assert_eq!(check_params(Converted::DEF, json).unwrap(), json);
    let params = Converted::new((16_777_200_u64..16_777_300).collect(), [7_u64].into());
    let text = serde_json::to_string(&params).unwrap();
    assert_eq!(serde_json::from_str::<Converted>(&text).unwrap(), params);
}
