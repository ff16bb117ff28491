//! The options of the attribute: their keys and their values.

//# misspelt
#[task("send", timout = "3s")]
//             ^^^^^^ `timeout`
fn send_it() {}

//# misspelt_list
#[task("send", alias("old"))]
//             ^^^^^ `aliases`
fn send_it() {}

//# other_frameworks_retry
#[task("send", max_retries = 5)]
//             ^^^^^^^^^^^ `retries`
fn send_it() {}

//# other_frameworks_attempts
#[task("send", max_attempts = 5)]
//             ^^^^^^^^^^^^ `retries`
fn send_it() {}

//# retry_policy
#[task("send", retry(times = 5))]
//             ^^^^^ `retries`
fn send_it() {}

//# case
#[task("send", Queue = "mail")]
//             ^^^^^ `queue`
fn send_it() {}

//# unknown
#[task("send", colour = "red")]
//             ^^^^^^ the options are queue
fn send_it() {}

//# delay_is_of_a_job
#[task("send", delay = "5s")]
//             ^^^^^ SendIt::new(..).delay(..)
fn send_it() {}

//# opt_is_unknown
#[task("send", opt = delay)]
//             ^^^ the options are
fn send_it() {}

//# at_is_of_a_job
#[task("send", at = "tomorrow")]
//             ^^ SendIt::new(..).at(..)
fn send_it() {}

//# run_at_is_of_a_job
#[task("send", run_at = "tomorrow")]
//             ^^^^^^ .at(..)
fn send_it() {}

//# idempotency_key_is_of_a_job
#[task("send", idempotency_key = "a")]
//             ^^^^^^^^^^^^^^^ .idempotency_key(..)
fn send_it() {}

//# metadata_is_of_a_job
#[task("send", metadata = "a")]
//             ^^^^^^^^ .metadata(..)
fn send_it() {}

//# display_name_is_of_a_job
#[task("send", display_name = "a")]
//             ^^^^^^^^^^^^ .display_name(..)
fn send_it() {}

//# state_in_the_attribute
#[task("send", state = Db)]
//             ^^^^^ #[state]
fn send_it() {}

//# default_in_the_attribute
#[task("send", default(n = 5))]
//             ^^^^^^^ #[default]
fn send_it(n: u8) {
    let _ = n;
}

//# cron
#[task("send", cron = "0 3 * * *")]
//             ^^^^ not supported yet
fn send_it() {}

//# schedule
#[task("send", schedule = "0 3 * * *")]
//             ^^^^^^^^ not supported yet
fn send_it() {}

//# concurrency
#[task("send", concurrency = 4)]
//             ^^^^^^^^^^^ not supported yet
fn send_it() {}

//# unique
#[task("send", unique(to))]
//             ^^^^^^ not supported yet
fn send_it(to: &str) {
    let _ = to;
}

//# twice
#[task("send", retries = 5, retries = 6)]
//                          ^^^^^^^ more than once | remove
fn send_it() {}

//# aliases_twice
#[task("send", aliases("a"), aliases("b"))]
//                           ^^^^^^^ more than once
fn send_it() {}

//# without_a_value
#[task("send", retries)]
//             ^^^^^^^ retries = 5
fn send_it() {}

//# value_missing_after_the_sign
#[task("send", retries =)]
//             ^^^^^^^ retries = 5
fn send_it() {}

//# value_missing_before_a_comma
#[task("send", queue = , retries = 5)]
//             ^^^^^ queue = "mail"
fn send_it() {}

//# colon_instead_of_a_sign
#[task("send", retries: 5)]
//             ^^^^^^^ retries = 5
fn send_it() {}

//# two_signs
#[task("send", retries == 5)]
//             ^^^^^^^ retries = 5
fn send_it() {}

//# parentheses_instead_of_a_sign
#[task("send", queue("mail"))]
//             ^^^^^ queue = "mail"
fn send_it() {}

//# sign_instead_of_parentheses
#[task("send", aliases = "old")]
//             ^^^^^^^ aliases("old_name")
fn send_it() {}

//# brackets_instead_of_parentheses
#[task("send", aliases = ["old"])]
//             ^^^^^^^ aliases("old_name")
fn send_it() {}

//# no_comma
#[task("send" queue = "mail")]
//            ^^^^^ `,`
fn send_it() {}

