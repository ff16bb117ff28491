//! Tests without a compiler: expansions against golden files, every error message, and the size of an
//! expansion.
//!
//! Depends on the entry point `expand_task` only. What rustc reports about an expansion is tested in the
//! tests crate.
//!
//! `UPDATE_GOLDEN=1 cargo test -p qdjobs-macros` rewrites the golden files. Review the difference before you
//! commit it.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

use crate::expand_task;

/// The expansion, formatted.
fn expansion(attr: &str, item: &str) -> String {
    let tokens = expand_task(attr.parse().unwrap(), item.parse().unwrap());
    prettyplease::unparse(&syn::parse2(tokens).unwrap())
}

/// The message of every `compile_error!` in the expansion.
fn errors(attr: &str, item: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect_errors(expand_task(attr.parse().unwrap(), item.parse().unwrap()), &mut found);
    found
}

fn collect_errors(tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "compile_error" => {
                let TokenTree::Group(group) = &tokens[at + 2] else {
                    panic!("compile_error! without braces")
                };
                found.push(syn::parse2::<syn::LitStr>(group.stream()).unwrap().value());
            }
            TokenTree::Group(group) => collect_errors(group.stream(), found),
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
        "{} differs; the first different line: {differs:?}\nUPDATE_GOLDEN=1 rewrites it",
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
             copy: Option<&Path>, words: Option<&[String]>, home: Option<&Address>
         ) -> Result<(), io::Error> { body() }",
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
        "fn sync_all(ctx: &JobContext, #[ctx] twin: &Context, #[state] db: &Db, #[state] pool: Arc<Pool>,
             n: u8) {}",
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
fn error_fallback_keeps_the_function_and_a_stub_if_a_parameter_cannot_be_stored() {
    golden(
        "error_fallback_keeps_the_function_and_a_stub_if_a_parameter_cannot_be_stored",
        r#""move""#,
        "fn move_to(#[state] map: &Map, (x, y): (u8, u8), to: &str) -> Result<u8, Error> { body(x, y) }",
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

/// The tokens of the expansion at the place of `span`.
fn tokens_at(tokens: TokenStream, span: &std::ops::Range<usize>, found: &mut Vec<String>) {
    for token in tokens {
        if token.span().byte_range() == *span {
            found.push(token.to_string());
        } else if let TokenTree::Group(group) = token {
            tokens_at(group.stream(), span, found);
        }
    }
}

#[test]
fn an_editor_finds_only_the_guard_and_no_attribute_at_the_name_of_the_task() {
    let attr: TokenStream = r#""send_email""#.parse().unwrap();
    let name = attr.clone().into_iter().next().unwrap().span().byte_range();
    let mut found = Vec::new();
    tokens_at(expand_task(attr, "fn send_email() {}".parse().unwrap()), &name, &mut found);
    found.retain(|token| token.chars().any(char::is_alphabetic));
    assert_eq!(found, ["\"send_email\"", "macro_rules", "task_named_send_email"]);
}

#[test]
fn the_params_struct_has_no_methods_but_new_and_enqueue() {
    let item = "fn send_email(to: &str, #[default(1)] n: u8, #[default(lang())] lang: &str) {}";
    let file: syn::File = syn::parse2(expand_task(r#""a""#.parse().unwrap(), item.parse().unwrap())).unwrap();
    let text = prettyplease::unparse(&file);
    let (_, methods) = text.split_once("impl SendEmail {").unwrap();
    let (methods, _) = methods.split_once("\n}\n").unwrap();
    let names: Vec<&str> =
        methods.split("fn ").skip(1).map(|rest| rest.split(['(', '<']).next().unwrap()).collect();
    assert_eq!(names, ["new", "enqueue"], "{methods}");
}

#[test]
fn generated_code_names_the_runtime_only_through_its_private_module() {
    fn check(tokens: TokenStream, found: &mut usize) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(word) if word == "qdjobs" => {
                    *found += 1;
                    let next = tokens.get(at + 3).map(TokenTree::to_string);
                    assert_eq!(next.as_deref(), Some("__private"), "after {:?}", &tokens[..=at]);
                }
                TokenTree::Group(group) => check(group.stream(), found),
                _ => {}
            }
        }
    }
    let attr = r#""a", queue = "b", timeout = "1s", backoff = fixed("1s"), aliases("c")"#;
    for item in [
        "fn a(x: &str, #[default(1)] y: u8, #[with(m)] z: u8, ctx: &JobContext, #[state] s: &S) -> u8 {}",
        "async fn a(x: Option<&[u8]>, #[state] s: Arc<S>) -> Result<(), E> {}",
    ] {
        let mut found = 0;
        check(expand_task(attr.parse().unwrap(), item.parse().unwrap()), &mut found);
        assert!(found > 0, "{item}");
    }
}

/// One error: what is annotated, the message, and the text after `help: `, if any.
type Case<'a> = (&'a str, &'a str, &'a str);

