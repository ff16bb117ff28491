//! The macro without a compiler: expansions against golden files, every complaint by its words, and the cost
//! of a task.
//!
//! Leans on nothing but the door. What rustc says about an expansion is tested in the tests crate, where
//! there is one.
//!
//! `UPDATE_GOLDEN=1 cargo test -p qdjobs-macros` writes the golden files anew; read the difference before you
//! keep it.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

use crate::expand_task;

/// The expansion as a person reads it.
fn expansion(attr: &str, item: &str) -> String {
    let tokens = expand_task(attr.parse().unwrap(), item.parse().unwrap());
    prettyplease::unparse(&syn::parse2(tokens).unwrap())
}

/// The words of every `compile_error!` in the expansion.
fn complaints(attr: &str, item: &str) -> Vec<String> {
    let mut found = Vec::new();
    gather(expand_task(attr.parse().unwrap(), item.parse().unwrap()), &mut found);
    found
}

fn gather(tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "compile_error" => {
                let TokenTree::Group(group) = &tokens[at + 2] else {
                    panic!("compile_error! without braces")
                };
                found.push(syn::parse2::<syn::LitStr>(group.stream()).unwrap().value());
            }
            TokenTree::Group(group) => gather(group.stream(), found),
            _ => {}
        }
    }
}

#[track_caller]
fn golden(name: &str, attr: &str, item: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name).with_extension("rs");
    let actual = format!("// #[task({attr})]\n{}", expansion(attr, item));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(file, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = expected.lines().zip(actual.lines()).find(|(left, right)| left != right);
    assert!(
        expected == actual,
        "{} differs; the first different line: {differs:?}\nUPDATE_GOLDEN=1 writes it anew",
        file.display()
    );
}

