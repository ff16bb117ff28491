//! Every form of a parameter.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use qdjobs::Timestamp;
use qdjobs::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Running;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Address {
    street: String,
}

#[task("param.key")]
fn key(
    key: [u8; 64],
    borrowed: &[u16; 100],
    none: Option<[u8; 33]>,
    some: Option<&[u8; 40]>,
) -> (u64, usize, bool) {
    let sum = key.iter().map(|n| u64::from(*n)).sum();
    (sum, borrowed.len(), none.is_none() && some == Some(&[7; 40]))
}

#[test]
fn arrays_of_more_than_32_items_are_stored() {
    let call = Key { some: Some([7; 40]), ..Key::new([2; 64], [1; 100]) };
    assert_eq!(call.clone(), call);
    assert_eq!(Running::new().result(call), (128, 100, true));
    let short = serde_json::from_str::<Key>(r#"{"key": [1, 2], "borrowed": []}"#).unwrap_err().to_string();
    assert!(short.contains("parameter `key`: invalid length 2, expected an array of length 64"), "{short}");
}

const SIDE: usize = 40;

#[task("param.board")]
fn board(#[default([0; SIDE])] cells: [i32; SIDE], #[default(Some([1; 50]))] more: Option<[u8; 50]>) -> i32 {
    cells.iter().sum::<i32>() + i32::from(more.map_or(0, |more| more[49]))
}

#[test]
fn arrays_have_defaults_and_named_lengths() {
    let running = Running::new();
    assert_eq!(running.result(Board::new()), 1);
    assert_eq!(running.result(Board { cells: [1; SIDE], more: None }), 40);
    assert_eq!(serde_json::from_str::<Board>("{}").unwrap(), Board::new());
    assert_eq!(serde_json::from_str::<Board>(r#"{"more": null}"#).unwrap().more, None);
}

#[task("param.bytes")]
fn bytes(data: &[u8], words: &[String]) -> usize {
    data.len() + words.len()
}

#[test]
fn slices_are_passed_as_arrays_slices_lists_and_boxes() {
    let running = Running::new();
    let list: Vec<u8> = vec![1, 2, 3];
    for call in [
        Bytes::new([1, 2, 3], []),
        Bytes::new(&[1, 2, 3], []),
        Bytes::new(&list[..], vec![]),
        Bytes::new(list.as_slice(), Vec::new()),
        Bytes::new(list.clone(), [String::new(); 0]),
        Bytes::new(vec![1, 2, 3], vec![]),
        Bytes::new(list.clone().into_boxed_slice(), &[][..]),
        Bytes::new(b"abc", vec![]),
        Bytes::new("abc", vec![]),
    ] {
        assert_eq!(running.result(call), 3);
    }
    assert_eq!(running.result(Bytes::new([], ["a".to_owned(), "b".to_owned()])), 2);
}

#[allow(clippy::ptr_arg)]
#[task("param.texts")]
fn texts(
    a: &str,
    b: String,
    c: Arc<str>,
    d: Box<str>,
    e: Cow<'static, str>,
    f: &String,
    path: &Path,
    #[expect(unused_variables)] os: &OsStr,
) -> String {
    [a, &b, &c, &d, &e, f, path.to_str().unwrap()].concat()
}

#[test]
fn texts_are_passed_as_literals() {
    assert_eq!(Running::new().result(Texts::new("a", "b", "c", "d", "e", "f", "g", "h")), "abcdefg");
}

#[task("param.raw")]
fn raw(json: &RawValue, maybe: Option<&RawValue>) -> String {
    [json.get(), maybe.map_or("none", RawValue::get)].concat()
}

#[test]
fn raw_json_is_passed_as_a_reference() {
    let json = RawValue::from_string("[2,1]".to_owned()).unwrap();
    let call = Raw { maybe: Some(json.clone()), ..Raw::new(json) };
    assert_eq!(Running::new().result(call), "[2,1][2,1]");
}

#[task("param.times")]
fn times(at: Timestamp, borrowed: &Timestamp, maybe: Option<Timestamp>, wait: Duration) -> Timestamp {
    assert!(maybe.is_none() && at == *borrowed);
    at + wait
}

#[test]
fn timestamps_are_stored_exactly() {
    let at = Timestamp::new(1_700_000_000, 123_456_789).unwrap();
    let expected = Timestamp::new(1_700_000_001, 123_456_790).unwrap();
    assert_eq!(Running::new().result(Times::new(at, at, Duration::from_nanos(1_000_000_001))), expected);
}

#[task("param.maps")]
fn maps(
    counts: HashMap<u128, String>,
    sorted: &BTreeMap<i128, u8>,
    optional: Option<BTreeMap<u128, u8>>,
) -> (usize, Option<i128>) {
    (counts.len() + optional.map_or(0, |map| map.len()), sorted.keys().next().copied())
}

#[test]
fn keys_of_maps_have_any_size() {
    let call = Maps {
        optional: Some(BTreeMap::from([(u128::MAX, 1)])),
        ..Maps::new(HashMap::from([(u128::MAX, "x".into())]), BTreeMap::from([(i128::MIN, 1)]))
    };
    assert_eq!(Running::new().result(call), (2, Some(i128::MIN)));
}

#[task("param.own")]
fn own(
    address: Address,
    borrowed: &Address,
    optional: Option<&Address>,
    many: &[Address],
    ip: IpAddr,
    mut n: u8,
    tuple: (u8, Vec<Option<Address>>, [u8; 3]),
    json: &serde_json::Value,
) -> Vec<String> {
    n += tuple.2[0];
    let all = [&address, borrowed].into_iter().chain(optional).chain(many).chain(tuple.1.iter().flatten());
    all.map(|it| it.street.clone()).chain([n.to_string(), ip.to_string(), json.to_string()]).collect()
}

#[test]
fn own_types_are_passed_by_value_and_by_reference() {
    let at = |street: &str| Address { street: street.to_owned() };
    let json = serde_json::json!({"a": 1});
    let call =
        Own::new(at("a"), at("b"), [at("c")], [127, 0, 0, 1].into(), 1, (1, vec![None], [1, 2, 3]), json);
    let call = Own { optional: Some(at("o")), ..call };
    assert_eq!(Running::new().result(call), ["a", "b", "o", "c", "2", "127.0.0.1", "{\"a\":1}"]);
}

#[task("param.state")]
fn state(
    n: u64,
    #[state] base: &u64,
    #[state] text: Arc<String>,
    #[state] words: Arc<str>,
    #[state] borrowed: &Arc<str>,
    #[state] length: Arc<dyn Fn(&str) -> usize + Send + Sync>,
    #[ctx] job: &JobContext,
    ctx: &JobContext,
) -> (u64, String) {
    assert_eq!(job.job_id(), ctx.job_id());
    (n + base, format!("{text} {words} {borrowed} {}", length("four")))
}

#[test]
fn state_is_passed_by_reference_and_as_a_clone() {
    assert_eq!(Running::new().result(State::new(1)), (42, "shared text text 4".to_owned()));
}

#[allow(non_snake_case, clippy::ptr_arg)]
#[task("param.lints")]
fn lints(userId: u8, Items: &Vec<u8>) -> u8 {
    userId + Items[0]
}

#[task("param.lints_of_parameters")]
#[allow(dead_code, reason = "never enqueued")]
fn lints_of_parameters(#[allow(non_snake_case)] userId: u8, #[allow(unused_variables)] x: u8) {
    let _ = userId;
}

#[test]
fn allowed_lints_cover_what_is_generated() {
    assert_eq!(Running::new().result(Lints::new(1, vec![2])), 3);
}

#[task("param.defaults")]
fn defaults(
    #[default("en")] lang: &str,
    #[default] n: u8,
    #[default(vec![1, 2])] list: &[u8],
    #[default([3])] more: &[u8],
    #[default(Some(4))] some: Option<u8>,
    #[default(lang())] other: String,
) -> String {
    format!("{lang} {n} {list:?} {more:?} {some:?} {other}")
}

fn lang() -> String {
    "function".to_owned()
}

#[test]
fn defaults_are_expressions_of_the_users_scope() {
    let running = Running::new();
    assert_eq!(running.result(Defaults::new()), "en 0 [1, 2] [3] Some(4) function");
    let read: Defaults = serde_json::from_str(r#"{"n": 7, "some": null}"#).unwrap();
    assert_eq!(running.result(read), "en 7 [1, 2] [3] None function");
}

/// Writes and reads what serde_json cannot: a number of 128 bits, and a map whose keys are pairs.
mod text {
    use serde::de::{DeserializeOwned, Error as _};
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: super::Text, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        value.text().map_err(S::Error::custom)?.serialize(to)
    }

    pub(super) fn deserialize<'de, T: super::Text + DeserializeOwned, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        T::parsed(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

pub(crate) trait Text: Sized {
    fn text(&self) -> Result<String, String>;
    fn parsed(text: &str) -> Result<Self, String>;
}

impl Text for u128 {
    fn text(&self) -> Result<String, String> {
        Ok(self.to_string())
    }

    fn parsed(text: &str) -> Result<u128, String> {
        text.parse().map_err(|error| format!("{error}"))
    }
}

impl Text for HashMap<(u8, u8), u8> {
    fn text(&self) -> Result<String, String> {
        serde_json::to_string(&self.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())
    }

    fn parsed(text: &str) -> Result<Self, String> {
        let pairs: Vec<((u8, u8), u8)> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(pairs.into_iter().collect())
    }
}

#[task("param.custom")]
fn custom(#[with(text)] n: u128, #[with(text)] map: HashMap<(u8, u8), u8>) -> (u128, Option<u8>) {
    (n, map.get(&(1, 2)).copied())
}

#[test]
fn functions_of_the_user_store_what_serde_cannot() {
    assert_eq!(
        Running::new().result(Custom::new(u128::MAX, HashMap::from([((1, 2), 3)]))),
        (u128::MAX, Some(3))
    );
}
