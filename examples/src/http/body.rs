//! [`CreateRequest`], the parsed body of `POST /jobs`.
//!
//! Depends on serde_json. Every field is checked here before anything is stored, and the response names each
//! invalid one. The params are checked later, by the description of the task. Does not use the queue.

use std::fmt;
use std::time::Duration;

use axum::http::StatusCode;
use qdjobs::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error_response::{ErrorResponse, Problem};

/// Deepest nesting of a body: that of params, and one level for the body itself.
const DEPTH_MAX: usize = qdjobs::Job::JSON_DEPTH_MAX + 1;

/// Longest delay. A delay of more than a hundred years is a wrong unit.
const DELAY_SECONDS_MAX: f64 = 100.0 * 365.25 * 86_400.0;

/// The number of unknown fields that are reported one by one, so that the response stays short.
const UNKNOWN_MAX: usize = 20;

const FIELDS: [&str; 10] = [
    "task",
    "params",
    "name",
    "queue",
    "priority",
    "delay",
    "scheduled_at",
    "max_retries",
    "metadata",
    "idempotency_key",
];

/// A request to create a job.
#[derive(Clone, Debug, Default)]
pub(super) struct CreateRequest {
    /// The task's name.
    pub(super) task: String,
    /// The params as they were written, not yet checked against the task. `None` stands for no params.
    pub(super) params: Option<Box<RawValue>>,
    /// The display name.
    pub(super) name: Option<String>,
    /// The queue.
    pub(super) queue: Option<String>,
    /// The priority; higher first.
    pub(super) priority: Option<i32>,
    /// The delay from now.
    pub(super) delay: Option<Duration>,
    /// The instant at which the job is due.
    pub(super) scheduled_at: Option<Timestamp>,
    /// The number of retries after the first attempt.
    pub(super) max_retries: Option<u32>,
    /// The caller's own data as it was written.
    pub(super) metadata: Option<Box<RawValue>>,
    /// The idempotency key: a repeated request with it returns the stored job.
    pub(super) idempotency_key: Option<String>,
}

impl CreateRequest {
    /// Parses the body. The error is 400 if it is not a JSON object, else 422 with each invalid field.
    pub(super) fn read(body: &[u8]) -> Result<CreateRequest, ErrorResponse> {
        let mut fields = match parse(body) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(bad("the body is not a JSON object".to_owned())),
            Err(error) => return Err(bad(format!("the body is not JSON: {error}"))),
        };
        // A field that is null counts as missing.
        fields.retain(|_, value| !value.is_null());
        let written = Written::read(body).unwrap_or_default();
        let mut problems = unknown(&fields);
        let mut take = Take { fields, problems: &mut problems };
        let request = CreateRequest {
            task: take
                .read("task", "the name of a task, for example \"send_email\"", text)
                .unwrap_or_default(),
            params: take
                .read("params", "an object, for example {\"to\": \"ann@example.com\"}", object)
                .and(written.params),
            name: take.read("name", "a text of 1 to 100 bytes", name),
            queue: take.read("queue", "the name of a queue, for example \"mail\"", text),
            priority: take.read("priority", "a whole number from -2147483648 to 2147483647", whole),
            delay: take.read("delay", "a number of seconds from 0 to a hundred years", delay),
            scheduled_at: take.read(
                "scheduled_at",
                "an instant after 1970, for example 2026-11-23T16:40:39Z",
                instant,
            ),
            max_retries: take.read("max_retries", "a whole number, 0 or more", whole),
            metadata: take.read("metadata", "an object", object).and(written.metadata),
            idempotency_key: take.read(
                "idempotency_key",
                "a text of 1 to 200 bytes, for example \"welcome-42\"",
                key,
            ),
        };
        if request.task.is_empty() && !problems.iter().any(|problem| problem.field == "task") {
            problems
                .push(problem("task", "is missing; write the name of a task, for example \"send_email\""));
        }
        if request.delay.is_some() && request.scheduled_at.is_some() {
            problems.push(problem("delay", "contradicts `scheduled_at`; write one of them"));
        }
        if problems.is_empty() {
            Ok(request)
        } else {
            Err(ErrorResponse::unprocessable("nothing was stored", problems))
        }
    }
}

/// The fields that are stored as they were written: a parsed value loses digits, and the order of members.
#[derive(Default, Deserialize)]
struct Written {
    params: Option<Box<RawValue>>,
    metadata: Option<Box<RawValue>>,
}

impl Written {
    /// Reads a body that was parsed before.
    fn read(body: &[u8]) -> serde_json::Result<Written> {
        serde_json::from_slice(body)
    }
}