#[test]
fn three_params() {
    golden("three_params", r#""add""#, "/// Adds.\npub fn add(a: u64, b: u64, c: u64) -> u64 { a + b + c }");
}

#[test]
fn no_params() {
    golden("no_params", r#""cleanup""#, "fn cleanup() {}");
}

#[test]
fn borrowed() {
    golden(
        "borrowed",
        r#""send_email""#,
        "fn send_email(to: &str, file: &Path, tags: &[String], address: &Address, cc: Option<&str>,
             copy: Option<&Path>, words: Option<&[String]>, home: Option<&Address>) -> Result<(), io::Error> { body() }",
    );
}

#[test]
fn options_and_defaults() {
    golden(
        "options_and_defaults",
        r#""report", queue = "slow", priority = -1, retries = MANY, timeout = "1h30m", params = MakeReport,
           backoff = exponential("2s", factor = 1.5, max = "1h"), aliases("report.v1"), crate = crate::jobs"#,
        r#"fn report(day: String, #[default("en")] lang: &str, #[default] draft: bool,
               #[alias("pages_max")] #[default(10)] pages: u32, #[with(seconds)] wait: Duration) {}"#,
    );
}

#[test]
fn state_and_context() {
    golden(
        "state_and_context",
        r#""sync""#,
        "fn sync_all(ctx: &JobContext, #[ctx] twin: &Context, #[state] db: &Db, #[state] pool: Arc<Pool>, n: u8) {}",
    );
}

#[test]
fn asynchronous() {
    golden(
        "asynchronous",
        r#""fetch""#,
        "async fn fetch(url: &str, ctx: &JobContext) -> Result<String, Error> { body().await }",
    );
}

#[test]
fn raw_identifiers() {
    golden("raw_identifiers", r#""type""#, "fn r#type(r#in: u8) {}");
}

#[test]
fn restricted_visibility_attributes_and_docs() {
    golden(
        "restricted_visibility_attributes_and_docs",
        r#""old""#,
        "/// Old.\n#[cfg(unix)] #[deprecated] #[inline] pub(super) fn old(/** How many. */ n: u8) {}",
    );
}

#[test]
fn error_fallback_keeps_the_function_and_the_struct() {
    golden(
        "error_fallback_keeps_the_function_and_the_struct",
        r#""send email", retry = 5"#,
        "fn send_email(to: &str) {}",
    );
}

#[test]
fn error_fallback_keeps_the_function_alone_if_a_parameter_cannot_be_stored() {
    golden(
        "error_fallback_keeps_the_function_alone_if_a_parameter_cannot_be_stored",
        r#""move""#,
        "fn move_to(#[state] map: &Map, (x, y): (u8, u8)) { body(x, y) }",
    );
}

#[test]
fn a_task_costs_at_most_180_lines() {
    let lines: usize = (0..300)
        .map(|n| {
            let item = format!(
                "/// Sends.\npub fn send_{n}(to: &str, subject: String, count: u64, cc: Option<&str>)
                     -> Result<(), std::io::Error> {{ Ok(()) }}"
            );
            let attr = format!(r#""send_{n}", queue = "mail", retries = 5, timeout = "30s""#);
            expansion(&attr, &item).lines().count()
        })
        .sum();
    assert!(lines / 300 <= 180, "{} lines a task", lines / 300);
}

const NAME_HELP: &str = "help: 1 to 100 of A-Z a-z 0-9 _ . : / - with a letter or a digit at the beginning";

#[test]
fn complaints_about_names() {
    let f = "fn send_email() {}";
    let needs = "a task needs a name that stays the same when the function is renamed: stored jobs refer to it\n\
                 help: #[task(\"send_email\")]";
    let long = format!("\"{}\"", "x".repeat(101));
    for (attr, words) in [
        ("", needs.to_owned()),
        ("queue = \"mail\"", needs.to_owned()),
        ("NAME", needs.to_owned()),
        ("5", "the name of a task is a text\nhelp: #[task(\"send_email\")]".to_owned()),
        (
            "name = \"send_email\"",
            "the name of a task stands first\nhelp: #[task(\"send_email\")]".to_owned(),
        ),
        ("\"send email\"", format!("the name of a task cannot contain ' '\n{NAME_HELP}")),
        ("\"grüße\"", format!("the name of a task cannot contain 'ü'\n{NAME_HELP}")),
        ("\"\"", format!("the name of a task cannot be empty\n{NAME_HELP}")),
        ("\".a\"", format!("the name of a task begins with a letter or a digit\n{NAME_HELP}")),
        (&long, format!("the name of a task has at most 100 characters, this one has 101\n{NAME_HELP}")),
        ("\"a\", aliases(\"b c\")", format!("the name of a task cannot contain ' '\n{NAME_HELP}")),
        ("\"a\", aliases(\"a\")", "the name `a` is given twice".to_owned()),
        ("\"a\", queue = \"b c\"", format!("the name of a queue cannot contain ' '\n{NAME_HELP}")),
        ("\"a\", queue = 3", "the name of a queue is a text\nhelp: queue = \"mail\"".to_owned()),
    ] {
        assert_eq!(complaints(attr, f)[0], words, "#[task({attr})]");
    }
    for good in ["a", "a.b", "a::b", "0/x-y_z"] {
        assert!(complaints(&format!("\"{good}\""), f).is_empty(), "{good}");
    }
}

#[test]
fn complaints_about_options() {
    let all = "help: the options are queue, priority, retries, backoff, timeout, aliases, params, crate";
    let exponential = "help: backoff = exponential(\"1s\", factor = 2, max = \"1h\")";
    for (option, words) in [
        ("retry = 5", "unknown option `retry`\nhelp: did you mean `retries`?".to_owned()),
        ("max_retries = 5", "unknown option `max_retries`\nhelp: did you mean `retries`?".to_owned()),
        ("timout = \"3s\"", "unknown option `timout`\nhelp: did you mean `timeout`?".to_owned()),
        ("channel = \"x\"", "unknown option `channel`\nhelp: did you mean `queue`?".to_owned()),
        ("colour = \"red\"", format!("unknown option `colour`\n{all}")),
        ("cron = \"* * * * *\"", "the option `cron` is not available yet\nhelp: leave it out".to_owned()),
        ("unique(to)", "the option `unique` is not available yet\nhelp: leave it out".to_owned()),
        ("concurrency = 4", "the option `concurrency` is not available yet\nhelp: leave it out".to_owned()),
        (
            "schedule = \"* * * * *\"",
            "unknown option `schedule`\nhelp: it would be called `cron`, which is not available yet".to_owned(),
        ),
        ("uniqe(to)", "unknown option `uniqe`\nhelp: it would be called `unique`, which is not available yet".to_owned()),
        ("retries", "the option `retries` needs a value\nhelp: retries = 5".to_owned()),
        ("retries(5)", "the option `retries` is written so\nhelp: retries = 5".to_owned()),
        ("aliases = \"x\"", "the option `aliases` is written so\nhelp: aliases(\"old_name\")".to_owned()),
        ("retries = 5, retries = 6", "the option `retries` is given twice\nhelp: keep one of them".to_owned()),
        ("retries = \"5\"", "`retries` is a whole number\nhelp: retries = 5".to_owned()),
        ("retries = -1", "`retries` lies between 0 and 4294967295\nhelp: retries = 5".to_owned()),
        (
            "priority = 3000000000",
            "`priority` lies between -2147483648 and 2147483647\nhelp: priority = 5".to_owned(),
        ),
        ("timeout = 30", "invalid duration: `30` has no unit\nhelp: write \"30s\", \"30m\" or \"30h\"".to_owned()),
        ("timeout = 30s", "a duration is a text\nhelp: write \"30s\"".to_owned()),
        (
            "timeout = \"0s\"",
            "a timeout of zero would end every attempt at once\nhelp: leave `timeout` out for none".to_owned(),
        ),
        (
            "backoff = \"5s\"",
            "a backoff says how the wait grows\nhelp: backoff = fixed(\"5s\"), or backoff = exponential(\"1s\", \
             factor = 2, max = \"1h\")"
                .to_owned(),
        ),
        ("backoff = fixed()", "`fixed` takes one duration\nhelp: backoff = fixed(\"5s\")".to_owned()),
        ("backoff = exponential()", format!("`exponential` needs the first wait\n{exponential}")),
        (
            "backoff = exponential(\"1s\", 2)",
            format!("`exponential` takes the first wait, `factor` and `max`\n{exponential}"),
        ),
        (
            "backoff = exponential(\"1s\", factor = 0)",
            "the factor of a backoff is a number of at least 1\nhelp: factor = 2".to_owned(),
        ),
        (
            "backoff = exponential(\"1m\", max = \"1s\")",
            format!("the longest wait is shorter than the first\n{exponential}; `max` is one hour unless given"),
        ),
        ("params = \"X\"", "expected the name of the params struct\nhelp: params = SendMail".to_owned()),
        ("5", "expected an option, as in `retries = 5`".to_owned()),
    ] {
        let attr = format!("\"a\", {option}");
        assert_eq!(complaints(&attr, "fn a(to: String) {}"), [words], "{option}");
    }
    let missing = complaints("\"a\" retries = 5, queue = \"b\"", "fn a() {}");
    assert_eq!(missing, ["expected `,` between two options"]);
}

#[test]
fn complaints_about_the_function() {
    let generic = "help: write a generic helper, and one `#[task]` function for each type";
    let on_function =
        "`#[task]` goes on a function\nhelp: #[task(\"send_email\")] fn send_email() { .. }".to_owned();
    for (item, words) in [
        ("struct A;", on_function.clone()),
        ("mod a {}", on_function.clone()),
        ("pub const A: u8 = 1;", on_function),
        ("fn a();", "a task needs a body\nhelp: write what the job does in `{ .. }`".to_owned()),
        (
            "const fn a() {}",
            "a task runs in a worker, so it cannot be `const`\nhelp: remove `const`".to_owned(),
        ),
        (
            "unsafe fn a() {}",
            "a worker cannot keep the promises that an `unsafe` function asks of its caller\n\
             help: write a safe task that calls it"
                .to_owned(),
        ),
        ("extern \"C\" fn a() {}", "a task is an ordinary Rust function\nhelp: remove `extern`".to_owned()),
        (
            "fn a<T>() {}",
            format!(
                "a task cannot be generic: a stored job names the task, not its type arguments\n{generic}"
            ),
        ),
        (
            "fn a<const N: usize>() {}",
            format!(
                "a task cannot be generic: a stored job names the task, not its type arguments\n{generic}"
            ),
        ),
        (
            "fn a(&self) {}",
            "a task is a free function: a stored job has no `self`\nhelp: take shared values with `#[state]`"
                .to_owned(),
        ),
        (
            "fn a() -> &str {}",
            "the result of a task outlives the call: it is stored, so it cannot borrow from the parameters\n\
             help: return an owned value: `String` for `&str`, `Vec<_>` for `&[_]`"
                .to_owned(),
        ),
        (
            "fn a() -> impl Sized {}",
            "the result of a task has one named type\nhelp: name it; for a future write `async fn`"
                .to_owned(),
        ),
        (
            "fn a() -> ! {}",
            "a task that never returns would hold its slot for ever\nhelp: return `()`".to_owned(),
        ),
        (
            "fn send() {}",
            "this task's params struct would be named `Send` and hide the standard `Send`\n\
             help: give it another name: params = SendJob"
                .to_owned(),
        ),
        (
            "fn _1() {}",
            "no type can be named after `_1`\nhelp: name the params struct: params = MyTask".to_owned(),
        ),
    ] {
        assert_eq!(complaints("\"a\"", item), [words], "{item}");
    }
    assert!(
        complaints("\"a\"", "fn a<'a>(x: &'a str) -> Result<(), &'static str> where 'a: 'a {}").is_empty()
    );
}

#[test]
fn complaints_about_parameters() {
    let generic = "help: write a generic helper, and one `#[task]` function for each type";
    let inside = "a parameter is read from a stored job, and only the whole of it can be borrowed\n\
                  help: own what is inside: `Vec<String>`, `Cow<'static, str>`"
        .to_owned();
    let named = "a parameter needs a name: it becomes a field of `A` and a key of the stored JSON\n\
                 help: name it here, and take it apart in the body"
        .to_owned();
    let build =
        "a parameter cannot depend on the build: one build could not read the jobs another build stored\n\
                 help: keep the parameter in every build, as an `Option`"
            .to_owned();
    let context = |named: &str| {
        format!(
            "the job's context belongs to the worker and is only lent\nhelp: take {named}; clone it to keep it"
        )
    };
    for (param, words) in [
        ("(x, y): (u8, u8)", named.clone()),
        ("_: u8", named.clone()),
        ("ref x: u8", named),
        ("x: Vec<&str>", inside.clone()),
        ("x: &[&str]", inside.clone()),
        ("x: Cow<'_, str>", inside.clone()),
        ("x: Option<Vec<&u8>>", inside),
        (
            "x: &mut u8",
            "a parameter is a value of its own for each attempt: nobody would see what is written through `&mut`\n\
             help: take it by value, with `mut` before its name"
                .to_owned(),
        ),
        (
            "x: &'static str",
            "a parameter is read from a stored job and lives no longer than the call, so it cannot be `'static`\n\
             help: remove `'static`"
                .to_owned(),
        ),
        (
            "x: impl Into<String>",
            format!(
                "a parameter has one concrete type: a stored job names the task, not its type arguments\n{generic}"
            ),
        ),
        (
            "x: Box<dyn Any>",
            "a stored value has one concrete type: `dyn` could not be read back\nhelp: name the type; for a shared \
             object write `#[state]` before it and take an `Arc<dyn ..>`"
                .to_owned(),
        ),
        (
            "x: fn(u8)",
            "a function cannot be stored\nhelp: store a value that says which one, and choose in the body".to_owned(),
        ),
        (
            "x: *const u8",
            "a pointer means nothing in another process\nhelp: store the value itself, or its id".to_owned(),
        ),
        ("x: u128", "JSON numbers do not hold `u128`\nhelp: take a `String`, and parse it in the body".to_owned()),
        (
            "x: Option<i128>",
            "JSON numbers do not hold `i128`\nhelp: take a `String`, and parse it in the body".to_owned(),
        ),
        ("#[cfg(unix)] x: u8", build.clone()),
        ("#[cfg_attr(unix, default)] x: u8", build),
        (
            "#[serde(default)] x: u8",
            "`#[serde]` is for the fields of a struct; a parameter has attributes of its own\n\
             help: use `#[default]`, `#[alias(\"old\")]` or `#[with(path)]`"
                .to_owned(),
        ),
        ("#[stat] x: &Db", "unknown attribute `stat`\nhelp: did you mean `#[state]`?".to_owned()),
        (
            "#[sensitive] x: u8",
            "unknown attribute `sensitive` on a parameter\nhelp: a parameter can have `#[state]`, `#[ctx]`, \
             `#[default]`, `#[alias]`, `#[with]`"
                .to_owned(),
        ),
        ("#[default = 5] x: u8", "a default stands in parentheses\nhelp: #[default(\"en\")]".to_owned()),
        ("#[alias] x: u8", "an alias is the key in jobs stored earlier\nhelp: #[alias(\"old_name\")]".to_owned()),
        (
            "#[with] x: u8",
            "`#[with]` names a module\nhelp: #[with(path)], where `path` has the functions `serialize` and \
             `deserialize`"
                .to_owned(),
        ),
        ("#[alias(\"y\")] x: u8, y: u8", "the key `y` is taken by another parameter".to_owned()),
        ("ctx: JobContext", context("`&JobContext`")),
        ("#[ctx] ctx: Context", context("a reference")),
        ("ctx: &mut JobContext", context("`&JobContext`")),
        (
            "#[ctx] #[state] ctx: &Context",
            "a parameter is either the job's context or shared state\nhelp: keep one of the two".to_owned(),
        ),
        (
            "#[state] #[default] x: &Db",
            "`#[default]` has no meaning for shared state, which is not stored\nhelp: remove it".to_owned(),
        ),
        (
            "#[state] x: &mut Db",
            "state is shared by every thread of the worker, so nobody can have it to himself\nhelp: take `&Mutex<..>`"
                .to_owned(),
        ),
        (
            "#[state] x: &dyn Db",
            "state is found by its type, and this one has no size of its own\n\
             help: register an `Arc<dyn ..>`, and take `Arc<dyn ..>` here"
                .to_owned(),
        ),
    ] {
        assert_eq!(complaints("\"a\"", &format!("fn a({param}) {{}}")), [words], "{param}");
    }
}

#[test]
fn every_mistake_is_named_in_one_pass() {
    let found = complaints(
        r#""a b", retry = 5, timout = "3s", colour = "red", timeout = "30", cron = "x""#,
        "fn a(_: u8, x: u128, #[stat] y: &str) -> &str {}",
    );
    assert_eq!(found.len(), 10, "{found:#?}");
}
