//! Aliases named `Result`, all the sorts of errors, futures that stay on their thread.
use std::borrow::Cow;
use std::error::Error;
use std::rc::Rc;

use qdjobs::prelude::*;
use qdjobs::__private::Run;
use qdjobs::bounds::IntoTaskError;

mod answer {
    pub type Result<T> = std::result::Result<T, std::io::Error>;
}

struct Mine;
impl IntoTaskError for Mine {
    fn into_task_error(self) -> TaskError {
        TaskError::permanent("mine")
    }
}

#[task("alias")]
fn alias() -> answer::Result<u8> {
    Ok(1)
}
#[task("io")]
fn io() -> std::io::Result<()> {
    Ok(())
}
#[task("formatting")]
fn formatting() -> std::fmt::Result {
    Ok(())
}
#[task("text")]
fn text() -> Result<(), String> {
    Ok(())
}
#[task("borrowed_text")]
fn borrowed_text() -> Result<(), &'static str> {
    Ok(())
}
#[task("cow")]
fn owned_or_not() -> Result<(), Cow<'static, str>> {
    Ok(())
}
#[task("boxed")]
fn boxed() -> Result<(), Box<dyn Error>> {
    Ok(())
}
#[task("boxed_send")]
fn boxed_send() -> Result<(), Box<dyn Error + Send + Sync>> {
    Ok(())
}
#[task("own")]
fn own() -> Result<(), Mine> {
    Err(Mine)
}
#[task("said")]
fn said() -> Result<(), TaskError> {
    Err(TaskError::cancel("enough"))
}
#[task("of_the_queue")]
fn of_the_queue() -> qdjobs::Result<()> {
    Ok(())
}
#[task("tuple")]
fn tuple() -> (u8, Vec<String>, Option<serde_json::Value>) {
    (1, Vec::new(), None)
}
#[task("local")]
async fn local() -> Result<u8, Box<dyn Error>> {
    let here = Rc::new(1);
    std::future::ready(()).await;
    Ok(*here)
}
#[task("shared")]
async fn shared(text: &str, #[state] number: &u64) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let words: Vec<&str> = text.split(' ').collect();
    std::future::ready(()).await;
    Ok(words.len() as u64 + number)
}

fn main() {
    assert!(matches!(Local::DEF.run, Run::AsyncLocal(_)));
    assert!(matches!(Shared::DEF.run, Run::Async(_)));
    assert_eq!(qdjobs::Registry::linked().len(), 14);
}