struct Take<'a> {
    fields: Map<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl Take<'_> {
    fn read<T>(&mut self, field: &str, write: &str, read: fn(Value) -> Option<T>) -> Option<T> {
        let value = self.fields.remove(field)?;
        let shown: String = value.to_string().chars().take(60).collect();
        let read = read(value);
        if read.is_none() {
            self.problems.push(problem(field, format!("is {shown}; write {write}")));
        }
        read
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn name(value: Value) -> Option<String> {
    text(value).filter(|text| text.len() <= qdjobs::Job::NAME_BYTES_MAX)
}

fn key(value: Value) -> Option<String> {
    text(value).filter(|text| {
        text.len() <= qdjobs::Job::IDEMPOTENCY_KEY_BYTES_MAX && !text.chars().any(char::is_control)
    })
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

fn whole<T: TryFrom<i64>>(value: Value) -> Option<T> {
    value.as_i64()?.try_into().ok()
}

fn delay(value: Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| (0.0..=DELAY_SECONDS_MAX).contains(seconds))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// An instant with an offset or, as in responses, in UTC without one.
fn instant(value: Value) -> Option<Timestamp> {
    let text = text(value)?;
    let at: Timestamp = text.parse().or_else(|_| format!("{text}Z").parse()).ok()?;
    (at >= Timestamp::UNIX_EPOCH).then_some(at)
}

fn unknown(fields: &Map<String, Value>) -> Vec<Problem> {
    let mut unknown = fields.keys().filter(|field| !FIELDS.contains(&field.as_str()));
    let mut problems: Vec<Problem> =
        unknown.by_ref().take(UNKNOWN_MAX).map(|field| not_known(field)).collect();
    if let more @ 1.. = unknown.count() {
        problems.push(problem("…", format!("{more} further fields are unknown")));
    }
    problems
}

fn not_known(field: &str) -> Problem {
    let shown: String = field.chars().take(60).collect();
    match suggest(field, FIELDS) {
        Some(known) => problem(&shown, format!("is unknown; did you mean `{known}`?")),
        None => problem(&shown, format!("is unknown; the fields are {}", FIELDS.join(", "))),
    }
}

fn problem(field: &str, problem: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), problem: problem.into() }
}

fn bad(error: String) -> ErrorResponse {
    let help = "send {\"task\": \"send_email\", \"params\": {\"to\": …, \"subject\": …, \"body\": …}}";
    ErrorResponse::new(StatusCode::BAD_REQUEST, error).help(help)
}

/// The word that was probably meant by `typed`: it differs by a typing error, or `typed` begins with it.
pub(super) fn suggest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |word: &&str| typed.starts_with(word) || distance(typed, word) <= 1 + word.len() / 4;
    words.into_iter().filter(near).min_by_key(|word| distance(typed, word))
}

/// The number of letters to insert, delete or replace to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    // Longer words are not compared: the cost is the product of the lengths.
    if a.len() > 100 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Parses JSON of bounded depth, without duplicate members. Parsers disagree about which of two values of a