//# no_comma_between_options
#[task("send", retries = 5 queue = "mail")]
//                         ^^^^^ `,`
fn send_it() {}

//# semicolon
#[task("send"; queue = "mail")]
//           ^ `,`
fn send_it() {}

//# two_commas
#[task("send",, queue = "mail")]
//            ^ expected an option
fn send_it() {}

//# a_number_as_an_option
#[task("send", 5)]
//             ^ expected an option
fn send_it() {}

//# a_closure_as_an_option
#[task("send", |x| x)]
//             ^ expected an option
fn send_it() {}

//# queue_is_an_identifier
#[task("send", queue = mail)]
//                     ^^^^ queue = "mail"
fn send_it() {}

//# queue_is_an_identifier_that_is_a_function
#[task("send", queue = main)]
//                     ^^^^ queue = "main"
fn send_it() {}

//# queue_has_a_dash
#[task("send", queue = mail-slow)]
//                     ^^^^ queue = "mail-slow"
fn send_it() {}

//# queue_has_a_dot
#[task("send", queue = mail.slow)]
//                     ^^^^ queue = "mail.slow"
fn send_it() {}

//# queue_is_a_path_of_words
#[task("send", queue = mail::slow)]
//                     ^^^^ queue = "mail::slow"
fn send_it() {}

//# queue_is_a_number
#[task("send", queue = 3)]
//                     ^ queue = "mail"
fn send_it() {}

//# queue_is_a_character
#[task("send", queue = 'm')]
//                     ^^^ queue = "mail"
fn send_it() {}

//# queue_is_bytes
#[task("send", queue = b"mail")]
//                     ^^^^^^^ queue = "mail"
fn send_it() {}

//# queue_is_a_list
#[task("send", queue = ["a", "b"])]
//                     ^ queue = "mail"
fn send_it() {}

//# queue_is_empty
#[task("send", queue = "")]
//                     ^^ empty
fn send_it() {}

//# queue_with_a_space
#[task("send", queue = "a b")]
//                     ^^^^^ ' '
fn send_it() {}

//# queue_begins_with_a_dash
#[task("send", queue = "-a")]
//                     ^^^^ begin with a letter
fn send_it() {}

//# queue_is_an_option
#[task("send", queue = Some("mail"))]
//                     ^^^^ queue = "mail"
fn send_it() {}

//# queue_is_a_string
#[task("send", queue = String::new())]
//                     ^^^^^^^^^^^^^ &str
fn send_it() {}

//# queue_constant_of_another_type
const QUEUE: u8 = 5;
#[task("send", queue = QUEUE)]
//                     ^^^^^ &str
fn send_it() {}

//# queue_constant_is_unknown
#[task("send", queue = QUEUE)]
//                     ^^^^^ cannot find value
fn send_it() {}

//# queue_constant_with_a_space
const QUEUE: &str = "a b";
#[task("send", queue = QUEUE)]
//                     ^^^^^ the name of a queue | A-Z
fn send_it() {}

//# queue_constant_is_empty
const QUEUE: &str = "";
#[task("send", queue = QUEUE)]
//                     ^^^^^ the name of a queue
fn send_it() {}

//# queue_constant_is_too_long
const QUEUE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
#[task("send", queue = QUEUE)]
//                     ^^^^^ the name of a queue
fn send_it() {}

//# queue_constant_with_an_umlaut
mod names {
    pub const QUEUE: &str = "über";
}
#[task("send", queue = names::QUEUE)]
//                     ^^^^^ the name of a queue
fn send_it() {}

//# queue_of_concat
#[task("send", queue = concat!("a", " ", "b"))]
//                     ^^^^^^ the name of a queue
fn send_it() {}

//# priority_is_a_text
#[task("send", priority = "high")]
//                        ^^^^^^ priority = 5
fn send_it() {}

//# priority_is_an_identifier
#[task("send", priority = high)]
//                        ^^^^ priority = 5
fn send_it() {}

//# priority_is_a_float
#[task("send", priority = 1.5)]
//                        ^^^ integer
fn send_it() {}

//# priority_too_large
#[task("send", priority = 3000000000)]
//                        ^^^^^^^^^^ between
fn send_it() {}

//# priority_of_another_type
#[task("send", priority = 5u64)]
//                        ^^^^ i32
fn send_it() {}

//# priority_constant_of_another_type
const URGENT: i64 = 5;
#[task("send", priority = URGENT)]
//                        ^^^^^^ i32
fn send_it() {}