fn message((_, message, help): Case<'_>) -> String {
    if help.is_empty() { message.to_owned() } else { format!("{message}\nhelp: {help}") }
}

const NAME_HELP: &str =
    "use 1 to 100 of the characters A-Z a-z 0-9 _ . : / - and begin with a letter or a digit";

#[test]
fn errors_about_names() {
    let f = "fn send_email() {}";
    let missing =
        "the first argument of `task` must be the task's name, as a string literal: stored jobs refer to it";
    let task = "#[task(\"send_email\")]";
    let long = format!("\"{}\"", "x".repeat(101));
    for case in [
        ("", missing, task),
        ("queue = \"mail\"", missing, task),
        ("NAME", missing, task),
        ("5", "the task's name must be a string literal", task),
        ("name = \"send_email\"", "the first argument of `task` is the task's name, without a key", task),
        ("id = \"send_email\"", "the first argument of `task` is the task's name, without a key", task),
        ("send_email", missing, task),
        ("mail::send, retries = 5", missing, task),
        ("concat!(\"a\"), retries = 5", missing, task),
        ("\"a\"x", "the task's name must be a string literal without a suffix", task),
        ("\"a\", \"b\"", "a task has one name", "for an earlier name write aliases(\"b\")"),
        ("\"send email\"", "the name of a task must not contain ' '", NAME_HELP),
        ("\"grüße\"", "the name of a task must not contain 'ü'", NAME_HELP),
        ("\"\"", "the name of a task must not be empty", NAME_HELP),
        ("\".a\"", "the name of a task must begin with a letter or a digit", NAME_HELP),
        (&long, "the name of a task must have at most 100 characters; this one has 101", NAME_HELP),
        ("\"a\", aliases(\"b c\")", "the name of a task must not contain ' '", NAME_HELP),
        ("\"a\", aliases(\"a\")", "the name `a` is used more than once", "remove this alias"),
        ("\"a\", queue = \"b c\"", "the name of a queue must not contain ' '", NAME_HELP),
        ("\"a\", queue = 3", "the queue's name must be a string", "queue = \"mail\""),
    ] {
        assert_eq!(errors(case.0, f), [message(case)], "#[task({})]", case.0);
    }
    for good in ["a", "a.b", "a::b", "0/x-y_z"] {
        assert!(errors(&format!("\"{good}\""), f).is_empty(), "{good}");
    }
}

#[track_caller]
fn check_option(case: Case<'_>) {
    let attr = format!("\"a\", {}", case.0);
    assert_eq!(errors(&attr, "fn a(to: String) {}"), [message(case)], "{}", case.0);
}