/// member applies, so the value that was checked might not be the value that is used.
fn parse(body: &[u8]) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Strict { depth: 0 }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Strict, E> {
        if self.depth < DEPTH_MAX {
            return Ok(Strict { depth: self.depth + 1 });
        }
        Err(E::custom(format_args!("it is nested deeper than {DEPTH_MAX} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if map.contains_key(&key) {
                let shown: String = key.chars().take(60).collect();
                return Err(A::Error::custom(format_args!("the member `{shown}` occurs twice")));
            }
            map.insert(key, members.next_value_seed(inside)?);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> (u16, String) {
        let error = CreateRequest::read(body.as_bytes()).expect_err(body);
        (error.status().as_u16(), serde_json::to_string(&error).unwrap())
    }

    #[test]
    fn a_request_of_the_reference_is_parsed() {
        let body = r#"{"task": "send_email", "params": {"to": "user@example.com"}}"#;
        let request = CreateRequest::read(body.as_bytes()).unwrap();
        assert_eq!(request.task, "send_email");
        assert_eq!(request.params.as_deref().map(RawValue::get), Some(r#"{"to": "user@example.com"}"#));
        let rest = CreateRequest { task: String::new(), params: None, ..request };
        assert_eq!(format!("{rest:?}"), format!("{:?}", CreateRequest::default()));
    }

    #[test]
    fn every_option_is_parsed() {
        let body = r#"{"task": "t", "params": null, "name": "n", "queue": "q", "priority": -3, "delay": 1.5,
                       "max_retries": 0, "metadata": {"a": 1}, "idempotency_key": "n-1"}"#;
        let request = CreateRequest::read(body.as_bytes()).unwrap();
        assert_eq!(request.idempotency_key.as_deref(), Some("n-1"));
        assert_eq!((request.priority, request.max_retries), (Some(-3), Some(0)));
        assert_eq!(request.delay, Some(Duration::from_millis(1500)));
        for text in ["2026-11-23T16:40:39.5Z", "2026-11-23T16:40:39.5", "2026-11-23T17:40:39.5+01:00"] {
            let request =
                CreateRequest::read(format!(r#"{{"task": "t", "scheduled_at": "{text}"}}"#).as_bytes())
                    .unwrap();
            assert_eq!(request.scheduled_at, Some("2026-11-23T16:40:39.5Z".parse().unwrap()));
        }
    }

    #[test]
    fn the_error_names_each_invalid_field_and_what_to_write() {
        for (member, named) in [
            (r#""priority": "high""#, "priority"),
            (r#""priority": 1.5"#, "priority"),
            (r#""priority": 2147483648"#, "priority"),
            (r#""delay": -1"#, "delay"),
            (r#""delay": 1e300"#, "delay"),
            (r#""delay": "soon""#, "delay"),
            (r#""scheduled_at": "tomorrow""#, "scheduled_at"),
            (r#""scheduled_at": "1969-12-31T23:59:59Z""#, "scheduled_at"),
            (r#""scheduled_at": 12"#, "scheduled_at"),
            (r#""delay": 1, "scheduled_at": "2026-11-23T16:40:39Z""#, "write one of them"),
            (r#""max_retries": -1"#, "max_retries"),
            (r#""max_retries": 99999999999"#, "max_retries"),
            (r#""metadata": [1]"#, "metadata"),
            (r#""idempotency_key": """#, "idempotency_key"),
            (r#""idempotency_key": "a\tb""#, "idempotency_key"),
            (r#""params": []"#, "params"),
            (r#""params": "x""#, "params"),
            (r#""name": """#, "name"),
            (r#""queue": 7"#, "queue"),
            (r#""task_name": "x""#, "did you mean `task`"),
            (r#""param": {}"#, "did you mean `params`"),
            (r#""retries": 1"#, "the fields are"),
        ] {
            let (status, text) = refused(&format!(r#"{{"task": "t", {member}}}"#));
            assert!(status == 422 && text.contains(named), "{member}: {status} {text}");
        }
        let (_, both) = refused(r#"{"delay": -1, "priority": "x"}"#);
        assert!(["delay", "priority", "task"].iter().all(|field| both.contains(field)), "{both}");
    }

    #[test]
    fn the_response_stays_short_however_many_fields_are_unknown() {
        let fields: Map<String, Value> = (0..10_000).map(|n| (format!("f{n}"), n.into())).collect();
        let error = CreateRequest::read(Value::Object(fields).to_string().as_bytes()).unwrap_err();
        let text = serde_json::to_string(&error).unwrap();
        assert!(text.len() < 16 << 10, "{} bytes", text.len());
        assert!(text.contains("9980 further fields are unknown"), "{text}");
        assert!(text.contains("f0: is unknown; the fields are task, params"), "{text}");
    }

    #[test]
    fn a_body_that_is_not_one_json_object_is_refused() {
        let deep = format!("{{\"task\": \"t\", \"params\": {}1{}}}", "{\"a\":".repeat(66), "}".repeat(66));
        let very_deep = "[".repeat(1_000_000);
        for body in
            ["", "{", "[]", "null", "\"x\"", "{} {}", "{\"task\": NaN}", "\u{feff}{}", &deep, &very_deep]
        {
            assert_eq!(refused(body).0, 400, "{body:.60}");
        }
        assert_eq!(
            CreateRequest::read(b"{\"task\": \"\xff\"}").unwrap_err().status(),
            StatusCode::BAD_REQUEST
        );
        let fits = format!("{{\"task\": \"t\", \"params\": {}1{}}}", "{\"a\":".repeat(64), "}".repeat(64));
        assert!(CreateRequest::read(fits.as_bytes()).is_ok());
    }

    #[test]
    fn a_duplicate_member_is_refused_at_any_depth() {
        for body in
            [r#"{"task": "a", "task": "b"}"#, r#"{"task": "a", "params": {"to": [{"x": 1, "x": 2}]}}"#]
        {
            let (status, text) = refused(body);
            assert!(status == 400 && text.contains("twice"), "{text}");
        }
    }
}