//# retries_is_a_text
#[task("send", retries = "5")]
//                       ^^^ retries = 5
fn send_it() {}

//# retries_is_negative
#[task("send", retries = -1)]
//                       ^^ between 0
fn send_it() {}

//# retries_is_a_boolean
#[task("send", retries = true)]
//                       ^^^^ retries = 5
fn send_it() {}

//# retries_is_an_identifier
#[task("send", retries = unlimited)]
//                       ^^^^^^^^^ retries = 5
fn send_it() {}

//# retries_is_none
#[task("send", retries = None)]
//                       ^^^^ u32
fn send_it() {}

//# retries_constant_of_another_type
const TRIES: usize = 5;
#[task("send", retries = TRIES)]
//                       ^^^^^ u32
fn send_it() {}

//# retries_is_not_constant
fn tries() -> u32 {
    5
}
#[task("send", retries = tries())]
//                       ^^^^^^^ constant
fn send_it() {}

//# timeout_without_a_unit
#[task("send", timeout = 30)]
//                       ^^ "30s"
fn send_it() {}

//# timeout_text_without_a_unit
#[task("send", timeout = "30")]
//                       ^^^^ "30s"
fn send_it() {}

//# timeout_without_quotes
#[task("send", timeout = 30s)]
//                       ^^^ "30s"
fn send_it() {}

//# timeout_without_quotes_in_minutes
#[task("send", timeout = 1h30m)]
//                       ^^^^^ "1h30m"
fn send_it() {}

//# timeout_is_a_float
#[task("send", timeout = 1.5)]
//                       ^^^ a duration must be a string
fn send_it() {}

//# timeout_is_a_fraction
#[task("send", timeout = "1.5h")]
//                       ^^^^^^ not an integer
fn send_it() {}

//# timeout_is_empty
#[task("send", timeout = "")]
//                       ^^ "30s"
fn send_it() {}

//# timeout_is_zero
#[task("send", timeout = "0s")]
//                       ^^^^ remove the option
fn send_it() {}

//# timeout_is_negative
#[task("send", timeout = "-5s")]
//                       ^^^^^ begin with a number
fn send_it() {}

//# timeout_in_words
#[task("send", timeout = "5 minutes")]
//                       ^^^^^^^^^^^ "5m"
fn send_it() {}

//# timeout_in_secs
#[task("send", timeout = "5secs")]
//                       ^^^^^^^ "5s"
fn send_it() {}

//# timeout_in_capital_letters
#[task("send", timeout = "5S")]
//                       ^^^^ "5s"
fn send_it() {}

//# timeout_with_a_space_between
#[task("send", timeout = "1h 30m")]
//                       ^^^^^^^^ "1h30m"
fn send_it() {}

//# timeout_with_a_space_before_the_unit
#[task("send", timeout = "30 s")]
//                       ^^^^^^ "30s"
fn send_it() {}

//# timeout_with_spaces_around
#[task("send", timeout = " 30s ")]
//                       ^^^^^^^ "30s"
fn send_it() {}

//# timeout_with_a_unit_twice
#[task("send", timeout = "1m1m")]
//                       ^^^^^^ more than once
fn send_it() {}

//# timeout_with_units_in_the_wrong_order
#[task("send", timeout = "30m1h")]
//                       ^^^^^^^ "1h30m"
fn send_it() {}

//# timeout_with_a_comma
#[task("send", timeout = "1h,30m")]
//                       ^^^^^^^^ "1h30m"
fn send_it() {}

//# timeout_as_a_clock
#[task("send", timeout = "00:30")]
//                       ^^^^^^^ unit
fn send_it() {}

//# timeout_iso
#[task("send", timeout = "PT30S")]
//                       ^^^^^^^ begin with a number
fn send_it() {}

//# timeout_overflows
#[task("send", timeout = "99999999999999999999d")]
//                       ^^^^^^^^^^^^^^^^^^^^^^^ too long
fn send_it() {}

//# timeout_is_an_identifier
#[task("send", timeout = thirty)]
//                       ^^^^^^ timeout = "30s"
fn send_it() {}

//# timeout_is_a_boolean
#[task("send", timeout = false)]
//                       ^^^^^ timeout
fn send_it() {}

//# timeout_is_an_option
#[task("send", timeout = None)]
//                       ^^^^ Duration
fn send_it() {}