#[test]
fn errors_about_the_keys_of_options() {
    let all = "the options are queue, priority, retries, backoff, timeout, aliases, params, crate";
    let retries = "retries = 5";
    let of_job = |method: &str| format!("set it when you enqueue the job: A::new(..).{method}(..)");
    for case in [
        ("retry = 5", "unknown option `retry`", "did you mean `retries`?"),
        ("max_retries = 5", "unknown option `max_retries`", "did you mean `retries`?"),
        ("timout = \"3s\"", "unknown option `timout`", "did you mean `timeout`?"),
        ("channel = \"x\"", "unknown option `channel`", "did you mean `queue`?"),
        ("colour = \"red\"", "unknown option `colour`", all),
        ("cron = \"* * * * *\"", "the option `cron` is not supported yet", "remove it"),
        ("unique(to)", "the option `unique` is not supported yet", "remove it"),
        ("concurrency = 4", "the option `concurrency` is not supported yet", "remove it"),
        (
            "schedule = \"* * * * *\"",
            "unknown option `schedule`",
            "the option for this is `cron`, which is not supported yet",
        ),
        (
            "uniqe(to)",
            "unknown option `uniqe`",
            "the option for this is `unique`, which is not supported yet",
        ),
        ("delay = \"5s\"", "the option `delay` belongs to one job, and not to its task", &of_job("delay")),
        ("run_at = 5", "the option `run_at` belongs to one job, and not to its task", &of_job("at")),
        (
            "state = Db",
            "`state` is an attribute of a parameter, and not an option of the task",
            "write `#[state]` before the parameter",
        ),
        ("retries", "the option `retries` needs a value", retries),
        ("retries =", "the option `retries` needs a value", retries),
        ("retries == 5", "the option `retries` has the wrong form", retries),
        ("aliases()", "the option `aliases` needs a name", "aliases(\"old_name\")"),
        ("aliases(old)", "an alias must be a string literal", "aliases(\"old_name\")"),
        ("crate = \"qdjobs\"", "expected the path of the crate qdjobs", "crate = path::to::qdjobs"),
        ("retries(5)", "the option `retries` has the wrong form", retries),
        ("aliases = \"x\"", "the option `aliases` has the wrong form", "aliases(\"old_name\")"),
        ("retries = 5, retries = 6", "the option `retries` is set more than once", "remove all but one"),
        ("5", "expected an option, such as `retries = 5`", ""),
    ] {
        check_option(case);
    }
    let missing = errors("\"a\" retries = 5, queue = \"b\"", "fn a() {}");
    assert_eq!(missing, ["expected `,` between two options\nhelp: add a comma before `retries`"]);
}

#[test]
fn errors_about_the_values_of_options() {
    let exponential = "backoff = exponential(\"1s\", factor = 2, max = \"1h\")";
    let did_you_mean = format!("did you mean `exponential`? {exponential}");
    let zero = "the first wait of `exponential` is zero, and zero does not grow";
    for case in [
        ("queue = mail", "the queue's name must be a string", "queue = \"mail\""),
        ("queue = mail-slow", "the queue's name must be a string", "queue = \"mail-slow\""),
        ("queue = [\"a\"]", "a task has one queue", "queue = \"mail\""),
        ("timeout = thirty", "a duration must be a string", "timeout = \"30s\""),
        ("backoff = fixed", "`fixed` needs the wait", "backoff = fixed(\"5s\")"),
        ("backoff = exponential", "`exponential` needs the first wait", exponential),
        ("backoff = exponental(\"1s\")", "unknown backoff `exponental`", &did_you_mean),
        ("backoff = exponential(\"0s\")", zero, exponential),
        (
            "backoff = exponential(\"1s\", factor = 2, factor = 3)",
            "`factor` is set more than once",
            "remove all but one",
        ),
        ("retries = many", "`retries` must be an integer", "retries = 5"),
        ("retries = \"5\"", "`retries` must be an integer", "retries = 5"),
        ("retries = -1", "`retries` must be between 0 and 4294967295", "retries = 5"),
        ("priority = 3000000000", "`priority` must be between -2147483648 and 2147483647", "priority = 5"),
        ("timeout = 30", "invalid duration: `30` has no unit", "write \"30s\", \"30m\" or \"30h\""),
        ("timeout = 30s", "a duration must be a string", "write \"30s\""),
        (
            "timeout = \"0s\"",
            "a timeout of zero would end every attempt immediately",
            "for no timeout, remove the option",
        ),
        (
            "backoff = \"5s\"",
            "`backoff` must be `fixed(..)`, `exponential(..)`, a `Backoff`, or a function",
            &format!("backoff = fixed(\"5s\"), or {exponential}"),
        ),
        ("backoff = fixed()", "`fixed` takes one duration", "backoff = fixed(\"5s\")"),
        ("backoff = exponential()", "`exponential` needs the first wait", exponential),
        (
            "backoff = exponential(\"1s\", 2)",
            "`exponential` takes the first wait, `factor` and `max`",
            exponential,
        ),
        (
            "backoff = exponential(\"1s\", factor = 0)",
            "`factor` must be a number of at least 1",
            "factor = 2",
        ),
        (
            "backoff = exponential(\"1m\", max = \"1s\")",
            "the longest wait of `exponential` is shorter than its first wait",
            &format!("{exponential}; the default of `max` is one hour"),
        ),
        ("params = \"X\"", "expected the name of the params struct, without a path", "params = SendMail"),
    ] {
        check_option(case);
    }
}

