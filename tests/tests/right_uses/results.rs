//! Every form of a result.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use qdjobs::bounds::IntoTaskError;
use qdjobs::prelude::*;
use qdjobs::{JobId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Running;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sent {
    id: u64,
    to: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Yes,
    No { why: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Page<T> {
    items: Vec<T>,
}

/// A plain result: a task that returns it, and the test that it arrives.
macro_rules! plain {
    ($($test:ident $name:ident $call:ident $text:literal: $ty:ty = $value:expr;)*) => {$(
        #[task($text)]
        fn $name() -> $ty {
            $value
        }

        #[test]
        fn $test() {
            let expected: $ty = $value;
            assert_eq!(Running::new().result($call), expected);
        }
    )*};
}

plain! {
    boolean r_bool RBool "result.bool": bool = true;
    character r_char RChar "result.char": char = 'ä';
    string r_string RString "result.string": String = "a\u{0}b\"".to_owned();
    least r_i64 RI64 "result.i64": i64 = i64::MIN;
    most r_u64 RU64 "result.u64": u64 = u64::MAX;
    wide r_u128 RU128 "result.u128": u128 = u128::MAX;
    wide_negative r_i128 RI128 "result.i128": i128 = i128::MIN;
    float r_f64 RF64 "result.f64": f64 = 0.1 + 0.2;
    own_struct r_struct RStruct "result.struct": Sent = Sent { id: 7, to: vec!["ann".into()] };
    own_enum r_enum REnum "result.enum": Answer = Answer::No { why: "late".into() };
    own_unit_variant r_variant RVariant "result.variant": Answer = Answer::Yes;
    own_generic r_generic RGeneric "result.generic": Page<u8> = Page { items: vec![1] };
    option_of_own r_option ROption "result.option": Option<Sent> = None;
    boxed r_box RBox "result.box": Box<Sent> = Box::new(Sent { id: 1, to: vec![] });
    list_of_own r_list RList "result.list": Vec<Sent> = vec![Sent { id: 1, to: vec![] }];
    queue_of r_deque RDeque "result.deque": VecDeque<u8> = VecDeque::from([1, 2]);
    array r_array RArray "result.array": [u8; 4] = [1, 2, 3, 4];
    array_of_32 r_array_32 RArray32 "result.array_32": [u8; 32] = [9; 32];
    duration r_duration RDuration "result.duration": Duration = Duration::from_nanos(1_500_000_001);
    system_time r_time RTime "result.time": SystemTime = SystemTime::UNIX_EPOCH;
    timestamp r_timestamp RTimestamp "result.timestamp": Timestamp = Timestamp::UNIX_EPOCH;
    timestamp_of_jiff r_jiff RJiff "result.jiff": Option<Timestamp> = Some(Timestamp::MAX);
    job_id r_id RId "result.id": JobId = JobId(7);
    shared_text r_arc RArc "result.arc": Arc<str> = "x".into();
    shared_own r_arc_own RArcOwn "result.arc_own": Arc<Sent> = Arc::new(Sent { id: 1, to: vec![] });
    counted_text r_rc RRc "result.rc": Rc<str> = "x".into();
    boxed_text r_box_str RBoxStr "result.box_str": Box<str> = "x".into();
    boxed_list r_box_list RBoxList "result.box_list": Box<[u8]> = vec![1].into();
    cow r_cow RCow "result.cow": Cow<'static, str> = "x".into();
    address r_ip RIp "result.ip": IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    socket r_socket RSocket "result.socket": SocketAddr = "127.0.0.1:80".parse().unwrap();
    path r_path_buf RPathBuf "result.path_buf": PathBuf = PathBuf::from("/tmp/x");
    non_zero r_non_zero RNonZero "result.non_zero": NonZeroU32 = NonZeroU32::MIN;
    hash_map r_map RMap "result.map": HashMap<String, u8> = HashMap::from([("a".into(), 1)]);
    map_of_numbers r_map_n RMapN "result.map_n": BTreeMap<u128, u8> = BTreeMap::from([(u128::MAX, 1)]);
    set r_set RSet "result.set": HashSet<u8> = HashSet::from([1]);
    ordered_set r_tree RTree "result.tree": BTreeSet<String> = BTreeSet::from(["a".into()]);
    json r_json RJson "result.json": serde_json::Value = serde_json::json!({"a": [1, null]});
    json_map r_json_map RJsonMap "result.json_map": serde_json::Map<String, serde_json::Value> =
        serde_json::Map::from_iter([("a".to_owned(), 1.into())]);
    json_number r_json_n RJsonN "result.json_n": serde_json::Number = 5.into();
    tuple_1 r_tuple_1 RTuple1 "result.tuple_1": (u8,) = (1,);
    tuple_5 r_tuple_5 RTuple5 "result.tuple_5": (u8, String, bool, Vec<u8>, Option<u8>) =
        (1, "a".into(), true, vec![2], None);
    tuple_8 r_tuple_8 RTuple8 "result.tuple_8": (u8, u8, u8, u8, u8, u8, u8, u8) = (1, 2, 3, 4, 5, 6, 7, 8);
    list_of_results r_results RResults "result.results": Vec<Result<u8, String>> = vec![Ok(1), Err("x".into())];
    nested r_nested RNested "result.nested": HashMap<String, Vec<(u8, Option<Sent>)>> = HashMap::new();
    alias_of_a_plain_type r_alias RAlias "result.alias": Alias = vec![1];
    of_a_projection r_projection RProjection "result.projection": <Vec<u8> as IntoIterator>::Item = 7;
}

type Alias = Vec<u8>;

/// A `Result`: a task that returns it, and the test that its value arrives.
macro_rules! fallible {
    ($($test:ident $name:ident $call:ident $text:literal: $ty:ty = $value:expr;)*) => {$(
        #[task($text)]
        fn $name() -> $ty {
            Ok($value)
        }

        #[test]
        #[allow(clippy::unit_cmp)]
        fn $test() {
            assert_eq!(Running::new().result($call), $value);
        }
    )*};
}

mod mine {
    pub(super) type Result<T> = std::result::Result<T, std::io::Error>;
}

struct Mine;
impl IntoTaskError for Mine {
    fn into_task_error(self) -> TaskError {
        TaskError::permanent("mine")
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

fallible! {
    of_texts f_string FString "fallible.string": Result<u8, String> = 1;
    of_static_texts f_str FStr "fallible.str": Result<u8, &'static str> = 1;
    of_cows f_cow FCow "fallible.cow": Result<u8, Cow<'static, str>> = 1;
    of_io f_io FIo "fallible.io": Result<Sent, std::io::Error> = Sent { id: 1, to: vec![] };
    of_io_by_alias f_io_result FIoResult "fallible.io_result": std::io::Result<()> = ();
    of_formatting f_fmt FFmt "fallible.fmt": std::fmt::Result = ();
    of_own_alias f_mine FMine "fallible.mine": mine::Result<Answer> = Answer::Yes;
    of_the_queue f_queue FQueue "fallible.queue": qdjobs::Result<u8> = 1;
    of_boxes f_box FBox "fallible.box": Result<u8, Box<dyn Error>> = 1;
    of_boxes_that_are_send f_send FSend "fallible.send": Result<u8, Box<dyn Error + Send>> = 1;
    of_boxes_that_are_sync f_sync FSync "fallible.sync": Result<u8, Box<dyn Error + Send + Sync>> = 1;
    of_boxes_by_alias f_alias FAlias "fallible.alias": Result<u8, BoxError> = 1;
    of_task_errors f_task FTask "fallible.task": Result<(), TaskError> = ();
    of_own_errors f_own FOwn "fallible.own": Result<u8, Mine> = 1;
    of_parse_errors f_parse FParse "fallible.parse": Result<u8, std::num::ParseIntError> = 1;
    of_infallible f_never FNever "fallible.never": Result<u8, std::convert::Infallible> = 1;
    of_std_by_path f_path FPath "fallible.path": ::std::result::Result<u8, String> = 1;
    of_options f_option FOption "fallible.option": Result<Option<Duration>, String> = None;
}

#[task("fails.boxed", retries = 0)]
fn fails_boxed() -> Result<(), Box<dyn Error + Send + Sync>> {
    Err("boxed and sent".into())
}

#[task("fails.mine")]
async fn fails_mine() -> Result<(), Mine> {
    Err(Mine)
}

#[task("fails.static", retries = 0)]
fn fails_static() -> Result<u8, &'static str> {
    Err("static")
}

#[test]
fn the_errors_of_boxes_texts_and_own_types_arrive() {
    let running = Running::new();
    let error = |handle: qdjobs::Result<JobHandle<()>>| handle.unwrap().wait().unwrap_err().to_string();
    assert!(error(FailsBoxed.enqueue(&running.queue)).contains("boxed and sent"));
    assert!(error(FailsMine.enqueue(&running.queue)).contains("mine"));
    let text = FailsStatic.enqueue(&running.queue).unwrap().wait().unwrap_err().to_string();
    assert!(text.contains("static"), "{text}");
}

#[task("result.async")]
async fn r_async(to: &str) -> Sent {
    std::future::ready(()).await;
    Sent { id: 1, to: vec![to.to_owned()] }
}

#[task("result.async_local")]
async fn r_async_local() -> Result<Answer, Box<dyn Error>> {
    let here = Rc::new(1);
    std::future::ready(()).await;
    drop(here);
    Ok(Answer::Yes)
}

#[test]
fn async_tasks_return_own_types() {
    let running = Running::new();
    assert_eq!(running.result(RAsync::new("ann")).to, ["ann"]);
    assert_eq!(running.result(RAsyncLocal), Answer::Yes);
}