//# timeout_constant_of_zero
const LIMIT: std::time::Duration = std::time::Duration::ZERO;
#[task("send", timeout = LIMIT)]
//                       ^^^^^ zero
fn send_it() {}

//# timeout_expression_of_zero
#[task("send", timeout = std::time::Duration::from_secs(0))]
//                       ^^^ zero
fn send_it() {}

//# timeout_is_a_number_constant
const LIMIT: u64 = 30;
#[task("send", timeout = LIMIT)]
//                       ^^^^^ Duration
fn send_it() {}

//# timeout_is_a_text_constant
const LIMIT: &str = "30s";
#[task("send", timeout = LIMIT)]
//                       ^^^^^ Duration
fn send_it() {}

//# backoff_is_a_text
#[task("send", backoff = "5s")]
//                       ^^^^ fixed("5s")
fn send_it() {}

//# backoff_is_a_number
#[task("send", backoff = 5)]
//                       ^ fixed("5s")
fn send_it() {}

//# backoff_is_a_word
#[task("send", backoff = exponential)]
//                       ^^^^^^^^^^^ exponential("1s"
fn send_it() {}

//# backoff_fixed_is_a_word
#[task("send", backoff = fixed)]
//                       ^^^^^ fixed("5s")
fn send_it() {}

//# backoff_linear
#[task("send", backoff = linear("5s"))]
//                       ^^^^^^ exponential("1s"
fn send_it() {}

//# backoff_misspelt
#[task("send", backoff = exponental("5s"))]
//                       ^^^^^^^^^^ `exponential`
fn send_it() {}

//# backoff_fixed_without_a_wait
#[task("send", backoff = fixed())]
//                       ^^^^^^^ fixed("5s")
fn send_it() {}

//# backoff_fixed_with_two_waits
#[task("send", backoff = fixed("5s", "6s"))]
//                       ^^^^^^^^^^^^^^^^^ fixed("5s")
fn send_it() {}

//# backoff_fixed_without_a_unit
#[task("send", backoff = fixed(5))]
//                             ^ "5s"
fn send_it() {}

//# backoff_exponential_without_a_wait
#[task("send", backoff = exponential())]
//                       ^^^^^^^^^^^^^ exponential("1s"
fn send_it() {}

//# backoff_exponential_with_a_positional_factor
#[task("send", backoff = exponential("1s", 2))]
//                                         ^ factor = 2
fn send_it() {}

//# backoff_exponential_misspelt_key
#[task("send", backoff = exponential("1s", faktor = 2))]
//                                         ^^^^^^ `factor`
fn send_it() {}

//# backoff_exponential_key_twice
#[task("send", backoff = exponential("1s", factor = 2, factor = 3))]
//                                                     ^^^^^^ more than once
fn send_it() {}

//# backoff_factor_below_one
#[task("send", backoff = exponential("1s", factor = 0.5))]
//                                                  ^^^ at least 1
fn send_it() {}

//# backoff_factor_is_negative
#[task("send", backoff = exponential("1s", factor = -2))]
//                                                  ^^ at least 1
fn send_it() {}

//# backoff_factor_is_a_text
#[task("send", backoff = exponential("1s", factor = "2"))]
//                                                  ^^^ factor = 2
fn send_it() {}

//# backoff_factor_constant_below_one
const FACTOR: f64 = 0.5;
#[task("send", backoff = exponential("1s", factor = FACTOR))]
//                                                  ^^^^^^ at least 1
fn send_it() {}

//# backoff_max_below_the_first
#[task("send", backoff = exponential("1m", max = "1s"))]
//                                               ^^^^ shorter
fn send_it() {}

//# backoff_max_without_a_unit
#[task("send", backoff = exponential("1m", max = 5))]
//                                               ^ "5s"
fn send_it() {}

//# backoff_first_is_zero
#[task("send", backoff = exponential("0s"))]
//                                   ^^^^ zero
fn send_it() {}

//# backoff_constant_of_another_type
const SLOW: std::time::Duration = std::time::Duration::from_secs(5);
#[task("send", backoff = SLOW)]
//                       ^^^^ Backoff
fn send_it() {}