const GENERIC_HELP: &str = "write a generic helper function, and one `#[task]` function for each type";

#[test]
fn errors_about_the_function() {
    let on_function = "`#[task]` can only be applied to a function";
    let task = "#[task(\"send_email\")] fn send_email() { .. }";
    let reference =
        "the result of a task cannot be a reference: a caller that waits for it reads a value of its own";
    let owned = "return an owned value: `String` for `&str`, `Vec<_>` for `&[_]`";
    let generic = "a task cannot be generic: a stored job names the task, not its type arguments";
    for case in [
        ("struct A;", on_function, task),
        ("mod a {}", on_function, task),
        ("pub const A: u8 = 1;", on_function, task),
        ("fn a();", "a task must have a body", "add the code of the job in `{ .. }`"),
        ("const fn a() {}", "a task cannot be `const`: a worker calls it at run time", "remove `const`"),
        (
            "unsafe fn a() {}",
            "a task cannot be `unsafe`: the worker cannot uphold its safety requirements",
            "write a safe task that calls the unsafe function",
        ),
        (
            "extern \"C\" fn a() {}",
            "a task cannot have an ABI: the worker calls it as a Rust function",
            "remove `extern`",
        ),
        ("fn a<T>() {}", generic, GENERIC_HELP),
        ("fn a<const N: usize>() {}", generic, GENERIC_HELP),
        (
            "fn a(&self) {}",
            "a task must be a free function: a stored job has no `self`",
            "pass shared values with `#[state]`",
        ),
        (
            "fn a() -> &str {}",
            "the result of a task cannot borrow from its parameters: it is stored after the call",
            "return an owned value: `String` for `&str`, `Vec<_>` for `&[_]`",
        ),
        (
            "fn a() -> impl Sized {}",
            "the result of a task cannot be `impl Trait`: it must have a named type",
            "write the type; for a future use `async fn`",
        ),
        ("fn a() -> Result<&'static str, E> {}", reference, owned),
        ("fn a() -> Vec<&'static str> {}", reference, owned),
        (
            "fn a() -> str {}",
            "a task cannot return `str`, whose size is not known",
            "return the owned type, `String`",
        ),
        (
            "fn a() -> TaskError {}",
            "a task cannot return a `TaskError` alone: it does not say when the task has succeeded",
            "return `Result<(), TaskError>`, or `Result<T, TaskError>` for a task with a result",
        ),
        (
            "fn a() -> Box<dyn Error> {}",
            "the result of a task cannot be `dyn`: it is read back as one concrete type",
            "for an error return `Result<(), Box<dyn Error>>`",
        ),
        (
            "fn a() -> Pin<Box<dyn Future<Output = u8>>> {}",
            "the result of a task cannot be a `dyn` future: a worker does not poll it",
            "write `async fn`, and return what the future returns",
        ),
        (
            "#[task(\"b\")] fn a() {}",
            "a function has `#[task]` more than once",
            "remove one; an earlier name of the task is an option of the other: aliases(\"old_name\")",
        ),
        (
            "fn a() -> ! {}",
            "a task cannot return `!`: it would occupy a slot of its worker forever",
            "return `()`",
        ),
        (
            "fn send() {}",
            "the params struct would be named `Send` and shadow the `Send` of the prelude",
            "choose another name: params = SendJob",
        ),
        (
            "fn Cleanup(ctx: &JobContext) {}",
            "the params struct of a task without parameters is also a value, so it cannot be named `Cleanup` like the \
             function",
            "name the function in lower case, or set the name of the struct: params = CleanupJob",
        ),
        (
            "fn a() -> Option<Result<u8, String>> {}",
            "`Option<Result<u8, String>>` hides a `Result`, so its error would be stored as a success",
            "return `Result<Option<u8>, String>`",
        ),
        (
            "fn _1() {}",
            "cannot make a struct name from `_1`",
            "set the name of the params struct: params = MyTask",
        ),
    ] {
        assert_eq!(errors("\"a\"", case.0), [message(case)], "{}", case.0);
    }
    for right in [
        "fn a() -> Result<(), Box<dyn Error>> {}",
        "fn a() -> Option<Arc<str>> {}",
        "fn a() -> Vec<Result<u8, String>> {}",
        "fn a(prices: HashMap<Range, u8>) {}",
        "fn a(table: &[Cell], path: self::Path, #[with(lock)] lock: Mutex<u8>, #[state] m: &Mutex<u8>) {}",
        "fn a(#[with(text)] x: u128, #[with(text)] y: HashMap<(u8, u8), [u8; 64]>) {}",
        "fn a(x: HashMap<u128, u8>, #[state] f: Arc<dyn Fn(&str) -> u8>) -> [u8; 32] {}",
    ] {
        assert!(errors("\"a\"", right).is_empty(), "{right}");
    }
    assert!(errors("\"a\"", "fn a<'a>(x: &'a str) -> Result<(), &'static str> where 'a: 'a {}").is_empty());
}

#[track_caller]
fn check_param(case: Case<'_>) {
    assert_eq!(errors("\"a\"", &format!("fn a({}) {{}}", case.0)), [message(case)], "{}", case.0);
}

#[test]
fn errors_about_the_types_of_parameters() {
    let part = "a part of a parameter cannot be a reference: parameters are decoded from the stored job";
    let part_help = "use owned types for the parts, such as `Vec<String>` or `Cow<'static, str>`";
    let name = "a parameter must be a plain name: it is a field of `A` and a key of the JSON";
    let name_help = "give the parameter a name, and destructure it in the body";
    let parse = "take a `String`, and parse it in the body";
    for case in [
        ("(x, y): (u8, u8)", name, name_help),
        ("_: u8", name, name_help),
        ("ref x: u8", name, name_help),
        ("x: Vec<&str>", part, part_help),
        ("x: &[&str]", part, part_help),
        ("x: Cow<'_, str>", part, part_help),
        ("x: Option<Vec<&u8>>", part, part_help),
        (
            "x: &mut u8",
            "a parameter cannot be `&mut`: each attempt decodes its own value, so changes would be lost",
            "take it by value, with `mut` before its name",
        ),
        (
            "x: &'static str",
            "a parameter cannot be `'static`: it is decoded from the stored job and dropped after the call",
            "remove `'static`",
        ),
        (
            "x: impl Into<String>",
            "a parameter must have a concrete type: a stored job names the task, not its type arguments",
            GENERIC_HELP,
        ),
        (
            "x: Box<dyn Any>",
            "a parameter cannot be `dyn`: a stored value is decoded as one concrete type",
            "use a concrete type; for a shared object use `#[state]` and `Arc<dyn ..>`",
        ),
        (
            "x: fn(u8)",
            "a function cannot be stored",
            "store a value that identifies the function, and select it in the body",
        ),
        (
            "x: *const u8",
            "a pointer cannot be stored: it is not valid in another process",
            "store the value itself, or its id",
        ),
        (
            "x: str",
            "a parameter cannot be `str`, whose size is not known",
            "take `&str`, or the owned type, `String`",
        ),
        ("x: Option<[u8]>", "a parameter cannot be `[u8]`, whose size is not known", "take `Option<&[u8]>`"),
        (
            "x: Vec<str>",
            "a parameter cannot be `str`, whose size is not known",
            "use the owned type, `String`",
        ),
        (
            "x: &&str",
            "a parameter cannot be a reference to a reference: the stored value is passed as one reference",
            "write one `&`",
        ),
        (
            "x: Rc<str>",
            "a parameter cannot be an `Rc`: a job can be made and enqueued on different threads",
            "use `Arc`, or the value itself",
        ),
        (
            "x: Arc<Mutex<u8>>",
            "a parameter cannot be `Mutex`: each attempt decodes its own value, so changes would be lost",
            "for a value that all jobs of the worker share, mark it with `#[state]`; else take the value itself",
        ),
        (
            "x: Cow<str>",
            "a `Cow` in a parameter must be `'static`: it is decoded from the stored job",
            "write `Cow<'static, str>`",
        ),
        (
            "x: Path",
            "a parameter cannot be `Path`, whose size is not known",
            "take `&Path`, or the owned type, `PathBuf`; for a type of your own write `self::Path`",
        ),
        (
            "x: Vec<[u8; 64]>",
            "an array of more than 32 items cannot be a part of a parameter, since serde does not write it",
            "use `Vec<u8>`",
        ),
        (
            "queue: &JobQueue",
            "a queue cannot be stored with a job",
            "take `ctx: &JobContext`, and call `ctx.queue()`; another queue is state: mark it with `#[state]`",
        ),
        ("#[default(en)] x: &str", "the default of a text must be a string", "#[default(\"en\")]"),
        (
            "x: &BTreeMap<(u8, u8), u8>",
            "the key of a stored map must be a text or a number: it is a key of a JSON object",
            "use a `Vec` of pairs, or `#[with(path)]`",
        ),
        (
            "x: HashMap<u8, u128>",
            "a parameter cannot be `u128`: a stored JSON number has at most 64 bits",
            parse,
        ),
        ("x: u128", "a parameter cannot be `u128`: a stored JSON number has at most 64 bits", parse),
        ("x: Option<i128>", "a parameter cannot be `i128`: a stored JSON number has at most 64 bits", parse),
    ] {
        check_param(case);
    }
}