//# backoff_constant_with_a_factor_below_one
use qdjobs::Backoff;
use std::time::Duration;
const SLOW: Backoff = Backoff::exponential(Duration::from_secs(1), 0.5, Duration::from_secs(9));
#[task("send", backoff = SLOW)]
//                       ^^^^ at least 1
fn send_it() {}

//# backoff_constant_with_a_max_below_the_first
use qdjobs::Backoff;
use std::time::Duration;
const SLOW: Backoff = Backoff::exponential(Duration::from_secs(10), 2.0, Duration::from_secs(9));
#[task("send", backoff = SLOW)]
//                       ^^^^ shorter
fn send_it() {}

//# backoff_function_of_another_type
fn wait(retry: u32) -> u64 {
    u64::from(retry)
}
#[task("send", backoff = wait)]
//                       ^^^^ Duration
fn send_it() {}

//# backoff_closure_captures
fn outer(base: u64) {
    #[task("send", backoff = |retry| std::time::Duration::from_secs(base * u64::from(retry)))]
    //                                                              ^^^^ non-constant
    fn send_it() {}
}

//# aliases_of_identifiers
#[task("send", aliases(old))]
//                     ^^^ aliases("old_name")
fn send_it() {}

//# aliases_of_numbers
#[task("send", aliases(5))]
//                     ^ aliases("old_name")
fn send_it() {}

//# aliases_empty
#[task("send", aliases())]
//             ^^^^^^^ aliases("old_name")
fn send_it() {}

//# aliases_with_a_space
#[task("send", aliases("a b"))]
//                     ^^^^^ ' '
fn send_it() {}

//# params_is_a_text
#[task("send", params = "SendMail")]
//                      ^^^^^^^^^^ params = SendMail
fn send_it() {}

//# params_is_a_path
#[task("send", params = mail::SendMail)]
//                      ^^^^ params = SendMail
fn send_it() {}

//# params_is_a_keyword
#[task("send", params = struct)]
//                      ^^^^^^ params = SendMail
fn send_it() {}

//# crate_is_a_text
#[task("send", crate = "qdjobs")]
//                     ^^^^^^^^ crate = path::to::qdjobs
fn send_it() {}

//# queue_is_converted
#[task("send", queue = String::from("mail"))]
//                     ^^^^^^ queue = "mail"
fn send_it() {}

//# queue_is_converted_by_a_method
#[task("send", queue = "mail".to_string())]
//                     ^^^^^^ queue = "mail"
fn send_it() {}

//# queue_is_formatted
#[task("send", queue = format!("mail"))]
//                     ^^^^^^ queue = "mail"
fn send_it() {}

//# timeout_is_a_sum
#[task("send", timeout = 30 * 60)]
//                       ^^^^^^^ Duration
fn send_it() {}

//# backoff_first_has_a_key
#[task("send", backoff = exponential(first = "1s"))]
//                       ^^^^^^^^^^^ exponential("1s"
fn send_it() {}

//# backoff_wait_has_a_key
#[task("send", backoff = fixed(wait = "5s"))]
//                       ^^^^^ fixed("5s")
fn send_it() {}

//# backoff_of_the_library_with_a_text
use qdjobs::Backoff;
#[task("send", backoff = Backoff::Fixed("5s"))]
//                       ^^^^^^^ unknown backoff `Backoff::Fixed` | fixed("5s")
fn send_it() {}

//# backoff_none
#[task("send", backoff = none)]
//                       ^^^^ fixed("0s")
fn send_it() {}

//# backoff_short_for_exponential
#[task("send", backoff = expo)]
//                       ^^^^ exponential("1s"
fn send_it() {}

//# arrow
#[task("send", retries => 5)]
//             ^^^^^^^ retries = 5
fn send_it() {}

//# comma_missing_between_two_options
#[task("send", retries = 5 queue = "mail")]
//                         ^^^^^ comma before `queue`
fn send_it() {}

//# comma_missing_behind_the_name
#[task("send" retries = 5)]
//            ^^^^^^^ comma before `retries`
fn send_it() {}

//# priority_that_overflows
#[task("send", priority = i32::MAX + 1)]
//                        ^^^^^^^^^^^^ overflow
fn send_it() {}

//# retries_that_overflow
#[task("send", retries = 0 - 1)]
//                       ^^^^^ overflow
fn send_it() {}

//# timeout_that_overflows
#[task("send", timeout = std::time::Duration::from_secs(1 - 2))]
//                                                      ^^^^^ overflow
fn send_it() {}