#[test]
fn errors_about_the_attributes_of_parameters() {
    let cfg = "a parameter cannot depend on `cfg`: another build could not decode the stored job";
    let cfg_help = "keep the parameter in every build, as an `Option`";
    for case in [
        ("#[cfg(unix)] x: u8", cfg, cfg_help),
        ("#[cfg_attr(unix, default)] x: u8", cfg, cfg_help),
        (
            "#[serde(default)] x: u8",
            "`#[serde]` is not supported on a parameter",
            "use `#[default]`, `#[alias(\"old\")]` or `#[with(path)]`",
        ),
        ("#[stat] x: &Db", "unknown attribute `stat`", "did you mean `#[state]`?"),
        (
            "#[sensitive] x: u8",
            "unknown attribute `sensitive` on a parameter",
            "a parameter can have `#[state]`, `#[ctx]`, `#[default]`, `#[alias]`, `#[with]`",
        ),
        (
            "#[default(value = 5)] x: u8",
            "`#[default(..)]` takes one expression, without a name",
            "#[default(5)]",
        ),
        ("#[default = 5] x: u8", "the value of `#[default]` must be in parentheses", "#[default(\"en\")]"),
        (
            "#[alias] x: u8",
            "`#[alias]` needs an earlier name of the parameter, as a string literal",
            "#[alias(\"old_name\")]",
        ),
        (
            "#[with] x: u8",
            "`#[with]` needs the path of a module",
            "#[with(path)], where `path` has the functions `serialize` and `deserialize`",
        ),
        (
            "#[default] #[default(1)] x: u8",
            "the attribute `#[default]` is set more than once",
            "remove all but one",
        ),
        ("#[state] #[state] x: &u8", "the attribute `#[state]` is set more than once", "remove all but one"),
        ("#[state(x)] x: &u8", "`#[state]` has no value", "write `#[state]`"),
        ("#[alias(\"\")] x: u8", "an earlier name cannot be empty", "#[alias(\"old_name\")]"),
        (
            "#[default(1, 2)] x: u8",
            "`#[default(..)]` takes one expression",
            "#[default(\"en\")], or #[default] for the default of the type",
        ),
        ("#[alias(\"y\")] x: u8, y: u8", "the JSON key `y` is used more than once", "remove this alias"),
    ] {
        check_param(case);
    }
}

#[test]
fn errors_about_the_context_and_state() {
    let context = "the job's context must be a shared reference: it belongs to the worker";
    for case in [
        ("ctx: JobContext", context, "take `&JobContext`; clone it to keep it"),
        ("#[ctx] ctx: Context", context, "take a reference; clone it to keep it"),
        ("ctx: &mut JobContext", context, "take `&JobContext`; clone it to keep it"),
        (
            "#[ctx] #[state] ctx: &Context",
            "a parameter cannot be both the job's context and shared state",
            "remove `#[ctx]` or `#[state]`",
        ),
        (
            "#[state] #[default] x: &Db",
            "`#[default]` cannot be used on shared state, which is not stored",
            "remove it",
        ),
        (
            "#[state] x: &mut Db",
            "state cannot be `&mut`: all threads of the worker share it",
            "take `&Mutex<..>`",
        ),
        (
            "#[state] x: Option<&Db>",
            "state cannot contain a reference: the worker owns it, and looks it up by its type",
            "take `&Db`; a worker that lacks the state does not start, so it need not be optional",
        ),
        (
            "#[state] x: &str",
            "state cannot be `str`: it is looked up by its type, which must be `Sized`",
            "register the owned type, and take `&String` here",
        ),
        (
            "#[state] x: &Db<'_>",
            "state cannot have a lifetime: the worker owns it, and looks it up by its type",
            "use a type that owns its data, or `'static`",
        ),
        (
            "#[state] x: &'static Db",
            "state is borrowed from the worker for one attempt",
            "remove `'static`; to keep the value, take an `Arc<..>`",
        ),
        (
            "#[state] ctx: &JobContext",
            "the job's context is not shared state: each attempt has its own",
            "remove `#[state]`",
        ),
        ("ctx: Option<&JobContext>", context, "take `&JobContext`; clone it to keep it"),
        (
            "#[state] x: &dyn Db",
            "state cannot be a `dyn` type: it is looked up by its type, which must be `Sized`",
            "register an `Arc<dyn ..>`, and take `Arc<dyn ..>` here",
        ),
    ] {
        check_param(case);
    }
}

#[test]
fn all_errors_are_reported_together() {
    let found = errors(
        r#""a b", retry = 5, timout = "3s", colour = "red", timeout = "30", cron = "x""#,
        "fn a(_: u8, x: u128, #[stat] y: &str) -> &str {}",
    );
    assert_eq!(found.len(), 10, "{found:#?}");
}
